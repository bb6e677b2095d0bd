package rng

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestNames holds a stream to its definition: PCG seeded with the hash of the seed
// and of every name with its type.
func TestNames(t *testing.T) {
	for _, names := range [][]any{{}, {"view", 3, "clip"}, {"view3", "clip"}, {"a", -12345678901, "b"},
		{"", 0}, {0, ""}, {strings.Repeat("long ", 100)}} {
		b := binary.LittleEndian.AppendUint64(nil, 77)
		for _, n := range names {
			b = fmt.Appendf(b, "%T:%v\x00", n, n)
		}
		sum := sha256.Sum256(b)
		want := rand.NewPCG(binary.LittleEndian.Uint64(sum[:]), binary.LittleEndian.Uint64(sum[8:]))
		s, other := New(77, names...), New(1, "other")
		other.Float64()
		other.Restart(77, names...)
		for range 3 {
			x := want.Uint64()
			if a, b := s.Uint64(), other.Uint64(); a != x || b != x {
				t.Fatalf("names %.40v: New gives %d, Restart %d, want %d", names, a, b, x)
			}
		}
	}
}

func TestRestartAllocatesNothing(t *testing.T) {
	s, name := New(1), strings.Repeat("k", 60)
	n := testing.AllocsPerRun(100, func() { s.Restart(9, "view", int(s.Uint64()>>1), name) })
	if n != 0 {
		t.Errorf("Restart allocates %v times", n)
	}
}

func TestSkip(t *testing.T) {
	k0, k1 := NewKey(1, 2, 3).Row(4)
	for _, col := range []uint32{0, 1, 256, 1<<32 - 2} {
		for i := range uint32(5) {
			if a, b := RowBits(Skip(k0, col), k1, i), RowBits(k0, k1, col+i); a != b {
				t.Errorf("column %d+%d: %d, want %d", col, i, a, b)
			}
		}
	}
}
