package torch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// Memory. libtorch keeps what is freed for its next use, in blocks that may end up too
// small for a large tensor. Whoever runs short although the dry run fits may set
// PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True in the environment, which libtorch
// itself reads: blocks then grow, at no cost known to us. Recorded steps keep their
// temporary memory, which all recordings of a process share.

// errWords is why a recording is refused that would run with numbers of former steps.
var errWords = errors.New("torch: some operation has no kernel that can be recorded")

type pathsArgs struct {
	text *byte
	size int64
}

// Paths returns a line for each thing that a GPU does in a faster way than the plain
// one, used or not and why, as found when the engine was opened; then what attention
// uses for the shapes seen so far, with the times measured. A CPU has none.
func (e *Engine) Paths() ([]string, error) {
	e.alive()
	text := make([]byte, 16<<10)
	a := &pathsArgs{text: &text[0], size: int64(len(text))}
	if err := e.special("avj_paths", uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a)); err != nil {
		return nil, err
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	if err := e.recorder.why; err != nil {
		lines = append(lines, "recorded steps: not used: "+err.Error())
	}
	return lines, nil
}

type forceArgs struct{ attention *byte }

// ForceAttention chooses the kernels of attention on a GPU, for all engines of the
// process: "flash", "cudnn", "efficient", "composed", or "auto" for the fastest, which
// is measured when a shape is first seen. Only composed attention has the dropout
// masks of package rng in BF16 too.
func (e *Engine) ForceAttention(kind string) error {
	e.alive()
	a := &forceArgs{&append([]byte(kind), 0)[0]}
	return e.special("avj_force", uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
}

// special calls a function of src/avjepa_cuda.h.
//
//go:uintptrescapes
func (e *Engine) special(name string, args, size uintptr) error {
	f, err := e.lib.symbol(name)
	if err != nil {
		return fmt.Errorf("torch: %w", err)
	}
	if err := e.lib.fault(f.call(e.handle, args, size)); err != nil {
		return fmt.Errorf("torch: %s: %w", name, err)
	}
	return nil
}

type recordArgs struct {
	recording *uintptr
	recorded  *int64
	words     *uint64
	count     int64
}

// graphs records by CUDA graphs.
type graphs struct{ e *Engine }

func (g graphs) call(name string, a *recordArgs) error {
	return g.e.special(name, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
}

func (g graphs) begin() error { return g.call("avj_record_begin", &recordArgs{}) }

func (g graphs) end() (handle uintptr, words int, err error) {
	var n int64
	err = g.call("avj_record_end", &recordArgs{recording: &handle, recorded: &n})
	return handle, int(n), err
}

func (g graphs) replay(handle uintptr, words []uint64) error {
	a := &recordArgs{recording: &handle, count: int64(len(words))}
	if len(words) > 0 {
		a.words = &words[0]
	}
	return g.call("avj_record_replay", a)
}

func (g graphs) free(handle uintptr) {
	g.e.keep("Free", g.e.special("avj_record_free", handle, 0))
}
