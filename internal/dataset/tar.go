package dataset

import (
	"bytes"
	"fmt"
	"strconv"
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

// nextMember splits the first member off b. It accepts only headers as
// appendMember writes them: a regular file with a plain octal size.
func nextMember(b []byte) (name string, data, rest []byte, err error) {
	if len(b) < tarBlock {
		return "", nil, nil, fmt.Errorf("%d bytes where a tar header should be", len(b))
	}
	h := b[:tarBlock]
	if string(h[257:265]) != "ustar\x0000" || h[156] != '0' {
		return "", nil, nil, fmt.Errorf("no tar header of a regular file")
	}
	sum, err := strconv.ParseUint(string(h[148:154]), 8, 32)
	if err != nil || int(sum) != tarChecksum(h) {
		return "", nil, nil, fmt.Errorf("tar header with a wrong checksum")
	}
	size, err := strconv.ParseUint(string(h[124:135]), 8, 40)
	if err != nil || size > uint64(len(b)-tarBlock) {
		return "", nil, nil, fmt.Errorf("member size %.12q exceeds the clip", h[124:135])
	}
	end := tarBlock + tarPadded(int(size))
	if end > len(b) {
		return "", nil, nil, fmt.Errorf("member of %d bytes is cut off", size)
	}
	n := bytes.IndexByte(h[:100], 0)
	if n < 0 {
		n = 100
	}
	return string(h[:n]), b[tarBlock : tarBlock+int(size)], b[end:], nil
}
