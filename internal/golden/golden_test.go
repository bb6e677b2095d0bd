package golden

import (
	"math"
	"testing"
)

// TestCompare: what must fail does, a NaN wherever it stands.
func TestCompare(t *testing.T) {
	nan := float32(math.NaN())
	zeros := make([]float32, 5)
	for _, c := range []struct {
		got   []float32
		class string
		ok    bool
	}{
		{zeros, "", true},
		{[]float32{0, 0, 0.5, 0, 0}, "", true},
		{[]float32{0, 0, 1.5, 0, 0}, "", false},
		{[]float32{nan, 0, 0, 0, 0}, "", false},
		{[]float32{0, nan, 0.5, 0, 0}, "", false},
		{[]float32{0, 0, 0, 0.5, nan}, "", false},
		{[]float32{0.5, 0.5, 0.5, 0, 0}, "P", true},
		{[]float32{0.5, 0.5, 0.5, 0.5, 0}, "P", false},
	} {
		if _, err := compare(c.got, zeros, Bound{Atol: 1, Class: c.class}); (err == nil) != c.ok {
			t.Errorf("%v of class %q: error %v", c.got, c.class, err)
		}
	}
}
