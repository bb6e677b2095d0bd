package torch

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"avjepa/internal/engine"
	"avjepa/internal/engine/enginetest"
	"avjepa/internal/engine/ref"
	"avjepa/internal/engine/torch/shim/shimtest"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// open returns an engine on the device that is tested. Its tests close it.
func open(t testing.TB, threads int) *Engine {
	t.Helper()
	e, err := New(Config{Library: shimtest.Library(t), Device: shimtest.Device(),
		Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	if e.Info().Async { // only its masks are those of package rng in BF16 too
		if err := e.ForceAttention("composed"); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// newTensor returns a tensor with a buffer of its own.
func newTensor(t testing.TB, e *Engine, dims ...int) engine.Tensor {
	t.Helper()
	s := tensor.Of(dims...)
	buf, err := e.NewBuffer(engine.F32, s.Elems())
	if err != nil {
		t.Fatal(err)
	}
	return engine.NewTensor(buf, 0, s)
}

// TestEngine holds the engine to the reference: values, strides, aliasing, NaN, the
// same bits in a second run, BF16, and no allocation in a steady state.
func TestEngine(t *testing.T) {
	enginetest.Options{ZeroAllocs: true, BF16: true}.Run(t,
		func(t *testing.T) engine.Engine { return open(t, 2) })
}

// TestPortable holds what a GPU does where it has no kernel of ours to the reference,
// on a CPU.
func TestPortable(t *testing.T) {
	enginetest.Options{BF16: true}.Run(t, func(t *testing.T) engine.Engine {
		e, err := New(Config{Library: shimtest.Library(t), Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		portable, err := e.lib.symbol("avj_portable")
		if err != nil {
			t.Fatal(err)
		}
		portable.call(e.handle, 0, 0)
		return e
	})
}

func TestNew(t *testing.T) {
	e := open(t, 3)
	defer e.Close()
	if i := e.Info(); i.Name != "torch" || !strings.Contains(i.Device, "libtorch") || !i.BF16 ||
		i.Threads != 3 || i.Async != strings.HasPrefix(shimtest.Device(), "cuda") {
		t.Errorf("Info is %+v", i)
	}
	for _, c := range []Config{{Threads: -1}, {Device: "tpu"}, {Device: "mps"}, {Device: "cuda:99"}} {
		c.Library = shimtest.Library(t)
		if e, err := New(c); err == nil {
			t.Errorf("%+v gave %v", c, e.Info())
		} else if errors.Is(err, ErrNoLibrary) {
			t.Errorf("%+v: %v, but there is a library", c, err)
		}
	}
}

// TestNoLibrary loads what is no shim, or one of another version.
func TestNoLibrary(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"": "engine build", filepath.Join(dir, "missing.so"): "missing.so",
		text: "text.so"}
	if compiler, err := exec.LookPath("c++"); err == nil {
		for name, source := range map[string]string{
			"other": `int other;`,
			"newer": `extern "C" long long avj_abi(void) { return 99; }`,
		} {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file+".cpp", []byte(source), 0o644); err != nil {
				t.Fatal(err)
			}
			build := exec.Command(compiler, "-shared", "-fPIC", "-o", file+".so", file+".cpp")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		}
		paths[filepath.Join(dir, "other.so")] = "no library of this program"
		paths[filepath.Join(dir, "newer.so")] = "version 99"
	}
	for path, want := range paths {
		_, err := New(Config{Library: path})
		if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "avjepa engine build") {
			t.Errorf("library %q: %v, want %q and what to do", path, err, want)
		}
	}
}

// TestFault makes an operation fail: those after it do nothing, Download gives NaN,
// and Sync says it once.
func TestFault(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	x := newTensor(t, e, 3)
	e.Fill(x, 1)
	a := &e.args.scalar
	*a = scalarArgs{x: e.arg(x), value: 2}
	e.do("Fill", e.lib.fill, uintptr(unsafe.Pointer(a)), 1) // arguments of another size
	e.Fill(x, 3)
	got := make([]float32, 3)
	e.Download(got, x)
	for i, v := range got {
		if v == v {
			t.Errorf("element %d is %v after a fault, want NaN", i, v)
		}
	}
	if err := e.Sync(); err == nil || !strings.Contains(err.Error(), "Fill: ABI") {
		t.Errorf("Sync: %v, want the fault of Fill", err)
	}
	if err := e.Sync(); err != nil {
		t.Errorf("Sync said a fault twice: %v", err)
	}
	e.Download(got, x)
	for i, v := range got {
		if v != 1 {
			t.Errorf("element %d is %v, want 1: nothing was to be done after the fault", i, v)
		}
	}
}

// TestMemoryShort asks for more than there is. The engine stays usable.
func TestMemoryShort(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	for _, n := range []int{1 << 50, 1 << 61, math.MaxInt64} {
		_, err := e.NewBuffer(engine.F32, n)
		if err == nil || !strings.Contains(err.Error(), "out of memory") {
			t.Errorf("a buffer of %d elements: %v", n, err)
		}
	}
	if err := e.Sync(); err != nil {
		t.Errorf("a buffer that was not made is a fault: %v", err)
	}
	x := newTensor(t, e, 2)
	e.Fill(x, 5)
	var got [2]float32
	e.Download(got[:], x)
	if got != [2]float32{5, 5} {
		t.Errorf("got %v, want 5, 5", got)
	}
}

func mustPanic(t *testing.T, what, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if text, _ := recover().(string); !strings.Contains(text, want) {
			t.Errorf("%s: panic %q, want %q", what, text, want)
		}
	}()
	f()
}

// TestMisuse uses buffers that are freed or another engine's, and a closed engine.
func TestMisuse(t *testing.T) {
	e, other := open(t, 1), open(t, 1)
	x, foreign := newTensor(t, e, 2), newTensor(t, other, 2)
	mustPanic(t, "another engine's buffer", "another engine", func() { e.Fill(foreign, 1) })
	buf, err := ref.New().NewBuffer(engine.F32, 2)
	if err != nil {
		t.Fatal(err)
	}
	mustPanic(t, "another kind of engine's buffer", "another engine",
		func() { e.Fill(engine.NewTensor(buf, 0, tensor.Of(2)), 1) })
	x.Buffer().Free()
	x.Buffer().Free() // a second time does nothing
	mustPanic(t, "a freed buffer", "freed", func() { e.Fill(x, 1) })
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	mustPanic(t, "a closed engine", "closed", func() { e.Sync() })
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	mustPanic(t, "a buffer of a closed engine", "freed", func() { other.Fill(foreign, 1) })
}

// TestEnginesAtOnce runs engines of several numbers of threads beside each other:
// each gives what it gives alone.
func TestEnginesAtOnce(t *testing.T) {
	const rows, cols = 67, 48
	product := func(threads int) []float32 {
		e := open(t, threads)
		defer e.Close()
		x, w, y := newTensor(t, e, rows, cols), newTensor(t, e, cols, cols), newTensor(t, e, rows, cols)
		v := make([]float32, rows*cols)
		rng.New(1, "x").FillNormal(v, 1)
		e.Upload(x, v)
		e.Upload(w, v[:cols*cols])
		for range 20 {
			e.Linear(engine.LinearArgs{Y: y, X: x, W: w, GELU: true})
		}
		e.Download(v, y)
		if err := e.Sync(); err != nil {
			t.Error(err)
		}
		return v
	}
	shimtest.Library(t) // once, or skip
	var alone, together [4][]float32
	for i := range alone {
		alone[i] = product(1 + i%2)
	}
	var wg sync.WaitGroup
	for i := range together {
		wg.Go(func() { together[i] = product(1 + i%2) })
	}
	wg.Wait()
	for i := range alone {
		for j, v := range together[i] {
			if math.Float32bits(v) != math.Float32bits(alone[i][j]) {
				t.Fatalf("engine %d, element %d: %v beside others, %v alone", i, j, v, alone[i][j])
			}
		}
	}
}

// TestWrongLabel gives CrossEntropy a label that is no class: the loss and the row's
// gradient are NaN, the others are not.
func TestWrongLabel(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	for _, label := range []float32{-1, 3, 1e9, float32(math.NaN())} {
		loss, d := newTensor(t, e, 1), newTensor(t, e, 2, 3)
		logits, labels := newTensor(t, e, 2, 3), newTensor(t, e, 2)
		e.Upload(labels, []float32{1, label})
		e.CrossEntropy(engine.CrossEntropyArgs{Loss: loss, DLogits: d, Logits: logits,
			Labels: labels, Weight: 1})
		var got [7]float32
		e.Download(got[:6], d)
		e.Download(got[6:], loss)
		for i, v := range got {
			if (v != v) != (i >= 3) {
				t.Errorf("label %v: number %d of gradient and loss is %v", label, i, v)
			}
		}
	}
	if err := e.Sync(); err != nil {
		t.Error(err)
	}
}

// TestEmpty runs operations on no rows: they are no faults, sums gain nothing, and
// keys without queries get gradients of 0.
func TestEmpty(t *testing.T) {
	e := open(t, 2)
	defer e.Close()
	const d = 4
	none, w, v := newTensor(t, e, 0, d), newTensor(t, e, d, d), newTensor(t, e, d)
	e.Fill(v, 2)
	e.Linear(engine.LinearArgs{Y: none, X: newTensor(t, e, 0, d), W: w, Bias: v, GELU: true})
	e.LinearInput(engine.LinearInputArgs{DX: none, DY: newTensor(t, e, 0, d), W: w})
	e.LinearWeight(engine.LinearWeightArgs{DW: w, DBias: v, DY: none, X: newTensor(t, e, 0, d)})
	e.LayerNorm(engine.LayerNormArgs{Y: none, X: none, Gain: v, Bias: v})
	e.GELU(none, none)
	e.Dropout(none, none, rng.Mask{P: 0.5})
	e.AddTo(none, newTensor(t, e, 0, d), 1)

	keys := func() engine.Tensor { x := newTensor(t, e, 1, 3, d); e.Fill(x, 7); return x }
	queries := func() engine.Tensor { return newTensor(t, e, 1, 0, d) }
	dk, dv := keys(), keys()
	e.Attention(engine.AttentionArgs{Out: queries(), Q: queries(), K: dk, V: dv, Heads: 2})
	e.AttentionBackward(engine.AttentionBackwardArgs{DQ: queries(), DK: dk, DV: dv,
		DOut: queries(), Out: queries(), Q: queries(), K: keys(), V: keys(), Heads: 2,
		LSE: newTensor(t, e, 0), Delta: newTensor(t, e, 0)})
	if err := e.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		x    engine.Tensor
		want float32
	}{{"weight", w, 0}, {"bias", v, 2}, {"DK", dk, 0}, {"DV", dv, 0}} {
		got := make([]float32, c.x.Elems())
		e.Download(got, c.x)
		for i, g := range got {
			if g != c.want {
				t.Errorf("%s, element %d: %v, want %v", c.name, i, g, c.want)
			}
		}
	}
}
