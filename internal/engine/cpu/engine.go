package cpu

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"avjepa/internal/engine"
	"avjepa/internal/kernel"
)

// Config chooses how an Engine runs.
type Config struct {
	Threads int // workers; 0 for all cores
}

// Engine implements engine.Engine. It is made by New.
type Engine struct {
	pool    *kernel.Pool
	gemm    *kernel.Gemm
	attn    *kernel.Attention
	info    engine.Info
	buffers map[*buffer]struct{} // live ones, freed by Close

	scratch []float32 // of the operation under way; grows to the largest
	sums    []float64 // likewise

	tasks
	product    kernel.GemmArgs
	attend     kernel.AttentionArgs
	attendBack kernel.AttentionBackwardArgs
	quantized  quantized
}

// tasks holds one value of every task, so that starting one allocates nothing.
// A task is valid while its operation runs.
type tasks struct {
	fillTask          fillTask
	copyTask          copyTask
	copyBytesTask     copyBytesTask
	addTask           addTask
	scaleTask         scaleTask
	geluTask          geluTask
	geluBackwardTask  geluBackwardTask
	dropoutTask       dropoutTask
	columnSumTask     columnSumTask
	layerNormTask     layerNormTask
	layerNormBackTask layerNormBackwardTask
	batchNormTask     batchNormTask
	batchNormBackTask batchNormBackwardTask
	columnStatsTask   columnStatsTask
	videoTask         videoTask
	audioTask         audioTask
	assembleTask      assembleTask
	tokenSumTask      tokenSumTask
	positionTask      positionTask
	centerTask        centerTask
	predictionTask    predictionTask
	ecfTask           ecfTask
	sigregTask        sigregTask
	crossEntropyTask  crossEntropyTask
	squaredNormTask   squaredNormTask
	adamwTask         adamwTask
}

var _ engine.Engine = (*Engine)(nil)

// New starts the workers of an engine.
func New(c Config) (*Engine, error) {
	if c.Threads < 0 {
		return nil, fmt.Errorf("cpu: %d threads: want a positive number, or 0 for all cores",
			c.Threads)
	}
	n := c.Threads
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	pool := kernel.NewPool(n)
	return &Engine{
		pool:    pool,
		gemm:    kernel.NewGemm(pool),
		attn:    kernel.NewAttention(pool),
		buffers: make(map[*buffer]struct{}),
		info: engine.Info{
			Name:    "cpu",
			Device:  fmt.Sprintf("%s, %d threads, %v", cpuModel(), n, kernel.ActiveISA()),
			Threads: n,
		},
	}, nil
}

// Info describes the processor, the number of threads and the instruction set.
func (e *Engine) Info() engine.Info { return e.info }

// Close ends the workers and frees all buffers.
func (e *Engine) Close() error {
	e.pool.Close()
	for b := range e.buffers {
		b.Free()
	}
	return nil
}

// Sync returns nil: an operation is complete when it returns.
func (e *Engine) Sync() error { return nil }

// cpuModel returns the processor's name where the system tells it.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, ok := strings.Cut(s.Text(), ":")
		if ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// floats returns n floats of scratch with undefined contents, valid until the
// next call.
func (e *Engine) floats(n int) []float32 {
	if cap(e.scratch) < n {
		e.scratch = make([]float32, n)
	}
	return e.scratch[:n]
}

// partials returns n float64 with undefined contents, valid until the next call.
func (e *Engine) partials(n int) []float64 {
	if cap(e.sums) < n {
		e.sums = make([]float64, n)
	}
	return e.sums[:n]
}

func sum(x []float64) float64 {
	var s float64
	for _, v := range x {
		s += v
	}
	return s
}
