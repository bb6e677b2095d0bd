package torch

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/enginetest"
	"avjepa/internal/engine/torch/shim/shimtest"
)

// open returns an engine on the CPU. Its tests close it.
func open(t testing.TB, threads int) *Engine {
	t.Helper()
	e, err := New(Config{Library: shimtest.Library(t), Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEngine(t *testing.T) {
	e := open(t, 2)
	t.Log(e.Info())
	e.Close()
	enginetest.Options{ZeroAllocs: true, BF16: true}.Run(t, func(t *testing.T) engine.Engine {
		return open(t, 2)
	})
}
