package torch

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/enginetest"
	"avjepa/internal/engine/torch/shim"
	"avjepa/internal/engine/torch/shim/shimtest"
)

// kernelFiles are the texts of the GPU's kernels, in the order of cuda_source.cpp.
var kernelFiles = []string{"cuda_common.cuh", "cuda_elementwise.cu", "cuda_layernorm.cu",
	"cuda_tokens.cu", "cuda_objective.cu"}

// kernelText returns the kernels without the quotes that make them C++ strings.
func kernelText(t *testing.T) []byte {
	t.Helper()
	var all []byte
	for _, name := range kernelFiles {
		text, err := os.ReadFile(filepath.Join("shim", "src", name))
		if err != nil {
			t.Fatal(err)
		}
		text, ok := bytes.CutPrefix(text, []byte("R\"cuda(\n"))
		text, end := bytes.CutSuffix(text, []byte(")cuda\"\n"))
		if !ok || !end {
			t.Fatalf("%s is not one raw string R\"cuda(…)cuda\"", name)
		}
		all = append(all, text...)
	}
	return all
}

// emulated returns the path of the shim that runs the GPU's kernels on the CPU, from
// the user's cache. It is built with what the shim was built with.
func emulated(t *testing.T) string {
	t.Helper()
	dir := filepath.Dir(shimtest.Library(t))
	var l shim.Library
	text, err := os.ReadFile(filepath.Join(dir, "built.json"))
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		t.Fatal(err)
	}
	kernels := kernelText(t)
	var texts [2][]byte
	for i, name := range []string{"emulate.cpp", "emulated_shim.cpp"} {
		if texts[i], err = os.ReadFile(filepath.Join("testdata", name)); err != nil {
			t.Fatal(err)
		}
	}
	// Another shim may be loaded, whose functions have the same names.
	link := append([]string{"-O0", "-Wl,-Bsymbolic"}, l.Link...)
	key := sha256.Sum256(slices.Concat([]byte(l.Path), []byte(l.Source),
		fmt.Append(nil, l.Compile, link), texts[0], texts[1], kernels))
	cache := filepath.Join(filepath.Dir(dir), "emulated")
	path := filepath.Join(cache, fmt.Sprintf("%x.so", key[:8]))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.RemoveAll(cache); err != nil { // those of former sources
		t.Fatal(err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "kernels.inc"), kernels, 0o644); err != nil {
		t.Fatal(err)
	}
	common := []string{"-I" + work, "-Ishim/src"}
	for _, flag := range l.Compile {
		if flag != "-O2" && flag != "-DAVJEPA_CUDA" {
			common = append(common, flag)
		}
	}
	run := func(args ...string) {
		out, err := exec.Command(l.Compiler, append(args, common...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", l.Compiler, err, out)
		}
	}
	// A misaligned access of four elements, a fault on a GPU, ends the program.
	run("-c", "testdata/emulate.cpp", "-o", filepath.Join(work, "kernels.o"), "-O1",
		"-Wno-unknown-pragmas", "-fsanitize=alignment", "-fsanitize-undefined-trap-on-error")
	run(append([]string{"testdata/emulated_shim.cpp", filepath.Join(work, "kernels.o"), "-o",
		path + ".new"}, link...)...)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKernels runs the text of the GPU's kernels on the CPU and holds the engine that
// calls them to the reference, and to the test it makes when it opens on a GPU.
func TestKernels(t *testing.T) {
	path := emulated(t)
	e, err := New(Config{Library: path, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	symbol := func(name string) function {
		f, err := e.lib.symbol(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	paths, err := e.Paths()
	if err != nil {
		t.Fatal(err)
	}
	kernels := 0
	for _, line := range paths {
		if strings.Contains(line, "kernel") {
			kernels++
			if !strings.HasSuffix(line, ": used") {
				t.Error(line)
			}
		}
	}
	if kernels != 11 {
		t.Errorf("%d paths have kernels, want 11: %q", kernels, paths)
	}
	before := symbol("avj_emulated_launches").call(0, 0, 0)
	enginetest.Options{BF16: true}.Run(t, func(t *testing.T) engine.Engine {
		e, err := New(Config{Library: path, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
	if symbol("avj_emulated_launches").call(0, 0, 0) == before {
		t.Error("no kernel was started")
	}
}
