package torchfile

import (
	"bytes"
	"fmt"
	"strconv"
)

// kindOf names a value in an error without printing what it holds.
func kindOf(v any) string {
	switch v := v.(type) {
	case global:
		return string(v)
	case Opaque:
		return v.Name
	case int64:
		return strconv.FormatInt(v, 10)
	}
	return fmt.Sprintf("a %T", v)
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

// floor is the height below which the values belong to what is before the mark.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// pop removes the last n values, which it returns as a new slice.
func (m *machine) pop(n int) ([]any, error) {
	h := len(m.stack) - n
	if h < m.floor() {
		return nil, fmt.Errorf("%w: the stack has no %d values", ErrFormat, n)
	}
	v := append([]any(nil), m.stack[h:]...)
	clear(m.stack[h:])
	m.stack = m.stack[:h]
	return v, nil
}

func (m *machine) top() (any, error) {
	if len(m.stack) <= m.floor() {
		return nil, fmt.Errorf("%w: the stack is empty", ErrFormat)
	}
	return m.stack[len(m.stack)-1], nil
}

// sinceMark removes the last mark and the values after it.
func (m *machine) sinceMark() ([]any, error) {
	if len(m.marks) == 0 {
		return nil, fmt.Errorf("%w: no mark on the stack", ErrFormat)
	}
	v, err := m.pop(len(m.stack) - m.floor())
	m.marks = m.marks[:len(m.marks)-1]
	return v, err
}

func (m *machine) take(n int) ([]byte, error) {
	if n > len(m.in)-m.at {
		return nil, fmt.Errorf("%w: the pickle is cut short", ErrFormat)
	}
	b := m.in[m.at : m.at+n]
	m.at += n
	return b, nil
}

func (m *machine) line() (string, error) {
	rest := m.in[m.at:min(len(m.in), m.at+maxLine)]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		return "", fmt.Errorf("%w: a name without an end within %d bytes", ErrFormat, maxLine)
	}
	m.at += n + 1
	return string(rest[:n]), nil
}
