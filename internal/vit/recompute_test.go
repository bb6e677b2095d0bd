package vit

import (
	"fmt"
	"slices"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/ref"
)

// TestKeepInputsGivesTheSameGradients bit for bit, from less memory.
func TestKeepInputsGivesTheSameGradients(t *testing.T) {
	onCPU, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer onCPU.Close()
	for i := range 8 {
		cfg := smallConfig()
		cfg.Depth, cfg.FinalNorm, cfg.DropAbsent = 3, true, i&1 != 0
		if i&2 != 0 {
			cfg.Dropout, cfg.AttentionDropout = 0.2, 0.3
		}
		clsOnly := i&4 != 0
		t.Run(fmt.Sprintf("drop %v dropout %v CLS only %v", cfg.DropAbsent, cfg.Dropout, clsOnly),
			func(t *testing.T) {
				for _, on := range []struct {
					engine.Engine
					compute engine.DType
				}{{ref.New(), engine.F32}, {ref.New(), engine.BF16}, {onCPU, engine.F32}} {
					b := newBenchOn(t, on.Engine, on.compute, cfg, clsOnly)
					b.gradients()
					want, plain := b.download(b.ps.Grads), b.cx.Arena.Peak()
					b = newBenchOn(t, on.Engine, on.compute, cfg, clsOnly)
					b.keeping = KeepInputs
					b.gradients()
					if got := b.download(b.ps.Grads); !slices.Equal(got, want) {
						t.Errorf("%s, %v: the gradients differ", on.Info().Name, on.compute)
					}
					got := b.cx.Arena.Peak()
					if !(got.F32 < plain.F32) || on.compute == engine.BF16 && !(got.BF16 < plain.BF16) {
						t.Errorf("%+v elements of memory, %+v without", got, plain)
					}
				}
			})
	}
}
