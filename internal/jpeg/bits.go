package jpeg

import (
	"bytes"
	"encoding/binary"
)

// reader hands out the bits of one stretch of coded blocks, from which the
// stuffing (a zero behind every byte FF) has been taken. Behind its end come
// zeros; over tells whether any was used.
type reader struct {
	bits
	buf []byte // the stretch, then slack zeros
	end int    // of the stretch
}

// bits is where a reader is. The assembly knows its layout.
type bits struct {
	acc uint64 // bits taken in, from the top; behind them zeros, or the bits that follow
	n   int    // number of them
	at  int    // next byte to take in
}

// slack is how many bytes a reader may be read beyond the end before someone
// asks over: an MCU has at most 6 blocks of 64 symbols of 31 bits.
const slack = 6*64*31/8 + 16

// open makes r read the coded blocks at the beginning of scan, to the next
// marker. It returns what follows them: the marker, or nothing.
func (r *reader) open(scan []byte) (rest []byte) {
	if cap(r.buf) < len(scan)+slack {
		r.buf = make([]byte, 0, len(scan)+len(scan)/4+slack)
	}
	buf := r.buf[:len(scan)+slack]
	at := 0
	for {
		i := bytes.IndexByte(scan, 0xFF)
		if i < 0 || i+1 == len(scan) {
			at += copy(buf[at:], scan)
			scan = nil
			break
		}
		if scan[i+1] != 0 {
			at += copy(buf[at:], scan[:i])
			scan = scan[i:]
			break
		}
		at += copy(buf[at:], scan[:i+1])
		scan = scan[i+2:]
	}
	clear(buf[at : at+slack])
	*r = reader{buf: buf[:at+slack], end: at}
	return scan
}

// over reports whether more bits were used than the stretch has.
func (r *reader) over() bool { return 8*r.at-r.n > 8*r.end }

// fill takes bits in until there are 56 at least.
func (r *reader) fill() {
	r.acc |= binary.BigEndian.Uint64(r.buf[r.at:]) >> (uint(r.n) & 63)
	r.at += (63 - r.n) >> 3
	r.n |= 56
}

// value returns the value of size bits, 0 to 15, that begins at the top of v:
// the first bit is 0 for negative ones.
func value(v uint64, size uint) int32 {
	if size == 0 {
		return 0
	}
	x := int32(v >> (64 - size))
	if int64(v) >= 0 {
		x += 1 - 1<<size
	}
	return x
}

// dc returns the next difference of a DC coefficient.
func (r *reader) dc(t *huffman) (int32, error) {
	if r.n < 32 {
		r.fill()
	}
	e := t.look[r.acc>>(64-lookBits)]
	if n := e & 0xFF; n < codeOnly {
		r.acc <<= n & 63
		r.n -= int(n)
		return int32(e) >> 16, nil
	}
	symbol, n := t.long(e, r.acc)
	if n == 0 {
		return 0, errCode
	}
	size := uint(symbol & 15)
	v := value(r.acc<<n, size)
	r.acc <<= n + size
	r.n -= int(n + size)
	return v, nil
}

var errCode = broken("no Huffman code fits the bits")

// long returns symbol and length of the code at the top of acc, whose entry e
// of the look-up does not say all; length 0 if there is none.
func (t *huffman) long(e uint32, acc uint64) (symbol byte, n uint) {
	if e&0xFF != longCode {
		return byte(e >> 16), uint(e & 0x7F)
	}
	return t.find(int32(acc >> 48))
}

// ac sets the AC coefficients of a block that are not zero. Coefficient k of
// the zigzag goes to block[places[k]].
func (r *reader) ac(t *huffman, block *pair, places *[256]uint8) error {
	for k := uint(0); ; {
		if k = r.short(t, block, places, k); k >= 63 {
			if k > 63 && k < endOfBlock {
				return broken("a run of zeros that leaves its block")
			}
			return nil
		}
		symbol, b := t.long(t.look[r.acc>>(64-lookBits)], r.acc)
		if b == 0 {
			return errCode
		}
		size := uint(symbol & 15)
		if symbol == 0 {
			k += endOfBlock
		} else {
			k += uint(symbol>>4) + 1
			block[places[uint8(k)]] = int16(value(r.acc<<b, size))
		}
		r.acc <<= b + size
		r.n -= int(b + size)
	}
}

// shortGo is ac from coefficient k + 1 on, until the block ends or a code or its
// value is longer than the look-up. It returns the last coefficient that it
// came to, above 62 at the end of the block, and leaves 32 bits at least.
func (r *reader) shortGo(t *huffman, block *pair, places *[256]uint8, k uint) uint {
	acc, n, at := r.acc, r.n, r.at
	for k < 63 {
		if n < 32 {
			acc |= binary.BigEndian.Uint64(r.buf[at:]) >> (uint(n) & 63)
			at += (63 - n) >> 3
			n |= 56
		}
		e := t.look[acc>>(64-lookBits)]
		b := e & 0xFF
		if b >= codeOnly {
			break
		}
		k += uint(e>>8) & 0xFF
		acc <<= b & 63
		n -= int(b)
		block[places[uint8(k)]] = int16(e >> 16)
	}
	r.acc, r.n, r.at = acc, n, at
	return k
}
