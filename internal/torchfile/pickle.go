package torchfile

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// Opcodes of pickle protocol 2 that torch.save writes.
const (
	opMark, opStop, opPop, opPopMark      = '(', '.', '0', '1'
	opNone, opTrue, opFalse               = 'N', 0x88, 0x89
	opInt4, opInt1, opInt2, opLong1       = 'J', 'K', 'M', 0x8a
	opFloat, opText                       = 'G', 'X'
	opEmptyDict, opEmptyList, opNoTuple   = '}', ']', ')'
	opTuple, opTuple1, opTuple2, opTuple3 = 't', 0x85, 0x86, 0x87
	opAppend, opAppends                   = 'a', 'e'
	opSetItem, opSetItems                 = 's', 'u'
	opPut1, opPut4, opGet1, opGet4        = 'q', 'r', 'h', 'j'
	opGlobal, opReduce, opNew, opBuild    = 'c', 'R', 0x81, 'b'
	opPersistent, opProto                 = 'Q', 0x80
)

// machine runs a pickle.
type machine struct {
	in    []byte
	at    int
	stack []any
	marks []int // heights of the stack
	memo  map[uint32]any

	// storage returns what the persistent id of a storage stands for.
	storage func(id []any) (any, error)
}

// unpickle returns the value of a pickle.
func unpickle(in []byte, storage func(id []any) (any, error)) (any, error) {
	m := &machine{in: in, memo: map[uint32]any{}, storage: storage}
	if len(in) < 2 || in[0] != opProto {
		return nil, fmt.Errorf("%w: data.pkl does not begin as a pickle", ErrFormat)
	}
	for range maxOps {
		if m.at >= len(in) {
			return nil, fmt.Errorf("%w: the pickle is cut short", ErrFormat)
		}
		op := in[m.at]
		m.at++
		if op == opStop {
			return m.end()
		}
		if err := m.step(op); err != nil {
			return nil, fmt.Errorf("pickle, byte %d: %w", m.at, err)
		}
		if len(m.stack) > maxStack || len(m.marks) > maxMarks {
			return nil, fmt.Errorf("%w: pickle: a stack of %d values and %d marks (limits %d, %d)",
				ErrFormat, len(m.stack), len(m.marks), maxStack, maxMarks)
		}
	}
	return nil, fmt.Errorf("%w: the pickle has more than %d opcodes", ErrFormat, maxOps)
}

// end returns the one value that is left.
func (m *machine) end() (any, error) {
	if len(m.stack) != 1 || len(m.marks) != 0 {
		return nil, fmt.Errorf("%w: the pickle ends with %d values", ErrFormat, len(m.stack))
	}
	s := survey{map[any]int{}}
	if _, err := s.expanded(m.stack[0], 0); err != nil {
		return nil, err
	}
	return m.stack[0], nil
}

