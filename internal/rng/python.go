package rng

import "math/bits"

// Python draws the numbers of Python's random.Random, seeded with an integer: the
// generator that published subsets were drawn with. Everything else uses Stream.
//
// Source: Matsumoto & Nishimura 1998 (MT19937, init_by_array); CPython's
// Modules/_randommodule.c and Lib/random.py.
type Python struct {
	state [mtLen]uint32
	next  int
}

const (
	mtLen   = 624
	mtShift = 397
)

// NewPython returns random.Random(seed).
func NewPython(seed uint64) *Python {
	key := []uint32{uint32(seed)}
	if seed > 1<<32-1 {
		key = append(key, uint32(seed>>32))
	}
	p := &Python{next: mtLen}
	s := &p.state
	s[0] = 19650218
	for i := 1; i < mtLen; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + uint32(i)
	}
	at, k := 1, 0
	step := func() {
		if at++; at == mtLen {
			s[0], at = s[mtLen-1], 1
		}
	}
	for range mtLen {
		s[at] = s[at] ^ (s[at-1]^s[at-1]>>30)*1664525 + key[k] + uint32(k)
		k = (k + 1) % len(key)
		step()
	}
	for range mtLen - 1 {
		s[at] = s[at] ^ (s[at-1]^s[at-1]>>30)*1566083941 - uint32(at)
		step()
	}
	s[0] = 1 << 31
	return p
}

// Uint32 returns getrandbits(32).
func (p *Python) Uint32() uint32 {
	if p.next == mtLen {
		p.refill()
	}
	y := p.state[p.next]
	p.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9D2C5680
	y ^= y << 15 & 0xEFC60000
	return y ^ y>>18
}

func (p *Python) refill() {
	s := &p.state
	for i := range s {
		y := s[i]&(1<<31) | s[(i+1)%mtLen]&(1<<31-1)
		s[i] = s[(i+mtShift)%mtLen] ^ y>>1 ^ (y&1)*0x9908B0DF
	}
	p.next = 0
}

// Below returns randrange(n): an integer in [0, n), for n of 1 to 2³¹.
func (p *Python) Below(n int) int {
	if n < 1 || n > 1<<31 {
		panic("rng: Below needs 1 to 2^31")
	}
	shift := 32 - bits.Len(uint(n))
	for {
		if r := int(p.Uint32() >> shift); r < n {
			return r
		}
	}
}

// Shuffle is shuffle of a list of n elements; swap exchanges two.
func (p *Python) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i >= 1; i-- {
		swap(i, p.Below(i+1))
	}
}
