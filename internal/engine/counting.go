package engine

import "avjepa/internal/rng"

// Counts is what an engine was asked for. Sizes are bytes, indexed by DType;
// FLOPs count a multiplication and an addition as two.
type Counts struct {
	Bytes     [3]int64 // in buffers now
	PeakBytes int64    // in all buffers, at most at any time
	Buffers   int      // now
	Ops       int64    // operations queued, memory operations aside

	MatMul    int64 // FLOPs of Linear, LinearInput and LinearWeight: 2·R·I·O each
	Attention int64 // FLOPs of attention as computed: the backward recomputes the scores
	// AttentionModel is attention by the convention of published FLOP counts:
	// forward 4·B·Nq·Nk·D, backward twice that, recomputation not counted.
	AttentionModel int64
}

// TotalBytes returns the bytes in buffers now.
func (c Counts) TotalBytes() int64 { return c.Bytes[F32] + c.Bytes[BF16] + c.Bytes[U8] }

// FLOPs returns the FLOPs computed in matrix products and attention.
func (c Counts) FLOPs() int64 { return c.MatMul + c.Attention }

// ModelFLOPs returns the FLOPs by the convention of publications.
func (c Counts) ModelFLOPs() int64 { return c.MatMul + c.AttentionModel }

// Counting is an engine without memory: its operations check their operands
// and count. Running the model's own code on it gives the memory and the work
// of a run before anything is reserved. Downloads give zeros.
type Counting struct{ Counts Counts }

// NewCounting returns an engine that has counted nothing.
func NewCounting() *Counting { return &Counting{} }

// countedBuffer is a buffer of which only the size is known.
type countedBuffer struct {
	c     *Counting
	dt    DType
	elems int
	freed bool
}

func (b *countedBuffer) DType() DType { return b.dt }
func (b *countedBuffer) Elems() int   { return b.elems }

func (b *countedBuffer) Free() {
	if !b.freed {
		b.freed = true
		b.c.Counts.Bytes[b.dt] -= int64(b.elems) * int64(b.dt.Size())
		b.c.Counts.Buffers--
	}
}

// NewBuffer counts a buffer; it never fails.
func (c *Counting) NewBuffer(dt DType, elems int) (Buffer, error) {
	n := &c.Counts
	n.Bytes[dt] += int64(elems) * int64(dt.Size())
	n.PeakBytes = max(n.PeakBytes, n.TotalBytes())
	n.Buffers++
	return &countedBuffer{c: c, dt: dt, elems: elems}, nil
}

// matMul counts the product of an m×k and a k×n matrix.
func (c *Counting) matMul(m, k, n int) {
	c.Counts.Ops++
	c.Counts.MatMul += 2 * int64(m) * int64(k) * int64(n)
}

// attention counts products of the size of q·kᵀ: so many computed, so many by
// convention.
func (c *Counting) attention(q, k Tensor, computed, model int64) {
	c.Counts.Ops++
	product := 2 * int64(q.Rows()) * int64(k.Dim(1)) * int64(q.Cols())
	c.Counts.Attention += computed * product
	c.Counts.AttentionModel += model * product
}

func (c *Counting) Linear(a LinearArgs) {
	a.Check()
	c.matMul(a.X.Rows(), a.X.Cols(), a.W.Rows())
}

func (c *Counting) LinearInput(a LinearInputArgs) {
	a.Check()
	c.matMul(a.DY.Rows(), a.DY.Cols(), a.W.Cols())
}

func (c *Counting) LinearWeight(a LinearWeightArgs) {
	a.Check()
	c.matMul(a.DW.Rows(), a.X.Rows(), a.DW.Cols())
}

// Attention is two products: q·kᵀ and p·v.
func (c *Counting) Attention(a AttentionArgs) {
	a.Check()
	c.attention(a.Q, a.K, 2, 2)
}

// AttentionBackward is five products: q·kᵀ again, dout·vᵀ, pᵀ·dout, ds·k and
// dsᵀ·q. The convention leaves out the first.
func (c *Counting) AttentionBackward(a AttentionBackwardArgs) {
	a.Check()
	c.attention(a.Q, a.K, 5, 4)
}

