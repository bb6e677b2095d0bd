package cpu

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/enginetest"
	"avjepa/internal/tensor"
)

// open returns an engine of the given number of threads. Its tests close it.
func open(t testing.TB, threads int) *Engine {
	t.Helper()
	e, err := New(Config{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEngine holds the engine to the reference: values, strides, aliasing, NaN,
// the same bits in a second run, and no allocation in a steady state.
func TestEngine(t *testing.T) {
	for _, threads := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("%d threads", threads), func(t *testing.T) {
			enginetest.Options{ZeroAllocs: true}.Run(t, func(t *testing.T) engine.Engine {
				return open(t, threads)
			})
		})
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Config{Threads: -1}); err == nil {
		t.Error("New accepted -1 threads")
	}
	e := open(t, 3)
	defer e.Close()
	i := e.Info()
	if i.Name != "cpu" || i.Threads != 3 || !strings.Contains(i.Device, "3 threads") || i.BF16 {
		t.Errorf("Info is %+v", i)
	}
}

func TestNewBufferErrors(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	if _, err := e.NewBuffer(engine.BF16, 4); err == nil {
		t.Error("a BF16 buffer was made")
	}
	if _, err := e.NewBuffer(engine.F32, 1<<50); err == nil {
		t.Error("a buffer of 4 PiB was made")
	}
}

// TestClipScaleOfTinyNorm sees the 1e-6 that keeps the quotient finite.
func TestClipScaleOfTinyNorm(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	buf, err := e.NewBuffer(engine.F32, 2)
	if err != nil {
		t.Fatal(err)
	}
	x := engine.NewTensor(buf, 0, tensor.Of(2))
	e.Upload(x, []float32{1e-12, 0})
	e.ClipScale(x.Slice(1, 2), x.Slice(0, 1), 1e-6)
	var got [2]float32
	e.Download(got[:], x)
	if !(math.Abs(float64(got[1])-0.5) <= 1e-6) {
		t.Errorf("scale is %v, want 0.5", got[1])
	}
}
