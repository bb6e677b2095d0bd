package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// rowError is what is wrong with one row of a list.
type rowError struct {
	line   int    // from 1
	column string // such as "column end"; "" when the whole line is meant
	err    error
}

func (e *rowError) Error() string {
	if e.column == "" {
		return fmt.Sprintf("line %d: %v", e.line, e.err)
	}
	return fmt.Sprintf("line %d, %s: %v", e.line, e.column, e.err)
}

func (e *rowError) Unwrap() error { return e.err }

// errUTF16 ends the reading of a list: no row of it can be read.
var errUTF16 = errors.New("UTF-16: save it as UTF-8")

// lineReader reads a text line by line: UTF-8 with or without a byte order mark,
// lines that end in LF or CRLF and are not longer than maxLineBytes.
type lineReader struct {
	r    *bufio.Reader
	line int // number of the line that next returned, from 1
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, maxLineBytes)}
}

// next returns the next line that is not blank, valid until the call after it, and
// io.EOF behind the last. A *rowError is about this line alone: reading may go on.
func (s *lineReader) next() ([]byte, error) {
	for {
		text, err := s.read()
		if err != nil || len(bytes.TrimSpace(text)) > 0 {
			return text, err
		}
	}
}

func (s *lineReader) read() ([]byte, error) {
	s.line++
	text, err := s.r.ReadSlice('\n')
	long := err == bufio.ErrBufferFull
	for err == bufio.ErrBufferFull {
		_, err = s.r.ReadSlice('\n')
	}
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("line %d: %w", s.line, err)
	}
	if long {
		return nil, s.bad(fmt.Errorf("longer than %d bytes", maxLineBytes))
	}
	if len(text) == 0 {
		return nil, io.EOF
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if s.line == 1 {
		if bytes.HasPrefix(text, []byte{0xFF, 0xFE}) || bytes.HasPrefix(text, []byte{0xFE, 0xFF}) {
			return nil, fmt.Errorf("line 1: %w", errUTF16)
		}
		text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	}
	if !utf8.Valid(text) {
		return nil, s.bad(errors.New("not UTF-8: save it as UTF-8"))
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, s.bad(errors.New("contains a zero byte: not a text file"))
	}
	return text, nil
}

func (s *lineReader) bad(err error) error { return &rowError{line: s.line, err: err} }

// splitFields appends the fields of a line of CSV to fields. Blanks around a field
// do not count; a field in quotes may have commas, and quotes that are doubled. It
// writes to text, and the fields lie in it.
func splitFields(text []byte, fields [][]byte) ([][]byte, error) {
	length := len(text)
	wrong := func(rest []byte, what string) error {
		return fmt.Errorf("byte %d: %s (quotes must close on the same line, "+
			"and a quote inside quotes is doubled)", length-len(rest)+1, what)
	}
	for {
		text = bytes.TrimLeft(text, " \t")
		var field, rest []byte
		if len(text) > 0 && text[0] == '"' {
			var ok bool
			if field, rest, ok = unquote(text); !ok {
				return nil, wrong(text, "a quote that is not closed")
			}
			rest = bytes.TrimLeft(rest, " \t")
			if len(rest) > 0 && rest[0] != ',' {
				return nil, wrong(rest, "text behind a quote that is closed")
			}
		} else {
			end := bytes.IndexByte(text, ',')
			if end < 0 {
				end = len(text)
			}
			field, rest = bytes.TrimRight(text[:end], " \t"), text[end:]
			if at := bytes.IndexByte(field, '"'); at >= 0 {
				return nil, wrong(text[at:], "a quote inside a field without quotes")
			}
		}
		fields = append(fields, field)
		if len(rest) == 0 {
			return fields, nil
		}
		text = rest[1:]
	}
}

// unquote takes a field in quotes off the start of text, in place.
func unquote(text []byte) (field, rest []byte, ok bool) {
	field = text[:0]
	for i := 1; i < len(text); i++ {
		if text[i] == '"' {
			if i+1 == len(text) || text[i+1] != '"' {
				return field, text[i+1:], true
			}
			i++
		}
		field = append(field, text[i])
	}
	return nil, nil, false
}
