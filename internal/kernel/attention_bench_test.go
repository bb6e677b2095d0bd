//go:build linux

package kernel

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"unsafe"
)

// BenchmarkAttention counts 4·n²·d a head forward and 10·n²·d backward. Its
// operands lie as in a training step: query, key and value side by side, and so
// their gradients, on huge pages.
func BenchmarkAttention(b *testing.B) {
	for _, c := range []attentionCase{
		{b: 4, nq: 401, nk: 401, heads: 6, d: 64},
		{b: 4, nq: 397, nk: 397, heads: 6, d: 64, drop: 0.1},
		{b: 1, nq: 1569, nk: 1569, heads: 6, d: 64},
		{b: 1, nq: 1969, nk: 1969, heads: 12, d: 64},
		{b: 1, nq: 1969, nk: 1969, heads: 12, d: 64, drop: 0.1},
		{b: 1, nq: 1969, nk: 1969, heads: 1, d: 64},
		{b: 8, nq: 397, nk: 397, heads: 6, d: 64},
		{b: 8, nq: 197, nk: 197, heads: 3, d: 64},
		{b: 256, nq: 33, nk: 33, heads: 2, d: 32},
	} {
		x := c.data(rand.New(rand.NewPCG(9, 10)))
		c.likeTraining(b, &x.args)
		for _, i := range ISAs()[1:] {
			name := fmt.Sprintf("%dx%dx%dx%d", c.b, c.heads, c.nq, c.d)
			if c.drop > 0 {
				name += "/dropout"
			}
			run := func(pass string, f func(*Attention), flops float64) {
				b.Run(fmt.Sprintf("%s/%s/%v", name, pass, i), func(b *testing.B) {
					defer SetISA(SetISA(i))
					pool := NewPool(2)
					defer pool.Close()
					at := NewAttention(pool)
					at.Forward(&x.args.AttentionArgs)
					benchmarkRate(b, func() { f(at) }, flops)
				})
			}
			flop := float64(c.b*c.heads) * float64(c.nq) * float64(c.nk) * float64(c.d)
			run("forward", func(at *Attention) { at.Forward(&x.args.AttentionArgs) }, 4*flop)
			run("backward", func(at *Attention) { at.Backward(&x.args) }, 10*flop)
		}
	}
}

// likeTraining moves the operands to huge pages, with the gradients of query,
// key and value in one matrix.
func (c attentionCase) likeTraining(b *testing.B, a *AttentionBackwardArgs) {
	width := c.heads * c.d
	qkv := hugePages(b, c.b*c.nk*3*width)
	copy(qkv, a.Q)
	a.Q, a.K, a.V = qkv, qkv[width:], qkv[2*width:]
	a.Out = hugePages(b, c.b*c.nq*width)
	a.DOut = hugePages(b, c.b*c.nq*width)
	for i := range a.DOut {
		a.DOut[i] = float32(i%17) / 8
	}
	d := hugePages(b, c.b*c.nk*3*width)
	a.DQ, a.DK, a.DV = d, d[width:], d[2*width:]
	a.DQStride, a.DKStride, a.DVStride = 3*width, 3*width, 3*width
	a.DQBatch, a.DKBatch, a.DVBatch = 3*width*c.nq, 3*width*c.nk, 3*width*c.nk
}

// hugePages returns n zeros, on huge pages if there are any.
func hugePages(b *testing.B, n int) []float32 {
	const page = 2 << 20
	size := (4*n + 2*page - 1) / page * page
	mem, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = syscall.Munmap(mem) })
	_ = syscall.Madvise(mem, syscall.MADV_HUGEPAGE) // a refusal costs speed only
	start := -uintptr(unsafe.Pointer(unsafe.SliceData(mem))) % page
	return unsafe.Slice((*float32)(unsafe.Pointer(&mem[start])), n)
}
