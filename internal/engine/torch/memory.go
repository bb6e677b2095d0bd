package torch

import (
	"fmt"
	"math"
	"unsafe"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// buffer is a block of the device's memory.
type buffer struct {
	e      *Engine
	dt     engine.DType
	elems  int
	handle uintptr // avj_buffer; 0 after Free
}

type newBufferArgs struct {
	dtype, elems int64
	buffer       *uintptr
}

// NewBuffer returns a zeroed block. That memory is short is no fault: the engine
// stays usable.
func (e *Engine) NewBuffer(dt engine.DType, elems int) (engine.Buffer, error) {
	e.alive()
	if elems < 0 {
		panic(fmt.Sprintf("torch: a buffer of %d elements", elems))
	}
	b := &buffer{e: e, dt: dt, elems: elems}
	a := &newBufferArgs{dtype: int64(dt), elems: int64(elems), buffer: &b.handle}
	message := e.lib.newBuffer.call(e.handle, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
	if err := e.lib.fault(message); err != nil {
		return nil, fmt.Errorf("torch: a buffer of %d %v elements: %w", elems, dt, err)
	}
	e.buffers[b] = struct{}{}
	return b, nil
}

func (b *buffer) DType() engine.DType { return b.dt }
func (b *buffer) Elems() int          { return b.elems }

// Free gives the memory back. Using a tensor in it afterwards panics.
func (b *buffer) Free() {
	if b.handle == 0 {
		return
	}
	b.e.forget()
	b.e.record("Free", b.e.lib.freeBuffer.call(b.e.handle, b.handle, 0))
	b.handle = 0
	delete(b.e.buffers, b)
}

// tensorArg is avj_tensor: a view of a buffer, as the shim sees it.
type tensorArg struct {
	buffer         uintptr // avj_buffer; 0: absent
	offset, stride int64
	rank           int64
	dims           [tensor.MaxRank]int64
}

// arg returns what the shim is to see of t, which must be alive and of this engine.
func (e *Engine) arg(t engine.Tensor) tensorArg {
	if t.Nil() {
		return tensorArg{}
	}
	b, ok := t.Buffer().(*buffer)
	if !ok || b.e != e {
		panic(fmt.Sprintf("torch: %v belongs to another engine", t))
	}
	if b.handle == 0 {
		panic(fmt.Sprintf("torch: %v was freed", t))
	}
	shape := t.Shape()
	a := tensorArg{buffer: b.handle, offset: int64(t.Offset()), stride: int64(t.Stride()),
		rank: int64(shape.Rank())}
	for i := range shape.Rank() {
		a.dims[i] = int64(shape.Dim(i))
	}
	return a
}

// maskArg is avj_mask.
type maskArg struct {
	key                        uint64
	p                          float64
	first, run, stride, tokens int64
}

func maskOf(m rng.Mask) maskArg {
	return maskArg{key: uint64(m.Key), p: m.P, first: int64(m.Rows.First), run: int64(m.Rows.Run),
		stride: int64(m.Rows.Stride), tokens: int64(m.Rows.Tokens)}
}

// flag returns 1 for true.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

type transferArgs struct {
	tensor tensorArg
	host   unsafe.Pointer
}

// transfer moves a tensor's elements from or to host memory.
func (e *Engine) transfer(name string, f function, t engine.Tensor, host unsafe.Pointer) {
	a := &e.args.transfer
	*a = transferArgs{tensor: e.arg(t), host: host}
	e.do(name, f, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
	a.host = nil
}

// Upload copies src into dst.
func (e *Engine) Upload(dst engine.Tensor, src []float32) {
	engine.CheckUpload(dst, src)
	if len(src) > 0 {
		e.transfer("Upload", e.lib.upload, dst, unsafe.Pointer(&src[0]))
	}
}

// UploadBytes copies src into dst.
func (e *Engine) UploadBytes(dst engine.Tensor, src []byte) {
	engine.CheckUploadBytes(dst, src)
	if len(src) > 0 {
		e.transfer("UploadBytes", e.lib.upload, dst, unsafe.Pointer(&src[0]))
	}
}

// Download copies src into dst, row by row, and waits for it. After a fault dst is
// NaN.
func (e *Engine) Download(dst []float32, src engine.Tensor) {
	engine.CheckDownload(dst, src)
	if len(dst) == 0 {
		return
	}
	e.transfer("Download", e.lib.download, src, unsafe.Pointer(&dst[0]))
	if e.err != nil {
		for i := range dst {
			dst[i] = float32(math.NaN())
		}
	}
}

type pairArgs struct {
	dst, src tensorArg
	alpha    float64
}

// pair calls an operation of two tensors of one shape.
func (e *Engine) pair(name string, f function, dst, src engine.Tensor, alpha float64) {
	a := &e.args.pair
	*a = pairArgs{dst: e.arg(dst), src: e.arg(src), alpha: alpha}
	e.do(name, f, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
}

// Copy copies src to dst.
func (e *Engine) Copy(dst, src engine.Tensor) {
	engine.CheckCopy(dst, src)
	e.pair("Copy", e.lib.copy, dst, src, 0)
}

// Cast is Copy between types.
func (e *Engine) Cast(dst, src engine.Tensor) {
	engine.CheckCast(dst, src)
	e.pair("Cast", e.lib.copy, dst, src, 0)
}

type scalarArgs struct {
	x     tensorArg
	value float64
}

// scalar calls an operation of one tensor and a number.
func (e *Engine) scalar(name string, f function, x engine.Tensor, v float32) {
	a := &e.args.scalar
	*a = scalarArgs{x: e.arg(x), value: float64(v)}
	e.do(name, f, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a))
}

// Fill sets all elements of dst to v.
func (e *Engine) Fill(dst engine.Tensor, v float32) {
	engine.CheckFill(dst)
	e.scalar("Fill", e.lib.fill, dst, v)
}
