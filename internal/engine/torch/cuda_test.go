package torch

import (
	"strings"
	"testing"

	"avjepa/internal/engine/torch/shim/shimtest"
)

// TestPaths: on a GPU of this decade every fast path passes the test that is made when
// the engine opens. On a CPU there is none.
func TestPaths(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	paths, err := e.Paths()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(shimtest.Device(), "cuda") {
		if len(paths) != 0 {
			t.Errorf("a CPU has fast paths: %q", paths)
		}
		if err := e.ForceAttention("flash"); err == nil {
			t.Error("a CPU takes a choice of a GPU's attention")
		}
		return
	}
	for _, line := range paths {
		t.Log(line)
		if strings.Contains(line, "kernel") && !strings.HasSuffix(line, ": used") ||
			strings.HasPrefix(line, "fused attention: not used") {
			t.Error(line)
		}
	}
	if len(paths) < 12 {
		t.Errorf("%d paths, want 12 or more", len(paths))
	}
	if err := e.ForceAttention("quick"); err == nil {
		t.Error("attention of a name that does not exist can be forced")
	}
}
