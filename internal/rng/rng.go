// Package rng gives every random choice of the program a stream of its own,
// named by what it is for. Two streams with the same seed and names give the
// same numbers on every machine; streams with different names are independent.
// So any view, any batch order and any dropout mask can be made again from the
// run seed and a name, whatever ran before it.
//
//	r := rng.New(runSeed, "view", epoch, clipKey)
//	start := r.Float64() * slack
package rng

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
)

// Stream is a seeded source of random numbers. It is not safe for concurrent
// use; make one per goroutine and purpose.
type Stream struct {
	*rand.Rand
	pcg *rand.PCG
}

// New returns the stream of a seed and a list of names (strings and integers).
// The order of the names matters.
func New(seed uint64, names ...any) *Stream {
	pcg := new(rand.PCG)
	s := &Stream{Rand: rand.New(pcg), pcg: pcg}
	s.Restart(seed, names...)
	return s
}

// Restart makes s the stream that New returns, without allocating.
func (s *Stream) Restart(seed uint64, names ...any) {
	var room [256]byte
	b := binary.LittleEndian.AppendUint64(room[:0], seed)
	for _, n := range names {
		switch n := n.(type) {
		case string:
			b = append(append(b, "string:"...), n...)
		case int:
			b = strconv.AppendInt(append(b, "int:"...), int64(n), 10)
		default:
			panic("rng: a name of a stream is neither string nor int")
		}
		b = append(b, 0)
	}
	sum := sha256.Sum256(b)
	s.pcg.Seed(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:]))
}

// Uniform returns a number in [lo, hi).
func (s *Stream) Uniform(lo, hi float64) float64 { return lo + (hi-lo)*s.Float64() }

// FillNormal sets x to independent normal numbers with the given standard
// deviation and mean 0.
func (s *Stream) FillNormal(x []float32, std float64) {
	for i := range x {
		x[i] = float32(s.NormFloat64() * std)
	}
}

// FillUniform sets x to independent numbers in [lo, hi).
func (s *Stream) FillUniform(x []float32, lo, hi float64) {
	for i := range x {
		x[i] = float32(s.Uniform(lo, hi))
	}
}

// Key names one dropout mask: the same seed, step and layer give the same mask
// on every engine.
type Key uint64

// NewKey mixes a seed, a step and a layer number into a Key.
func NewKey(seed uint64, step, layer int) Key {
	k := mix64(seed + 0x9E3779B97F4A7C15)
	k = mix64(k ^ uint64(step)*0xD1B54A32D192ED03)
	return Key(mix64(k ^ uint64(layer)*0x8CB92BA72F3D8DD7))
}

// Row returns the pair of 32-bit words that RowBits needs for one row of a mask.
func (k Key) Row(row int) (k0, k1 uint32) {
	r := mix64(uint64(k) ^ uint64(row)*0x9E3779B97F4A7C15)
	return uint32(r), uint32(r >> 32)
}

// RowBits returns 32 random bits for one column of the row whose words are k0
// and k1. It is a counter-based generator, so an engine may compute any element
// of a mask in any order, eight columns at a time in vector registers.
func RowBits(k0, k1, col uint32) uint32 {
	x := col*columnStep + k0
	x = mix32(x) ^ k1
	return mix32(x)
}

// columnStep is 2³² over the golden ratio: its multiples spread evenly.
const columnStep = 0x9E3779B9

// Skip returns the first word of a row as seen from column col on:
// RowBits(Skip(k0, col), k1, i) is RowBits(k0, k1, col+i).
func Skip(k0, col uint32) uint32 { return k0 + col*columnStep }

// Threshold returns the bound below which RowBits means "dropped", for a
// dropout probability p in [0, 1).
func Threshold(p float64) uint32 { return uint32(p * (1 << 32)) }

// mix32 is the "lowbias32" integer hash (C. Wellons), a bijection on 32 bits.
func mix32(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7FEB352D
	x ^= x >> 15
	x *= 0x846CA68B
	x ^= x >> 16
	return x
}

// mix64 is the finaliser of SplitMix64.
func mix64(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	x ^= x >> 31
	return x
}
