package engine

import "testing"

func TestNewComputeApart(t *testing.T) {
	a, err := NewArena(NewCounting(), F32, ArenaSize{F32: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for cols, stride := range map[int]int{1023: 1023, 1024: 1040, 1025: 1025, 1536: 1536, 3072: 3088} {
		x := a.NewComputeApart(2, 3, cols)
		if x.Stride() != stride || x.Dim(0) != 2 || x.Dim(1) != 3 || x.Dim(2) != cols {
			t.Errorf("%d columns: %v with rows %d apart, want %d", cols, x, x.Stride(), stride)
		}
	}
}
