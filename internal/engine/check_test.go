package engine

import (
	"fmt"
	"strings"
	"testing"

	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// counted returns a tensor with a buffer of its own.
func counted(c *Counting, dt DType, dims ...int) Tensor {
	s := tensor.Of(dims...)
	buf, _ := c.NewBuffer(dt, s.Elems())
	return NewTensor(buf, 0, s)
}

func panicOf(f func()) (msg string) {
	defer func() {
		if r := recover(); r != nil {
			msg = fmt.Sprint(r)
		}
	}()
	f()
	return ""
}

func TestCheckMessages(t *testing.T) {
	c := NewCounting()
	f := func(dims ...int) Tensor { return counted(c, F32, dims...) }
	x, w, y := f(8, 16), f(4, 12), f(8, 4)
	packed := f(2, 5, 18)
	block := f(100)
	for _, test := range []struct {
		want string
		call func()
	}{
		{"engine: Linear: X is 8×16 but W is 4×12: inner dimensions differ",
			func() { c.Linear(LinearArgs{Y: y, X: x, W: w}) }},
		{"engine: Linear: W is missing", func() { c.Linear(LinearArgs{Y: y, X: x}) }},
		{"engine: Linear: Y is 8×4 but W is 5×16: output dimensions differ",
			func() { c.Linear(LinearArgs{Y: y, X: x, W: f(5, 16)}) }},
		{"engine: Linear: Bias is 5 but W is 4×16: want 4 elements",
			func() { c.Linear(LinearArgs{Y: y, X: x, W: f(4, 16), Bias: f(5)}) }},
		{"engine: Linear: Pre is given without GELU",
			func() { c.Linear(LinearArgs{Y: y, X: x, W: f(4, 16), Pre: f(8, 4)}) }},
		{"engine: Linear: X is u8 8×16, want f32 or bf16",
			func() { c.Linear(LinearArgs{Y: y, X: counted(c, U8, 8, 16), W: f(4, 16)}) }},
		{"engine: Scale: x is 2×5×6 with rows 18 apart: it must be contiguous",
			func() { c.Scale(packed.Columns(0, 6), 2) }},
		{"engine: GELU: y 40 at offset 10 overlaps x 40 at offset 0",
			func() { c.GELU(block.Slice(10, 50), block.Slice(0, 40)) }},
		{"engine: AddTo: dst 2×5×6 at offset 3 overlaps x 2×5×6 at offset 0",
			func() { c.AddTo(packed.Columns(3, 9), packed.Columns(0, 6), 1) }},
		{"engine: Attention: Q is 2×5×6: 4 heads do not divide its width",
			func() {
				q := packed.Columns(0, 6)
				c.Attention(AttentionArgs{Out: f(2, 5, 6), Q: q, K: q, V: q, Heads: 4})
			}},
		{"engine: Dropout: P is 1, want a probability in [0, 1)",
			func() { c.Dropout(y, y, rng.Mask{P: 1}) }},
		{"engine: Dropout: mask rows {First:0 Run:3 Stride:2 Tokens:0}: want none negative, and a " +
			"stride of a run or more",
			func() { c.Dropout(y, y, rng.Mask{Rows: rng.MaskRows{Run: 3, Stride: 2}}) }},
		{"engine: Dropout: x is 2×5×18 but its mask has 4 tokens",
			func() { c.Dropout(packed, packed, rng.Mask{Rows: rng.MaskRows{Tokens: 4}}) }},
		{"engine: SIGReg: E is 2×3×16×2, want V×M×17×2",
			func() { c.SIGReg(SIGRegArgs{Loss: f(2), E: f(2, 3, 16, 2), Knots: Knots{5, 17, false}}) }},
		{"engine: AssembleTokens: Y is 2×5×4: want 7 tokens", func() {
			c.AssembleTokens(AssembleArgs{Y: f(2, 5, 4), CLS: f(4), Video: f(12, 4),
				VideoBias: f(4), VideoTime: f(2, 4), VideoSpace: f(3, 4)})
		}},
		{"engine: LayerNorm: Mean is f32 8 but RStd is nil tensor: give both or none",
			func() { c.LayerNorm(LayerNormArgs{Y: x, X: x, Mean: f(8), Gain: f(16), Bias: f(16)}) }},
		{"engine: LayerNormBackward: DX 8×16 at offset 0 overlaps DY 8×16 at offset 0",
			func() {
				c.LayerNormBackward(LayerNormBackwardArgs{DX: x, DY: x, X: f(8, 16), Mean: f(8),
					RStd: f(8), Gain: f(16), DGain: f(16), DBias: f(16), Mode: Add})
			}},
		{"engine: AdamW: Step is 0, want at least 1", func() {
			c.AdamW(AdamWArgs{Param: f(3), Grad: f(3), M: f(3), V: f(3)})
		}},
		{"engine: Upload: src has 3 values but dst is 4", func() { c.Upload(f(4), make([]float32, 3)) }},
		{"engine: Copy: dst is f32 4 but src is u8 4: types differ",
			func() { c.Copy(f(4), counted(c, U8, 4)) }},
	} {
		if got := panicOf(test.call); got != test.want {
			t.Errorf("panic %q, want %q", got, test.want)
		}
	}
}

// TestOverlap compares with marking elements one by one.
func TestOverlap(t *testing.T) {
	c := NewCounting()
	buf, _ := c.NewBuffer(F32, 64)
	r := rng.New(1, "overlap")
	view := func() Tensor {
		rows, stride := 1+r.IntN(4), 1+r.IntN(9)
		cols := 1 + r.IntN(stride)
		off := r.IntN(64 - rows*stride + 1)
		return NewTensor(buf, off, tensor.Of(rows, stride)).Columns(0, cols)
	}
	for range 20000 {
		a, b := view(), view()
		var used [64]bool
		for i := range a.Elems() {
			used[a.off+i/a.Cols()*a.stride+i%a.Cols()] = true
		}
		want := false
		for i := range b.Elems() {
			want = want || used[b.off+i/b.Cols()*b.stride+i%b.Cols()]
		}
		if got := overlap(a, b); got != want {
			t.Fatalf("overlap of %v (offset %d, stride %d) and %v (%d, %d): %v, want %v",
				a, a.off, a.stride, b, b.off, b.stride, got, want)
		}
	}
}

// TestCounting checks that the counts are the formulas', that interleaved query, key
// and value columns are no overlap, and that checking allocates nothing.
func TestCounting(t *testing.T) {
	c := NewCounting()
	f := func(dims ...int) Tensor { return counted(c, F32, dims...) }
	const b, n, d, heads = 2, 5, 6, 3
	packed, dpacked, out := f(b, n, 3*d), f(b, n, 3*d), f(b, n, d)
	lse, delta := f(b, heads, n), f(b, heads, n)
	q, k, v := packed.Columns(0, d), packed.Columns(d, 2*d), packed.Columns(2*d, 3*d)
	dq, dk, dv := dpacked.Columns(0, d), dpacked.Columns(d, 2*d), dpacked.Columns(2*d, 3*d)
	w, bias, logits, dout := f(7, d), f(7), f(b*n, 7), f(b, n, d)
	y, cls, video, time, space := f(b, 7, d), f(d), f(b*6, d), f(2, d), f(3, d)
	step := func() {
		c.Linear(LinearArgs{Y: logits, X: out, W: w, Bias: bias})
		c.Attention(AttentionArgs{Out: out, LSE: lse, Q: q, K: k, V: v, Heads: heads})
		c.AttentionBackward(AttentionBackwardArgs{DQ: dq, DK: dk, DV: dv, DOut: dout, Out: out,
			LSE: lse, Delta: delta, Q: q, K: k, V: v, Heads: heads})
		c.AssembleTokens(AssembleArgs{Y: y, CLS: cls, Video: video, VideoBias: cls,
			VideoTime: time, VideoSpace: space})
	}
	step()
	const product = 2 * b * n * n * d
	n0 := c.Counts
	if n0.MatMul != 2*b*n*d*7 || n0.Attention != 7*product || n0.AttentionModel != 6*product {
		t.Errorf("counts %+v", n0)
	}
	if got := testing.AllocsPerRun(10, step); got != 0 {
		t.Errorf("%v allocations per step of checks, want none", got)
	}

	c = NewCounting()
	u, bytes := counted(c, F32, 10), counted(c, U8, 7)
	u.Buffer().Free()
	u.Buffer().Free()
	half := counted(c, BF16, 5)
	got := c.Counts
	if got.Bytes != [3]int64{0, 10, 7} || got.PeakBytes != 47 || got.Buffers != 2 {
		t.Errorf("counts %+v after 40 bytes freed, %v and %v kept", got, bytes, half)
	}
}

func TestCheckNil(t *testing.T) {
	if msg := panicOf(func() { CheckFill(Tensor{}) }); !strings.HasPrefix(msg, "engine: Fill: ") {
		t.Errorf("nil tensor: %q", msg)
	}
}