// step runs one opcode: the families of opcodes, one after the other.
func (m *machine) step(op byte) error {
	for _, family := range []func(byte) (bool, error){m.scalar, m.container, m.place, m.object} {
		if done, err := family(op); done || err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: opcode 0x%02x, which torch.save does not write", ErrFormat, op)
}

// scalar pushes a value that stands in the pickle itself.
func (m *machine) scalar(op byte) (bool, error) {
	switch op {
	case opProto:
		b, err := m.take(1)
		if err == nil && b[0] != 2 {
			err = fmt.Errorf("%w: pickle protocol %d, torch.save writes 2", ErrFormat, b[0])
		}
		return true, err
	case opNone:
		m.push(nil)
	case opTrue, opFalse:
		m.push(op == opTrue)
	case opInt1, opInt2, opInt4, opFloat:
		n := map[byte]int{opInt1: 1, opInt2: 2, opInt4: 4, opFloat: 8}[op]
		b, err := m.take(n)
		if err != nil {
			return true, err
		}
		switch op {
		case opInt1:
			m.push(int64(b[0]))
		case opInt2:
			m.push(int64(binary.LittleEndian.Uint16(b)))
		case opInt4:
			m.push(int64(int32(binary.LittleEndian.Uint32(b))))
		case opFloat:
			m.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
	case opLong1:
		n, err := m.long()
		if err != nil {
			return true, err
		}
		m.push(n)
	case opText:
		s, err := m.text()
		if err != nil {
			return true, err
		}
		m.push(s)
	default:
		return false, nil
	}
	return true, nil
}

// long reads a signed integer of up to 8 bytes.
func (m *machine) long() (int64, error) {
	n, err := m.take(1)
	if err != nil {
		return 0, err
	}
	if n[0] > 8 {
		return 0, fmt.Errorf("%w: an integer of %d bytes (limit 8)", ErrFormat, n[0])
	}
	b, err := m.take(int(n[0]))
	if err != nil || len(b) == 0 {
		return 0, err
	}
	v := int64(int8(b[len(b)-1]))
	for i := len(b) - 2; i >= 0; i-- {
		v = v<<8 | int64(b[i])
	}
	return v, nil
}

func (m *machine) text() (string, error) {
	b, err := m.take(4)
	if err != nil {
		return "", err
	}
	n := binary.LittleEndian.Uint32(b)
	if n > maxText {
		return "", fmt.Errorf("%w: a text of %d bytes (limit %d)", ErrFormat, n, maxText)
	}
	if b, err = m.take(int(n)); err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("%w: a text that is not UTF-8", ErrFormat)
	}
	return string(b), nil
}

// container makes and fills containers.
func (m *machine) container(op byte) (bool, error) {
	var err error
	switch op {
	case opEmptyDict:
		m.push(&Dict{})
	case opEmptyList:
		m.push(&List{})
	case opNoTuple:
		m.push(&Tuple{})
	case opTuple1, opTuple2, opTuple3:
		var items []any
		if items, err = m.pop(int(op) - opTuple1 + 1); err == nil {
			m.push(&Tuple{items})
		}
	case opTuple:
		var items []any
		if items, err = m.sinceMark(); err == nil {
			m.push(&Tuple{items})
		}
	case opAppend, opAppends, opSetItem, opSetItems:
		err = m.fill(op)
	default:
		return false, nil
	}
	return true, err
}

// fill adds what is on the stack to the container below it.
func (m *machine) fill(op byte) error {
	var items []any
	var err error
	switch op {
	case opAppend:
		items, err = m.pop(1)
	case opSetItem:
		items, err = m.pop(2)
	default:
		items, err = m.sinceMark()
	}
	if err != nil {
		return err
	}
	below, err := m.top()
	if err != nil {
		return err
	}
	if op == opAppend || op == opAppends {
		l, ok := below.(*List)
		if !ok {
			return fmt.Errorf("%w: something is appended to a %T", ErrFormat, below)
		}
		l.Items = append(l.Items, items...)
		return nil
	}
	d, ok := below.(*Dict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%w: %d keys and values for a %T", ErrFormat, len(items), below)
	}
	for i := 0; i < len(items); i += 2 {
		if err := d.set(items[i], items[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// place moves values about: marks, memo.
func (m *machine) place(op byte) (bool, error) {
	switch op {
	case opMark:
		m.marks = append(m.marks, len(m.stack))
	case opPop:
		_, err := m.pop(1)
		return true, err
	case opPopMark:
		_, err := m.sinceMark()
		return true, err
	case opPut1, opPut4:
		i, err := m.index(op == opPut4)
		if err != nil {
			return true, err
		}
		m.memo[i], err = m.top()
		return true, err
	case opGet1, opGet4:
		i, err := m.index(op == opGet4)
		if err != nil {
			return true, err
		}
		v, ok := m.memo[i]
		if !ok {
			return true, fmt.Errorf("%w: nothing is remembered as %d", ErrFormat, i)
		}
		m.push(v)
	default:
		return false, nil
	}
	return true, nil
}

func (m *machine) index(wide bool) (uint32, error) {
	if !wide {
		b, err := m.take(1)
		if err != nil {
			return 0, err
		}
		return uint32(b[0]), nil
	}
	b, err := m.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// object deals with names and what is made by them.
func (m *machine) object(op byte) (bool, error) {
	switch op {
	case opGlobal:
		module, err := m.line()
		if err != nil {
			return true, err
		}
		name, err := m.line()
		if err != nil {
			return true, err
		}
		g := global(module + " " + name)
		if !known(g) {
			return true, fmt.Errorf("%w: %.160q", ErrRefused, string(g))
		}
		if placeholders[g] {
			m.push(Opaque{string(g)})
		} else {
			m.push(g)
		}
	case opReduce, opNew:
		return true, m.call()
	case opBuild:
		return true, m.build()
	case opPersistent:
		v, err := m.pop(1)
		if err != nil {
			return true, err
		}
		id, ok := v[0].(*Tuple)
		if !ok {
			return true, fmt.Errorf("%w: a persistent id is a %T", ErrFormat, v[0])
		}
		s, err := m.storage(id.Items)
		if err != nil {
			return true, err
		}
		m.push(s)
	default:
		return false, nil
	}
	return true, nil
}

// call replaces a name and its arguments by the data that stand for the result.
func (m *machine) call() error {
	v, err := m.pop(2)
	if err != nil {
		return err
	}
	g, ok := v[0].(global)
	if !ok || calls[g] == nil {
		return fmt.Errorf("%w: a call of %s", ErrRefused, kindOf(v[0]))
	}
	args, ok := v[1].(*Tuple)
	if !ok {
		return fmt.Errorf("%w: the arguments of %s are a %T", ErrFormat, g, v[1])
	}
	made, err := calls[g](g, args.Items)
	if err != nil {
		return err
	}
	m.push(made)
	return nil
}

// build gives an object its attributes. Those of a namespace are its items; the
// others, such as a state dict's _metadata, are not needed.
func (m *machine) build() error {
	v, err := m.pop(1)
	if err != nil {
		return err
	}
	below, err := m.top()
	if err != nil {
		return err
	}
	switch object := below.(type) {
	case Opaque:
		return nil
	case *Dict:
		if !object.namespace {
			return nil
		}
		if state, ok := v[0].(*Dict); ok {
			for _, it := range state.Items {
				if err := object.set(it.Key, it.Value); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return fmt.Errorf("%w: attributes for a %T", ErrFormat, below)
}
