//go:build unix

package kernel

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// benchmarkRate reports the rate of f: the mean, that of the fastest run, and
// per second of processor time, which other programs on the machine change least.
func benchmarkRate(b *testing.B, f func(), flop float64) {
	f()
	best := time.Duration(1 << 62)
	cpu := processorTime()
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	cpu = processorTime() - cpu
	b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(flop/best.Seconds()/1e9, "best-GFLOP/s")
	b.ReportMetric(flop*float64(b.N)/cpu.Seconds()/1e9, "GFLOP/cpu-s")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkGemm takes the shapes of the presets: y = x·Wᵀ, dx = dy·W and
// dW += dyᵀ·x of a layer with R rows, I inputs and O outputs.
func BenchmarkGemm(b *testing.B) {
	for _, s := range []struct{ r, i, o int }{
		{1604, 192, 768}, {1604, 384, 1152}, {1604, 384, 384}, {1604, 384, 1536}, {1604, 1536, 384},
		{3208, 768, 3072}, {3208, 3072, 768}, {8448, 64, 192}, {8448, 64, 256}, {8448, 256, 64},
		{8192, 3072, 64},
	} {
		x, w, y := make([]float32, s.r*s.i), make([]float32, s.o*s.i), make([]float32, s.r*s.o)
		r := rand.New(rand.NewPCG(9, 10))
		for _, v := range [][]float32{x, w, y} {
			for i := range v {
				v[i] = r.Float32() - 0.5
			}
		}
		dw, dx, out := make([]float32, s.o*s.i), make([]float32, s.r*s.i), make([]float32, s.r*s.o)
		for _, c := range []struct {
			name string
			args GemmArgs
		}{
			{"Y", GemmArgs{M: s.r, N: s.o, K: s.i, A: x, LDA: s.i, B: w, LDB: s.i, TransB: true,
				C: out, LDC: s.o}},
			{"DX", GemmArgs{M: s.r, N: s.i, K: s.o, A: y, LDA: s.o, B: w, LDB: s.i,
				C: dx, LDC: s.i}},
			{"DW", GemmArgs{M: s.o, N: s.i, K: s.r, A: y, LDA: s.o, TransA: true, B: x, LDB: s.i,
				C: dw, LDC: s.i, Accumulate: true}},
		} {
			for _, i := range ISAs()[1:] {
				b.Run(fmt.Sprintf("%dx%dx%d/%s/%v", s.r, s.i, s.o, c.name, i), func(b *testing.B) {
					defer SetISA(SetISA(i))
					pool := NewPool(2)
					defer pool.Close()
					g := NewGemm(pool)
					flop := 2 * float64(s.r) * float64(s.i) * float64(s.o)
					benchmarkRate(b, func() { g.Do(&c.args) }, flop)
				})
			}
		}
	}
}

func BenchmarkPeak(b *testing.B) {
	for _, i := range ISAs() {
		b.Run(i.String(), func(b *testing.B) {
			best := 0.0
			for b.Loop() {
				best = max(best, PeakGFLOPS(i))
			}
			b.ReportMetric(best, "GFLOP/s")
		})
	}
}
