package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shards are plain ustar archives. Every member is one 512-byte header and its
// bytes padded to whole blocks, so a clip is a contiguous run of blocks.
const (
	tarBlock   = 512
	tarTrailer = 2 * tarBlock // end of archive: two blocks of zeros
	tarMtime   = 1e9          // 2001-09-09: members of one clip are equal wherever made
)

func tarPadded(n int) int { return (n + tarBlock - 1) &^ (tarBlock - 1) }

// appendMember appends header, data and padding of one member to b.
func appendMember(b []byte, name string, data []byte) []byte {
	if len(name) > 100 {
		panic(fmt.Sprintf("dataset: member name %q is longer than 100 bytes", name))
	}
	at := len(b)
	b = append(b, make([]byte, tarBlock)...)
	h := b[at:]
	copy(h, name)
	copy(h[100:], "0000644\x00")                       // mode
	copy(h[108:], "0000000\x00")                       // uid
	copy(h[116:], "0000000\x00")                       // gid
	copy(h[124:], fmt.Sprintf("%011o\x00", len(data))) // size
	copy(h[136:], fmt.Sprintf("%011o\x00", int64(tarMtime)))
	h[156] = '0' // regular file
	copy(h[257:], "ustar\x0000")
	copy(h[148:], fmt.Sprintf("%06o\x00 ", tarChecksum(h)))
	b = append(b, data...)
	return append(b, make([]byte, tarPadded(len(data))-len(data))...)
}

// tarChecksum sums a header with its checksum field taken as blanks.
func tarChecksum(h []byte) int {
	sum := 8 * int(' ')
	for i, c := range h[:tarBlock] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	return sum
}

// tarHeader is what a header block says, as far as it is used.
type tarHeader struct {
	name string
	size int64 // of the data
	kind byte  // '0': regular file, 'x': PAX records about the next member

	split bool // the name goes on elsewhere in the header
}

// parseHeader reads a header block with a right checksum and a plain octal size. What
// kind of member it is, refused says.
func parseHeader(h []byte) (tarHeader, error) {
	if magic := string(h[257:265]); magic != "ustar\x0000" && magic != "ustar  \x00" {
		return tarHeader{}, errors.New("no tar header")
	}
	sum, err := octal(h[148:156])
	if err != nil || sum != int64(tarChecksum(h)) {
		return tarHeader{}, errors.New("tar header with a wrong checksum")
	}
	x := tarHeader{name: untilZero(h[:100]), kind: h[156], split: h[345] != 0}
	if x.kind == 0 {
		x.kind = '0' // as old archives have it
	}
	if x.size, err = octal(h[124:136]); err != nil {
		return x, fmt.Errorf("tar header of %.100q with the size %.12q", x.name, h[124:136])
	}
	return x, nil
}

// refused returns why a member is none of those that are read: regular files, and PAX
// headers, with short names.
func (x *tarHeader) refused() error {
	switch {
	case x.kind != '0' && x.kind != 'x':
		return fmt.Errorf("member %.100q of kind %q: only regular files are read",
			x.name, x.kind)
	case x.split:
		return fmt.Errorf("member %.100q has a name in two parts: at most 100 bytes are read",
			x.name)
	case x.kind == 'x' && x.size > maxPAXBytes:
		return fmt.Errorf("PAX header of %d bytes, at most %d", x.size, maxPAXBytes)
	}
	return nil
}

// octal reads a number field: digits between blanks and zero bytes.
func octal(field []byte) (int64, error) {
	n, err := strconv.ParseUint(strings.Trim(string(field), " \x00"), 8, 40)
	return int64(n), err
}

func untilZero(b []byte) string {
	if n := bytes.IndexByte(b, 0); n >= 0 {
		b = b[:n]
	}
	return string(b)
}

const maxPAXBytes = 8 << 10

// plainPAX are the PAX records that say nothing about a member's name, size or data.
// Python's tarfile writes mtime of every member.
var plainPAX = map[string]bool{"mtime": true, "atime": true, "ctime": true,
	"uid": true, "gid": true, "uname": true, "gname": true}

// checkPAX accepts records "LENGTH KEY=VALUE\n" with keys of plainPAX.
func checkPAX(data []byte) error {
	for len(data) > 0 {
		text, _, _ := strings.Cut(string(data[:min(len(data), 8)]), " ")
		n, err := strconv.Atoi(text)
		if err != nil || n < len(text)+3 || n > len(data) || data[n-1] != '\n' {
			return errors.New("PAX record without its length")
		}
		key, _, ok := strings.Cut(string(data[len(text)+1:n-1]), "=")
		if !ok || !plainPAX[key] {
			return fmt.Errorf("PAX record %.40q is not one of times and owners", key)
		}
		data = data[n:]
	}
	return nil
}

// nextMember splits the first regular file off b, with the PAX header before it.
func nextMember(b []byte) (name string, data, rest []byte, err error) {
	for {
		if len(b) < tarBlock {
			return "", nil, nil, fmt.Errorf("%d bytes where a tar header should be", len(b))
		}
		h, err := parseHeader(b[:tarBlock])
		if err == nil {
			err = h.refused()
		}
		if err != nil {
			return "", nil, nil, err
		}
		if h.size > int64(len(b)-tarBlock) {
			return "", nil, nil, fmt.Errorf("member size %d exceeds the clip", h.size)
		}
		end := tarBlock + tarPadded(int(h.size))
		if end > len(b) {
			return "", nil, nil, fmt.Errorf("member of %d bytes is cut off", h.size)
		}
		data, rest = b[tarBlock:tarBlock+int(h.size)], b[end:]
		if h.kind == '0' {
			return h.name, data, rest, nil
		}
		if err := checkPAX(data); err != nil {
			return "", nil, nil, err
		}
		b = rest
	}
}
