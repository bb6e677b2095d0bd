package jpeg

import "bytes"

// lookBits is how many bits the look-up of a Huffman table takes at once.
const lookBits = 10

// An entry of a look-up holds in its bits
//
//	0…7    bits to consume: those of the code and of the value behind it
//	8…15   by how much the index of the coefficient grows; endOfBlock ends it
//	16…31  the value, signed
//
// if code and value are within lookBits. If only the code is, bit 7 is set, and
// the entry holds its bits in 0…6 and its symbol in 16…23. Codes longer than
// lookBits have longCode.
const (
	endOfBlock = 128
	codeOnly   = 0x80
	longCode   = 0xFF
)

// huffman is a table made ready for decoding.
type huffman struct {
	source [16 + 256]byte // the table of the file that it was made from
	length int            // of source; 0 before the first
	look   [1 << lookBits]uint32
	// For codes of n bits: the first code, the number of codes and where their
	// symbols begin.
	first, count, at [17]int32
	symbols          [256]byte
}

// build makes the table of a file ready: 16 counts of codes by length, then
// the symbols. The same table as the last one is not made again.
func (t *huffman) build(source []byte, ac bool) error {
	if bytes.Equal(source, t.source[:t.length]) {
		return nil
	}
	t.length = 0 // until it is whole
	symbols := source[16:]
	copy(t.symbols[:], symbols)
	for i := range t.look {
		t.look[i] = longCode
	}
	code, at := int32(0), int32(0)
	for n := int32(1); n <= 16; n++ {
		count := int32(source[n-1])
		t.first[n], t.count[n], t.at[n] = code, count, at
		if code+count > 1<<n {
			return broken("a Huffman table with more codes of %d bits than there are", n)
		}
		for i := range count {
			s := symbols[at+i]
			if !ac && s > 11 {
				return broken("a DC value of %d bits", s)
			}
			if n <= lookBits {
				t.fill(code+i, n, s, ac)
			}
		}
		code, at = (code+count)<<1, at+count
	}
	copy(t.source[:], source)
	t.length = len(source)
	return nil
}

// fill sets the entries of the look-up that begin with a code of n bits.
func (t *huffman) fill(code, n int32, symbol byte, ac bool) {
	size, grow := int32(symbol&15), uint32(symbol>>4)+1
	if ac && symbol == 0 {
		grow = endOfBlock
	}
	free := lookBits - n
	entries := t.look[code<<free:][:1<<free]
	if size > free {
		for i := range entries {
			entries[i] = uint32(symbol)<<16 | codeOnly | uint32(n)
		}
		return
	}
	free -= size
	for v := range int32(1) << size {
		value := v
		if size > 0 && v>>(size-1) == 0 {
			value = v + 1 - 1<<size
		}
		e := uint32(uint16(value))<<16 | grow<<8 | uint32(n+size)
		for i := range entries[v<<free:][:1<<free] {
			entries[v<<free+int32(i)] = e
		}
	}
}

// find returns symbol and length of the code longer than lookBits that v, 16
// bits, begins with; length 0 if there is none.
func (t *huffman) find(v int32) (symbol byte, n uint) {
	for n := uint(lookBits + 1); n <= 16; n++ {
		if i := v>>(16-n) - t.first[n]; i >= 0 && i < t.count[n] {
			return t.symbols[t.at[n]+i], n
		}
	}
	return 0, 0
}
