package ref

import (
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// bf16 returns the bfloat16 with these bits.
func bf16(bits uint32) float64 { return float64(math.Float32frombits(bits << 16)) }

// TestRoundBF16 goes through all numbers of the type, subnormal ones too: each is
// its own rounding, and between two neighbours the nearer one is taken, in the
// middle the one whose last bit is 0.
func TestRoundBF16(t *testing.T) {
	const inf = 0x7F80
	for bits := range uint32(inf) {
		lo, hi := bf16(bits), bf16(bits+1)
		if bits+1 == inf {
			hi = 0x1p128 // what would follow if the exponent went on
		}
		even, top := lo, bf16(bits+1) // the middle goes to
		if bits&1 == 1 {
			even = top
		}
		middle := (lo + hi) / 2
		for _, c := range []struct{ x, want float64 }{
			{lo, lo}, {middle, even}, {math.Nextafter(middle, 0), lo},
			{math.Nextafter(middle, math.Inf(1)), top},
		} {
			for _, sign := range []float64{1, -1} {
				got, want := roundBF16(sign*c.x), sign*c.want
				if math.Float64bits(got) != math.Float64bits(want) {
					t.Fatalf("%g becomes %g, want %g", sign*c.x, got, want)
				}
			}
		}
	}
	for _, x := range []float64{math.Inf(1), math.Inf(-1)} {
		if got := roundBF16(x); got != x {
			t.Errorf("%g becomes %g", x, got)
		}
	}
	if got := roundBF16(math.NaN()); got == got {
		t.Errorf("NaN becomes %g", got)
	}
	if got := roundBF16(1e300); !math.IsInf(got, 1) {
		t.Errorf("1e300 becomes %g, want +Inf", got)
	}
	if got := roundBF16(math.Copysign(1e-300, -1)); got != 0 || !math.Signbit(got) {
		t.Errorf("-1e-300 becomes %g, want -0", got)
	}
}

// TestStoresRound: whatever writes to a BF16 buffer rounds, to an F32 buffer nothing
// does; sums are rounded once.
func TestStoresRound(t *testing.T) {
	e := New()
	buf, err := e.NewBuffer(engine.BF16, 2)
	if err != nil {
		t.Fatal(err)
	}
	h := engine.NewTensor(buf, 0, tensor.Of(2))
	const third = 1.0 / 3
	near := bf16(0x3EAB) // 0.333984375
	e.UploadFloat64(h, []float64{third, -third})
	want(t, e, "uploaded", h, near, -near)
	x := of(e, []float64{third, 256 + 1 - near}, 2)
	want(t, e, "in F32", x, third, 257-near)
	e.Cast(h, x)
	want(t, e, "cast", h, near, 256)
	f := tensorOf(e, 2)
	e.Cast(f, h)
	want(t, e, "cast back", f, near, 256)
	e.AddTo(h, x, 1) // 0.66731… and 512.67, between 512 and 516
	want(t, e, "sum", h, bf16(0x3F2B), 512)
	e.AddTo(f, h, 1)
	want(t, e, "sum in F32", f, near+bf16(0x3F2B), 768)
}
