package torch

import (
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/torch/shim/shimtest"
)

// A GPU has memory, of which a buffer takes some; a CPU has none of its own.
func TestDeviceMemory(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	free, total, ok := e.DeviceMemory()
	if !strings.HasPrefix(shimtest.Device(), "cuda") {
		if free != 0 || total != 0 || ok {
			t.Errorf("%d of %d bytes free, %v, on a CPU", free, total, ok)
		}
		return
	}
	if !ok || !(free > 0 && free <= total) {
		t.Fatalf("%d of %d bytes free, %v", free, total, ok)
	}
	const elems = 256 << 20
	b, err := e.NewBuffer(engine.F32, elems)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	if now, _, _ := e.DeviceMemory(); !(now <= free-4*elems/2) { // others may free some
		t.Errorf("%d bytes free with a buffer of 1 GiB, %d before", now, free)
	}
}
