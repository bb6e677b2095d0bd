package ref

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
)

// Engine is the reference engine.
type Engine struct {
	blocks map[int]*block // by handle
	next   int            // the next handle
}

// block is the memory of one buffer. Each word is stored XOR key: the bits of a
// float64, or a byte.
type block struct {
	words []uint64
	key   uint64
}

// handle is the engine.Buffer: a number, and nothing that leads to the memory
// but by way of the engine.
type handle struct {
	e     *Engine
	id    int
	dt    engine.DType
	elems int
}

func (h *handle) DType() engine.DType { return h.dt }
func (h *handle) Elems() int          { return h.elems }
func (h *handle) Free()               { delete(h.e.blocks, h.id) }

// New returns an engine without buffers.
func New() *Engine { return &Engine{blocks: map[int]*block{}} }

func (e *Engine) Info() engine.Info {
	return engine.Info{Name: "ref", Device: "plain loops in float64", Threads: 1, BF16: true}
}

// Close forgets all buffers.
func (e *Engine) Close() error {
	clear(e.blocks)
	return nil
}

func (e *Engine) Sync() error { return nil }

// NewBuffer returns a zeroed buffer. A value stored in one of type BF16 is rounded
// to that type; F32 buffers hold float64.
func (e *Engine) NewBuffer(dt engine.DType, elems int) (engine.Buffer, error) {
	if elems < 0 {
		return nil, fmt.Errorf("ref: buffer of %d elements", elems)
	}
	e.next++
	b := &block{words: make([]uint64, elems), key: uint64(e.next) * 0x9E3779B97F4A7C15}
	for i := range b.words {
		b.words[i] = b.key
	}
	e.blocks[e.next] = b
	return &handle{e, e.next, dt, elems}, nil
}

// block returns the memory of a tensor, which must be alive and of this engine.
func (e *Engine) block(t engine.Tensor) *block {
	h, ok := t.Buffer().(*handle)
	if !ok || h.e != e {
		panic(fmt.Sprintf("ref: %v belongs to another engine", t))
	}
	b := e.blocks[h.id]
	if b == nil {
		panic(fmt.Sprintf("ref: %v was freed", t))
	}
	return b
}

// load returns the elements of a tensor in C order; nil for a nil tensor.
func (e *Engine) load(t engine.Tensor) []float64 {
	if t.Nil() {
		return nil
	}
	b, out := e.block(t), make([]float64, t.Elems())
	c, bytes := t.Cols(), t.DType() == engine.U8
	for r := range t.Rows() {
		row := b.words[t.Offset()+r*t.Stride():][:c]
		for j, w := range row {
			if bytes {
				out[r*c+j] = float64(w ^ b.key)
			} else {
				out[r*c+j] = math.Float64frombits(w ^ b.key)
			}
		}
	}
	return out
}

// store sets the elements of a tensor; it does nothing for a nil tensor.
func (e *Engine) store(t engine.Tensor, v []float64) {
	if t.Nil() {
		return
	}
	b, c := e.block(t), t.Cols()
	for r := range t.Rows() {
		row := b.words[t.Offset()+r*t.Stride():][:c]
		for j := range row {
			x := v[r*c+j]
			switch t.DType() {
			case engine.U8:
				row[j] = uint64(x) ^ b.key
			case engine.BF16:
				row[j] = math.Float64bits(roundBF16(x)) ^ b.key
			default:
				row[j] = math.Float64bits(x) ^ b.key
			}
		}
	}
}

// roundBF16 returns the bfloat16 nearest to x, ties to even.
func roundBF16(x float64) float64 {
	if x != x || x == 0 || math.IsInf(x, 0) {
		return x
	}
	const mantissa, least = 8, -133 // bits, and the exponent of the last subnormal's bit
	_, exp := math.Frexp(x)
	ulp := math.Ldexp(1, max(exp-mantissa, least))
	y := math.RoundToEven(x/ulp) * ulp
	if math.Abs(y) > 0x1.FEp127 {
		return math.Inf(int(math.Copysign(1, x)))
	}
	return y
}

// add adds to the elements of a tensor; it does nothing for a nil tensor.
func (e *Engine) add(t engine.Tensor, v []float64) {
	sum := e.load(t)
	for i := range sum {
		sum[i] += v[i]
	}
	e.store(t, sum)
}

// put stores or adds.
func (e *Engine) put(t engine.Tensor, v []float64, m engine.Mode) {
	if m == engine.Add {
		e.add(t, v)
	} else {
		e.store(t, v)
	}
}

// UploadFloat64 is Upload without rounding to float32.
func (e *Engine) UploadFloat64(dst engine.Tensor, src []float64) {
	if len(src) != dst.Elems() {
		panic(fmt.Sprintf("ref: %d values for %v", len(src), dst))
	}
	e.store(dst, src)
}

// DownloadFloat64 is Download without rounding to float32.
func (e *Engine) DownloadFloat64(dst []float64, src engine.Tensor) {
	if len(dst) != src.Elems() {
		panic(fmt.Sprintf("ref: %d values of %v", len(dst), src))
	}
	copy(dst, e.load(src))
}

func (e *Engine) Upload(dst engine.Tensor, src []float32) {
	engine.CheckUpload(dst, src)
	v := make([]float64, len(src))
	for i, x := range src {
		v[i] = float64(x)
	}
	e.store(dst, v)
}

func (e *Engine) UploadBytes(dst engine.Tensor, src []byte) {
	engine.CheckUploadBytes(dst, src)
	v := make([]float64, len(src))
	for i, x := range src {
		v[i] = float64(x)
	}
	e.store(dst, v)
}

func (e *Engine) Download(dst []float32, src engine.Tensor) {
	engine.CheckDownload(dst, src)
	for i, x := range e.load(src) {
		dst[i] = float32(x)
	}
}

func (e *Engine) Copy(dst, src engine.Tensor) {
	engine.CheckCopy(dst, src)
	e.store(dst, e.load(src))
}

// Cast is Copy between types: store rounds.
func (e *Engine) Cast(dst, src engine.Tensor) {
	engine.CheckCast(dst, src)
	e.store(dst, e.load(src))
}

func (e *Engine) Fill(dst engine.Tensor, v float32) {
	engine.CheckFill(dst)
	values := make([]float64, dst.Elems())
	for i := range values {
		values[i] = float64(v)
	}
	e.store(dst, values)
}

var _ engine.Engine = (*Engine)(nil)
