package cpu

import (
	"fmt"
	"unsafe"

	"avjepa/internal/engine"
)

// buffer is a block of memory outside the Go heap.
type buffer struct {
	e     *Engine
	dt    engine.DType
	elems int
	mem   []byte // nil after Free
}

// NewBuffer returns a zeroed block of type F32 or U8.
func (e *Engine) NewBuffer(dt engine.DType, elems int) (engine.Buffer, error) {
	if dt != engine.F32 && dt != engine.U8 {
		return nil, fmt.Errorf("cpu: tensors of type %v are not supported: use %v", dt, engine.F32)
	}
	if elems < 0 {
		panic(fmt.Sprintf("cpu: a buffer of %d elements", elems))
	}
	mem, err := allocate(max(1, elems) * dt.Size())
	if err != nil {
		return nil, fmt.Errorf("cpu: a buffer of %d %v elements: %w", elems, dt, err)
	}
	b := &buffer{e: e, dt: dt, elems: elems, mem: mem}
	e.buffers[b] = struct{}{}
	return b, nil
}

func (b *buffer) DType() engine.DType { return b.dt }
func (b *buffer) Elems() int          { return b.elems }

// Free gives the memory back. Using a tensor in it afterwards panics.
func (b *buffer) Free() {
	if b.mem == nil {
		return
	}
	release(b.mem)
	b.mem = nil
	b.e.quantized.forget(b)
	delete(b.e.buffers, b)
}

func (b *buffer) floats() []float32 {
	if b.mem == nil || b.dt != engine.F32 {
		panic(fmt.Sprintf("cpu: buffer of %d %v elements read as f32 (freed: %v)",
			b.elems, b.dt, b.mem == nil))
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&b.mem[0])), b.elems)
}

func (b *buffer) bytes() []byte {
	if b.mem == nil || b.dt != engine.U8 {
		panic(fmt.Sprintf("cpu: buffer of %d %v elements read as u8 (freed: %v)",
			b.elems, b.dt, b.mem == nil))
	}
	return b.mem[:b.elems]
}
