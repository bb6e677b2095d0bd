package main

import (
	"bytes"
	"io"
)

// prefixer writes whole lines with a prefix before each, so that the lines of several
// processes do not mix. One goroutine at a time may use it.
type prefixer struct {
	out    io.Writer
	prefix string
	line   []byte // the beginning of one that has not ended
}

// longestLine bounds what is kept of a line that does not end.
const longestLine = 64 << 10

// Write never fails: a process is not to stop because nobody reads it.
func (p *prefixer) Write(b []byte) (int, error) {
	p.line = append(p.line, b...)
	for {
		end := bytes.IndexByte(p.line, '\n')
		if end < 0 {
			break
		}
		p.emit(p.line[:end])
		p.line = p.line[end+1:]
	}
	if len(p.line) > longestLine {
		p.flush()
	}
	return len(b), nil
}

// flush ends a line that has begun.
func (p *prefixer) flush() {
	if len(p.line) > 0 {
		p.emit(p.line)
		p.line = nil
	}
}

func (p *prefixer) emit(line []byte) {
	text := append([]byte(p.prefix), line...)
	p.out.Write(append(text, '\n'))
}
