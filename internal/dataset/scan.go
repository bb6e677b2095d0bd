package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"avjepa/internal/manifest"
	"avjepa/internal/neardup"
)

// shardScan finds the records of one shard, trusting nothing that it says. The work is
// linear in the shard's bytes, whatever they are.
type shardScan struct {
	file   io.ReaderAt
	size   int64
	number int
	out    *scanned
	tell   func(n int64) // that n more bytes have been read

	cur    record
	window []byte // of the file, from byte from on
	from   int64
	fault  error // of reading

	maker     *neardup.Maker // for makerRate
	makerRate int
}

// scanWindow is how much of a shard is read at once.
const scanWindow = 4 << 20

// record is a run of members with one key; none when key is "".
type record struct {
	key         string
	offset, end int64
}

// run goes through the members from the first block to the archive's end.
func (s *shardScan) run(ctx context.Context) error {
	told := int64(0)
	for pos := int64(0); pos < s.size && s.fault == nil; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h, end, err := s.member(pos)
		switch key := keyOf(h.name); {
		case err != nil && s.zeros(pos):
			pos = s.size
		case err != nil:
			s.finish()
			end = s.resume(end)
			s.skip(pos, key, fmt.Sprintf("%v (%d bytes skipped)", err, end-pos))
			pos = end
		case key != s.cur.key:
			s.finish()
			s.cur, pos = record{key, pos, end}, end
		default:
			s.cur.end, pos = end, end
		}
		if pos-told >= scanWindow {
			s.tell(pos - told)
			told = pos
		}
	}
	s.finish()
	s.tell(s.size - told)
	return s.fault
}

func (s *shardScan) skip(at int64, key, reason string) {
	s.out.skip(Skipped{shardName(s.number), at, key, oneLine(reason)})
}

// oneLine joins the lines of errors that were joined.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// keyOf returns a member's name up to its first dot, as WebDataset has it; "" when
// that is no key.
func keyOf(name string) string {
	key, _, _ := strings.Cut(name, ".")
	if manifest.CheckKey(key) != nil {
		return ""
	}
	return key
}

// bytes returns n bytes of the file from pos on, which are valid until the next call;
// nil when they reach beyond its end or cannot be read.
func (s *shardScan) bytes(pos, n int64) []byte {
	if n > s.size-pos || s.fault != nil {
		return nil
	}
	if pos < s.from || pos+n > s.from+int64(len(s.window)) {
		s.load(pos, n)
	}
	if s.fault != nil {
		return nil
	}
	return s.window[pos-s.from:][:n]
}

// load moves the window to where pos and the record before it are in it.
func (s *shardScan) load(pos, n int64) {
	from := pos
	if s.cur.key != "" && s.cur.end-s.cur.offset <= MaxRecordBytes {
		from = min(pos, s.cur.offset)
	}
	length := int(min(pos+max(n, scanWindow), s.size) - from)
	have := 0
	if old := s.from + int64(len(s.window)); from >= s.from && from < old {
		have = min(length, int(old-from))
		copy(s.window, s.window[from-s.from:][:have])
	}
	if cap(s.window) < length {
		s.window = append(make([]byte, 0, length+length/4), s.window[:have]...)
	}
	s.window, s.from = s.window[:length], from
	if _, err := s.file.ReadAt(s.window[have:], from+int64(have)); err != nil && err != io.EOF {
		s.fault = err
	} else if err == io.EOF && from+int64(length) < s.size {
		s.fault = errors.New("the file became shorter while it was read")
	}
}

// member reads the header at pos, and the PAX header before it if there is one, and
// returns where the member ends; with an error, where to look for the next one.
func (s *shardScan) member(pos int64) (h tarHeader, end int64, err error) {
	for first := true; ; first = false {
		block := s.bytes(pos, tarBlock)
		if block == nil {
			return h, s.size, fmt.Errorf("%d bytes where a tar header should be", s.size-pos)
		}
		if h, err = parseHeader(block); err != nil {
			return h, pos + tarBlock, err
		}
		data := pos + tarBlock
		if end = data + (h.size+tarBlock-1)&^(tarBlock-1); end > s.size {
			return h, data, fmt.Errorf("member %.100q of %d bytes reaches beyond the file",
				h.name, h.size)
		}
		if err := h.refused(); err != nil {
			return h, s.past(h, data, end), err
		}
		if h.kind == '0' {
			if keyOf(h.name) == "" {
				return h, end, fmt.Errorf("member %.100q: its name does not begin with a key "+
					"(letters, digits, -, _, /)", h.name)
			}
			return h, end, nil
		}
		if err = checkPAX(s.bytes(data, h.size)); err == nil && !first {
			err = errors.New("two PAX headers one after the other")
		}
		if err != nil {
			return h, s.past(h, data, end), err
		}
		pos = end
	}
}

// past returns where the member behind a refused header ends. What renames the next
// member takes that with it; what changes all that follow ends the shard.
func (s *shardScan) past(h tarHeader, data, end int64) int64 {
	switch h.kind {
	case '1', '2', '3', '4', '5', '6': // links, devices and folders have no data
		return data
	case 'g':
		return s.size
	case 'x', 'L', 'K':
		if block := s.bytes(end, tarBlock); block != nil {
			if next, err := parseHeader(block); err == nil && next.kind == '0' {
				after := end + tarBlock + (next.size+tarBlock-1)&^(tarBlock-1)
				return min(after, s.size)
			}
		}
	}
	return end
}

// resume returns the first place from pos on where a member may begin.
func (s *shardScan) resume(pos int64) int64 {
	for ; pos < s.size; pos += tarBlock {
		block := s.bytes(pos, tarBlock)
		if block == nil {
			break
		}
		if h, err := parseHeader(block); err == nil && (h.kind != '0' || keyOf(h.name) != "") {
			return pos
		}
	}
	return s.size
}

// zeros says whether nothing but zeros follows: the archive's end.
func (s *shardScan) zeros(pos int64) bool {
	for pos < s.size {
		n := min(tarBlock, s.size-pos)
		for _, c := range s.bytes(pos, n) {
			if c != 0 {
				return false
			}
		}
		pos += n
	}
	return s.fault == nil
}

// finish makes a clip of the present record, or skips it.
func (s *shardScan) finish() {
	r := s.cur
	if r.key == "" || s.fault != nil {
		return
	}
	var c Info
	foreign := false
	err := fmt.Errorf("%d bytes, at most %d", r.end-r.offset, MaxRecordBytes)
	if r.end-r.offset <= MaxRecordBytes {
		b := s.bytes(r.offset, r.end-r.offset)
		if s.fault != nil {
			return
		}
		c, foreign, err = s.clip(r.key, b)
	}
	if c.Shard, c.Offset = s.number, r.offset; err == nil {
		err = c.validate()
	}
	if err == nil {
		err = fitsLine(&c)
	}
	if s.cur = (record{}); err != nil {
		s.skip(r.offset, r.key, err.Error())
		return
	}
	s.out.clips, s.out.foreign = append(s.out.clips, c), append(s.out.foreign, foreign)
}
