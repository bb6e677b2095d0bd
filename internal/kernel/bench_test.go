package kernel

import (
	"testing"
	"time"
)

// benchmarkRate reports the mean rate of f and, because other programs may use
// the machine, the rate of its fastest run.
func benchmarkRate(b *testing.B, f func(), flop float64) {
	f()
	best := time.Duration(1 << 62)
	for b.Loop() {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(flop/best.Seconds()/1e9, "best-GFLOP/s")
}
