package cpu

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/kernel"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// needsInt8 skips a test of 8-bit products on a machine without them, or fails it
// when AVJEPA_REQUIRE lists vnni.
func needsInt8(t *testing.T) {
	t.Helper()
	if kernel.HasInt8() {
		return
	}
	const reason = "no AVX-512 VNNI, so the engine has no 8-bit products"
	if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "vnni") {
		t.Fatal("AVJEPA_REQUIRE has vnni: " + reason)
	}
	t.Skip(reason)
}

// normal returns a tensor of noise.
func normal(t *testing.T, e *Engine, r *rng.Stream, dims ...int) engine.Tensor {
	t.Helper()
	s := tensor.Of(dims...)
	buf, err := e.NewBuffer(engine.F32, s.Elems())
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, s.Elems())
	r.FillNormal(x, 1)
	e.Upload(engine.NewTensor(buf, 0, s), x)
	return engine.NewTensor(buf, 0, s)
}

func download(e *Engine, x engine.Tensor) []float32 {
	host := make([]float32, x.Elems())
	e.Download(host, x)
	return host
}

// distance returns |a − b| / |b|.
func distance(a, b []float32) float64 {
	var d, n float64
	for i := range a {
		d += math.Pow(float64(a[i]-b[i]), 2)
		n += math.Pow(float64(b[i]), 2)
	}
	return math.Sqrt(d / n)
}

// TestQuantizedLinear: near the float product, and not it, for every form of
// Linear that an encoder without gradients has.
func TestQuantizedLinear(t *testing.T) {
	needsInt8(t)
	e := open(t, 2)
	defer e.Close()
	r := rng.New(1, "quantized")
	const rows, in, out = 150, 192, 96
	x := normal(t, e, r, rows, 2*in).Columns(3, 3+in)
	w, bias := normal(t, e, r, out, in), normal(t, e, r, out)
	residual := normal(t, e, r, rows, out)
	y := normal(t, e, r, rows, 3*out).Columns(out, 2*out)
	for name, a := range map[string]engine.LinearArgs{
		"plain":    {X: x, W: w, Y: y},
		"bias":     {X: x, W: w, Y: y, Bias: bias},
		"GELU":     {X: x, W: w, Y: y, Bias: bias, GELU: true},
		"residual": {X: x, W: w, Y: y, Bias: bias, Residual: residual},
	} {
		e.quantized = quantized{}
		e.Linear(a)
		exact := download(e, y)
		if err := e.QuantizeWeights(w); err != nil {
			t.Fatal(err)
		}
		e.Fill(y, float32(math.NaN()))
		e.Linear(a)
		if d := distance(download(e, y), exact); !(d > 1e-4 && d <= 0.02) {
			t.Errorf("%s: relative distance %.2g, want rounding to bytes, at most 0.02", name, d)
		}
	}
}

// TestQuantizedIsOfOneMatrix: other weights, parts of the weights, and products
// whose Pre is wanted stay exact.
func TestQuantizedIsOfOneMatrix(t *testing.T) {
	needsInt8(t)
	e := open(t, 1)
	defer e.Close()
	r := rng.New(2, "quantized")
	const rows, in, out = 20, 64, 64
	x, w := normal(t, e, r, rows, in), normal(t, e, r, out, in)
	y, pre := normal(t, e, r, rows, out), normal(t, e, r, rows, out)
	for name, a := range map[string]engine.LinearArgs{
		"other": {X: x, Y: y, W: normal(t, e, r, out, in)},
		"part":  {X: x, Y: y.Columns(0, out/2), W: w.Slice(0, out/2)},
		"pre":   {X: x, Y: y, W: w, Pre: pre, GELU: true},
	} {
		e.quantized = quantized{}
		e.Linear(a)
		exact := download(e, a.Y)
		if err := e.QuantizeWeights(w); err != nil {
			t.Fatal(err)
		}
		e.Linear(a)
		if d := distance(download(e, a.Y), exact); d != 0 {
			t.Errorf("%s: relative distance %.2g, want the very bits", name, d)
		}
	}
}

// TestQuantizedCopies: a copy is of the values at the time of the call, and goes
// with its buffer.
func TestQuantizedCopies(t *testing.T) {
	needsInt8(t)
	e := open(t, 1)
	defer e.Close()
	r := rng.New(3, "quantized")
	x, w, y := normal(t, e, r, 4, 32), normal(t, e, r, 16, 32), normal(t, e, r, 4, 16)
	quantize := func() {
		if err := e.QuantizeWeights(w); err != nil {
			t.Fatal(err)
		}
	}
	quantize()
	e.Linear(engine.LinearArgs{X: x, W: w, Y: y})
	before := download(e, y)
	e.Scale(w, 2)
	e.Linear(engine.LinearArgs{X: x, W: w, Y: y})
	if d := distance(download(e, y), before); d != 0 {
		t.Errorf("new values are seen without a new copy: distance %v", d)
	}
	quantize()
	e.Linear(engine.LinearArgs{X: x, W: w, Y: y})
	if d := distance(download(e, y), before); !(math.Abs(d-1) <= 1e-6) {
		t.Errorf("twice the weights make twice the product: distance %v, want 1", d)
	}
	other := normal(t, e, r, 16, 32)
	if err := e.QuantizeWeights(other); err != nil {
		t.Fatal(err)
	}
	w.Buffer().Free()
	if n := len(e.quantized.copies); n != 1 {
		t.Errorf("%d copies of weights after one of two buffers was freed, want 1", n)
	}
}

// TestQuantizedAllocatesNothing in a steady state.
func TestQuantizedAllocatesNothing(t *testing.T) {
	needsInt8(t)
	e := open(t, 2)
	defer e.Close()
	r := rng.New(4, "quantized")
	x, w, y := normal(t, e, r, 50, 64), normal(t, e, r, 96, 64), normal(t, e, r, 50, 96)
	if err := e.QuantizeWeights(w); err != nil {
		t.Fatal(err)
	}
	a := engine.LinearArgs{X: x, W: w, Y: y, GELU: true}
	if n := testing.AllocsPerRun(5, func() { e.Linear(a) }); n != 0 {
		t.Errorf("%v allocations a product", n)
	}
}
