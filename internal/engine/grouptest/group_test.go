package grouptest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/tensor"
)

// vector returns the values in a tensor of their own.
func vector(t *testing.T, e *ref.Engine, values ...float64) engine.Tensor {
	buf, err := e.NewBuffer(engine.F32, len(values))
	if err != nil {
		t.Error(err)
		panic(err)
	}
	x := engine.NewTensor(buf, 0, tensor.Of(len(values)))
	e.UploadFloat64(x, values)
	return x
}

func read(e *ref.Engine, x engine.Tensor) []float64 {
	out := make([]float64, x.Elems())
	e.DownloadFloat64(out, x)
	return out
}

func TestGroup(t *testing.T) {
	Run(t, 3, func(p *Process) {
		e := ref.New()
		g, rank := p.Group(e), float64(p.Rank)
		if g.Rank() != p.Rank || g.Size() != 3 {
			t.Errorf("process %d of %d", g.Rank(), g.Size())
		}
		x, y := vector(t, e, rank, 1), vector(t, e, 1e-17*rank)
		g.Average(x)
		g.Average(y)
		if early := read(e, x); early[0] == early[0] || early[1] == early[1] {
			t.Errorf("before Wait %v can be read", early)
		}
		g.Wait()
		if a, b := read(e, x), read(e, y); !slices.Equal(a, []float64{1, 1}) ||
			!(math.Abs(b[0]-1e-17) <= 1e-32) {
			t.Errorf("averages %v and %v", a, b)
		}
		z := vector(t, e, rank+5)
		g.Broadcast(z)
		if got := read(e, z); got[0] != 5 {
			t.Errorf("process 0 sent 5, %v came", got)
		}
		all, err := g.Exchange(fmt.Appendf(nil, "%*d", p.Rank, p.Rank))
		if err != nil || len(all) != 3 || string(all[0]) != "0" || string(all[2]) != " 2" {
			t.Errorf("exchanged %q, %v", all, err)
		}
		if g.Err() != nil {
			t.Error(g.Err())
		}
	})
}

// TestLost: a process that was killed, or has ended, is missed by those that wait.
func TestLost(t *testing.T) {
	for _, killed := range []bool{true, false} {
		Run(t, 2, func(p *Process) {
			e := ref.New()
			g := p.Group(e)
			if p.Rank == 1 {
				if killed {
					p.Lose()
				}
				return
			}
			x := vector(t, e, 3)
			g.Average(x)
			g.Wait()
			if got := read(e, x); got[0] == got[0] {
				t.Errorf("%v of one process", got)
			}
			_, err := g.Exchange(nil)
			if !errors.Is(err, engine.ErrLost) || !errors.Is(g.Err(), engine.ErrLost) {
				t.Errorf("killed %v: %v, %v", killed, err, g.Err())
			}
		})
	}
}