func (c *Counting) AttentionWeights(w, q, k Tensor, heads int) {
	CheckAttentionWeights(w, q, k, heads)
	c.attention(q, k, 1, 1)
}

func (c *Counting) Info() Info {
	return Info{Name: "counting", Device: "none", Threads: 1, BF16: true}
}
func (c *Counting) Close() error { return nil }
func (c *Counting) Sync() error  { return nil }

func (c *Counting) Upload(dst Tensor, src []float32)   { CheckUpload(dst, src) }
func (c *Counting) UploadBytes(dst Tensor, src []byte) { CheckUploadBytes(dst, src) }
func (c *Counting) Copy(dst, src Tensor)               { CheckCopy(dst, src) }
func (c *Counting) Cast(dst, src Tensor)               { CheckCast(dst, src) }
func (c *Counting) Fill(dst Tensor, _ float32)         { CheckFill(dst) }

func (c *Counting) Download(dst []float32, src Tensor) {
	CheckDownload(dst, src)
	clear(dst)
}

func (c *Counting) LayerNorm(a LayerNormArgs)                 { a.Check(); c.Counts.Ops++ }
func (c *Counting) LayerNormBackward(a LayerNormBackwardArgs) { a.Check(); c.Counts.Ops++ }
func (c *Counting) BatchNorm(a BatchNormArgs)                 { a.Check(); c.Counts.Ops++ }
func (c *Counting) BatchNormBackward(a BatchNormBackwardArgs) { a.Check(); c.Counts.Ops++ }

func (c *Counting) GELU(y, x Tensor)              { CheckGELU(y, x); c.Counts.Ops++ }
func (c *Counting) GELUBackward(dx, dy, x Tensor) { CheckGELUBackward(dx, dy, x); c.Counts.Ops++ }
func (c *Counting) AddTo(dst, x Tensor, _ float32) {
	CheckAddTo(dst, x)
	c.Counts.Ops++
}
func (c *Counting) Scale(x Tensor, _ float32) { CheckScale(x); c.Counts.Ops++ }
func (c *Counting) ColumnStats(mean, std, x Tensor) {
	CheckColumnStats(mean, std, x)
	c.Counts.Ops++
}
func (c *Counting) Dropout(y, x Tensor, m rng.Mask) {
	CheckDropout(y, x, m)
	c.Counts.Ops++
}

func (c *Counting) PatchifyVideo(a PatchifyVideoArgs)             { a.Check(); c.Counts.Ops++ }
func (c *Counting) PatchifyAudio(a PatchifyAudioArgs)             { a.Check(); c.Counts.Ops++ }
func (c *Counting) AssembleTokens(a AssembleArgs)                 { a.Check(); c.Counts.Ops++ }
func (c *Counting) AssembleTokensBackward(a AssembleBackwardArgs) { a.Check(); c.Counts.Ops++ }

func (c *Counting) Center(m, z Tensor, g int)           { CheckCenter(m, z, g); c.Counts.Ops++ }
func (c *Counting) PredictionLoss(a PredictionLossArgs) { a.Check(); c.Counts.Ops++ }
func (c *Counting) ECF(a ECFArgs)                       { a.Check(); c.Counts.Ops++ }
func (c *Counting) SIGReg(a SIGRegArgs)                 { a.Check(); c.Counts.Ops++ }
func (c *Counting) ECFBackward(a ECFBackwardArgs)       { a.Check(); c.Counts.Ops++ }
func (c *Counting) CrossEntropy(a CrossEntropyArgs)     { a.Check(); c.Counts.Ops++ }

func (c *Counting) SquaredNorm(out, x Tensor) { CheckSquaredNorm(out, x); c.Counts.Ops++ }
func (c *Counting) AdamW(a AdamWArgs)         { a.Check(); c.Counts.Ops++ }
func (c *Counting) ClipScale(scale, sq Tensor, _ float64) {
	CheckClipScale(scale, sq)
	c.Counts.Ops++
}

var _ Engine = (*Counting)(nil)
