package cpu

import (
	"math"

	"avjepa/internal/engine"
)

// Upload copies src into dst.
func (e *Engine) Upload(dst engine.Tensor, src []float32) {
	engine.CheckUpload(dst, src)
	copy(vec(dst), src)
}

// UploadBytes copies src into dst.
func (e *Engine) UploadBytes(dst engine.Tensor, src []byte) {
	engine.CheckUploadBytes(dst, src)
	copy(own(dst).bytes()[dst.Offset():], src)
}

// Download copies src into dst, row by row.
func (e *Engine) Download(dst []float32, src engine.Tensor) {
	engine.CheckDownload(dst, src)
	m := mat(src)
	for r := range m.rows {
		copy(dst[r*m.cols:], m.row(r))
	}
}

// Copy copies src to dst, both F32 or both U8.
func (e *Engine) Copy(dst, src engine.Tensor) {
	engine.CheckCopy(dst, src)
	if dst.DType() == engine.U8 {
		t := &e.copyBytesTask
		*t = copyBytesTask{dst: own(dst).bytes()[dst.Offset():],
			src: own(src).bytes()[src.Offset():], rows: dst.Rows(), cols: dst.Cols(),
			dstStride: dst.Stride(), srcStride: src.Stride()}
		e.pool.Run(t, parts(t.rows, rowsPerPart(t.cols)))
		return
	}
	t := &e.copyTask
	*t = copyTask{dst: mat(dst), src: mat(src)}
	t.flat = t.dst.dense() && t.src.dense()
	e.pool.Run(t, gridParts(t.dst, t.flat))
}

// Cast is Copy: this engine has one floating-point type.
func (e *Engine) Cast(dst, src engine.Tensor) {
	engine.CheckCast(dst, src)
	e.Copy(dst, src)
}

// gridParts returns the parts of an operation on all elements of m, which are
// blocks of elements when flat and blocks of rows otherwise.
func gridParts(m matrix, flat bool) int {
	if flat {
		return parts(m.rows*m.cols, blockElems)
	}
	return parts(m.rows, rowsPerPart(m.cols))
}

type copyTask struct {
	dst, src matrix
	flat     bool
}

func (t *copyTask) Run(_, i int) {
	if t.flat {
		lo, hi := part(i, blockElems, t.dst.rows*t.dst.cols)
		copy(t.dst.data[lo:hi], t.src.data[lo:hi])
		return
	}
	lo, hi := part(i, rowsPerPart(t.dst.cols), t.dst.rows)
	for r := lo; r < hi; r++ {
		copy(t.dst.row(r), t.src.row(r))
	}
}

type copyBytesTask struct {
	dst, src                         []byte
	rows, cols, dstStride, srcStride int
}

func (t *copyBytesTask) Run(_, i int) {
	lo, hi := part(i, rowsPerPart(t.cols), t.rows)
	for r := lo; r < hi; r++ {
		copy(t.dst[r*t.dstStride:][:t.cols], t.src[r*t.srcStride:][:t.cols])
	}
}

// Fill sets all elements of dst to v.
func (e *Engine) Fill(dst engine.Tensor, v float32) {
	engine.CheckFill(dst)
	t := &e.fillTask
	*t = fillTask{dst: mat(dst), v: v}
	t.flat = t.dst.dense()
	e.pool.Run(t, gridParts(t.dst, t.flat))
}

type fillTask struct {
	dst  matrix
	v    float32
	flat bool
}

func (t *fillTask) Run(_, i int) {
	if t.flat {
		lo, hi := part(i, blockElems, t.dst.rows*t.dst.cols)
		fill(t.dst.data[lo:hi], t.v)
		return
	}
	lo, hi := part(i, rowsPerPart(t.dst.cols), t.dst.rows)
	for r := lo; r < hi; r++ {
		fill(t.dst.row(r), t.v)
	}
}

// fill sets x to v: it doubles the filled part by copying it, or clears at the
// speed of memory.
func fill(x []float32, v float32) {
	if len(x) == 0 {
		return
	}
	if math.Float32bits(v) == 0 {
		clear(x)
		return
	}
	x[0] = v
	for done := 1; done < len(x); done *= 2 {
		copy(x[done:], x[:done])
	}
}
