package kernel

import (
	"math"
	"testing"
)

// normalCDF is what Φ is held to.
func normalCDF(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

func TestPower2Go(t *testing.T) {
	for x := float32(-126); x < 130; x += 0.0037 {
		want := math.Exp2(float64(x))
		if got := float64(power2Go(x)); !(math.Abs(got-want) <= 1.5e-7*want) &&
			float32(want) != power2Go(x) {
			t.Fatalf("2^%v is %v, want %v", x, got, want)
		}
	}
	for _, x := range []float32{guard, float32(math.Inf(1))} {
		if y := power2Go(x); y-y == 0 {
			t.Errorf("2^%v is %v", x, y)
		}
	}
}

func TestNormalGo(t *testing.T) {
	for x := -12.9; x < 20; x += 0.0011 {
		v := float64(float32(x))
		phi, e := normalGo(float32(x))
		rounding := 1e-7 * (4 + v*v)
		if want := normalCDF(v); !(math.Abs(float64(phi)-want) <= rounding*want) {
			t.Fatalf("Φ(%v) is %v, want %v", v, phi, want)
		}
		if want := math.Exp(-v * v / 2); !(math.Abs(float64(e)-want) <= rounding*want+0x1p-126) {
			t.Fatalf("exp(−%v²/2) is %v, want %v", v, e, want)
		}
	}
	if phi, e := normalGo(guard); phi == phi || e == e {
		t.Errorf("Φ(NaN) is %v, exp %v", phi, e)
	}
}
