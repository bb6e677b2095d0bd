package torch

import (
	"bytes"
	"fmt"
	"unsafe"

	"avjepa/internal/engine"
)

// Config chooses how an Engine runs.
type Config struct {
	Library string // path of the shim
	Device  string // "cpu" (also ""), "cuda" or "cuda:N"
	Threads int    // of a CPU; 0 for all cores
}

// Engine implements engine.Engine. It is made by New.
type Engine struct {
	lib      *library
	handle   uintptr // avj_engine; 0 after Close
	info     engine.Info
	err      error                // the first fault since the last Sync
	buffers  map[*buffer]struct{} // live ones, freed by Close
	args     arguments
	words    [3]uintptr // of the call under way
	recorder recorder
}

// arguments holds one value of every struct that is passed to the shim, so that a
// call allocates nothing.
type arguments struct {
	transfer          transferArgs
	pair              pairArgs
	scalar            scalarArgs
	linear            linearArgs
	linearInput       linearInputArgs
	linearWeight      linearWeightArgs
	layerNorm         layerNormArgs
	layerNormBack     layerNormBackwardArgs
	batchNorm         batchNormArgs
	batchNormBack     batchNormBackwardArgs
	columnStats       columnStatsArgs
	geluBackward      geluBackwardArgs
	dropout           dropoutArgs
	attention         attentionArgs
	attentionBackward attentionBackwardArgs
	attentionWeights  attentionWeightsArgs
	video             patchifyVideoArgs
	audio             patchifyAudioArgs
	assemble          assembleArgs
	center            centerArgs
	prediction        predictionLossArgs
	ecf               ecfArgs
	ecfBackward       ecfBackwardArgs
	sigreg            sigregArgs
	crossEntropy      crossEntropyArgs
	reduce            reduceArgs
	adamw             adamwArgs
}

var _ engine.Engine = (*Engine)(nil)

type openArgs struct {
	device               *byte
	threads              int64
	engine               *uintptr
	threadsUsed, hasCUDA *int64
	about                *byte
	aboutSize            int64
}

// New loads the shim, which takes about a second the first time, and opens a device.
// The error is ErrNoLibrary if there is no shim, else it says what is wrong with the
// device.
func New(c Config) (*Engine, error) {
	if c.Threads < 0 {
		return nil, fmt.Errorf("torch: %d threads: want a positive number, or 0 for all cores",
			c.Threads)
	}
	if c.Device == "" {
		c.Device = "cpu"
	}
	lib, err := load(c.Library)
	if err != nil {
		return nil, err
	}
	e := &Engine{lib: lib, buffers: map[*buffer]struct{}{}}
	var threads, cuda int64
	var about [256]byte
	a := &openArgs{device: &append([]byte(c.Device), 0)[0], threads: int64(c.Threads),
		engine: &e.handle, threadsUsed: &threads, hasCUDA: &cuda, about: &about[0],
		aboutSize: int64(len(about))}
	if err := lib.fault(lib.open.call(0, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))); err != nil {
		return nil, fmt.Errorf("torch: opening device %s: %w", c.Device, err)
	}
	text, _, _ := bytes.Cut(about[:], []byte{0})
	e.info = engine.Info{Name: "torch", Device: string(text), Threads: int(threads), BF16: true,
		Async: cuda != 0}
	if e.info.Async {
		e.recorder.able = graphs{e}
	}
	return e, nil
}

// Info names the version of libtorch and the device.
func (e *Engine) Info() engine.Info { return e.info }

// Close frees all buffers. The engine cannot be used afterwards.
func (e *Engine) Close() error {
	if e.handle == 0 {
		return nil
	}
	e.forget()
	for b := range e.buffers {
		b.Free()
	}
	err := e.lib.fault(e.lib.close.call(e.handle, 0, 0))
	e.handle = 0
	if err != nil {
		return fmt.Errorf("torch: closing %s: %w", e.info.Device, err)
	}
	return nil
}

// Sync waits for everything queued, and returns the first fault since the last Sync.
func (e *Engine) Sync() error {
	e.alive()
	e.flush()
	e.record("Sync", e.lib.sync.call(e.handle, 0, 0))
	err := e.err
	e.err = nil
	return err
}

// do calls an operation of the shim unless a fault is pending. Its arguments lie in
// e.args, which does not move.
func (e *Engine) do(name string, f function, args, size uintptr) {
	e.alive()
	if !e.recorder.on || !e.put(name, f, args, size) {
		e.call(name, f, args, size)
	}
}

// call is do without putting off.
func (e *Engine) call(name string, f function, args, size uintptr) {
	if e.err == nil {
		e.words = [3]uintptr{e.handle, args, size}
		e.record(name, f.callWith(e.words[:]))
	}
}

// record keeps the fault that a message of the shim's says, if it is the first.
func (e *Engine) record(name string, message uintptr) {
	e.keep(name, e.lib.fault(message))
}

// keep keeps a fault if it is the first.
func (e *Engine) keep(name string, err error) {
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("torch: %s: %w", name, err)
	}
}

func (e *Engine) alive() {
	if e.handle == 0 {
		panic("torch: the engine is closed")
	}
}
