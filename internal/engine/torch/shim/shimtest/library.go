// Package shimtest gives tests the built shim of the torch engine.
package shimtest

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"avjepa/internal/engine/torch/shim"
)

// Library returns the path of the shim for the libtorch of this machine. It builds
// it into the user's cache if need be, once however many packages ask at a time.
// Without a libtorch or a compiler the test is skipped with the reason, or fails
// when AVJEPA_REQUIRE lists torch. AVJEPA_TEST_PYTHON names a Python whose torch is
// to be used.
func Library(t testing.TB) string {
	t.Helper()
	r := built()
	switch {
	case r.fault != nil:
		t.Fatal(r.fault)
	case r.lacks != "" && slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "torch"):
		t.Fatal("AVJEPA_REQUIRE has torch: " + r.lacks)
	case r.lacks != "":
		t.Skip(r.lacks)
	}
	return r.path
}

// Device returns the device to test on, for torch.Config: AVJEPA_TEST_DEVICE, or the
// CPU.
func Device() string { return os.Getenv("AVJEPA_TEST_DEVICE") }

// result is the path of the shim, what the machine lacks for it, or a fault.
type result struct {
	path, lacks string
	fault       error
}

// built finds libtorch and builds the shim, once in a process.
var built = sync.OnceValue(func() result {
	ctx := context.Background()
	// As avjepa engine build looks for it.
	o := shim.Options{CUDAHome: cmp.Or(os.Getenv("CUDA_HOME"), os.Getenv("CUDA_PATH"))}
	if python := os.Getenv("AVJEPA_TEST_PYTHON"); python != "" {
		o.Pythons, o.OnlyPythons = []string{python}, true
	} else if python, err := exec.LookPath("python3"); err == nil {
		o.Pythons = []string{python}
	}
	best, err := shim.Best(shim.Find(ctx, o))
	if err != nil {
		return result{lacks: err.Error()}
	}
	compiler, err := exec.LookPath(cmp.Or(os.Getenv("CXX"), "c++"))
	if err != nil {
		return result{lacks: "no C++ compiler: " + err.Error()}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	l, err := shim.Build(ctx, shim.BuildConfig{Torch: best, Cache: cache, Compiler: compiler})
	if err != nil {
		return result{fault: err}
	}
	return result{path: l.Path}
})
