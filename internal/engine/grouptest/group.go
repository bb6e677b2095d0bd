// Package grouptest is an engine.Group within one process, for tests: every
// "process" is a goroutine with an engine of its own.
//
//	grouptest.Run(t, 4, func(p *grouptest.Process) {
//		e := ref.New()
//		g := p.Group(e)
//		…
//	})
//
// Averages are computed in float64, in the order of the ranks, so on an engine that
// holds float64 they are exact to its rounding. What is handed to Average holds NaN
// until Wait: a layer that reads it too early computes nonsense.
package grouptest

import (
	"fmt"
	"math"
	"sync"
	"testing"

	"avjepa/internal/engine"
)

// hub is where the processes meet.
type hub struct {
	mu   sync.Mutex
	cond *sync.Cond
	size int
	err  error // the first fault

	arrived int
	round   int // meetings so far
	parts   []any
	result  []any // of the last meeting, by rank
}

// Process is one of the processes of Run.
type Process struct {
	Rank, Size int
	T          testing.TB
	hub        *hub
}

// Run calls f in so many goroutines at once and waits for all. One that returns, or
// ends its test, is lost to the others: what they ask of it later is a fault.
func Run(t testing.TB, size int, f func(p *Process)) {
	t.Helper()
	h := &hub{size: size, parts: make([]any, size)}
	h.cond = sync.NewCond(&h.mu)
	var all sync.WaitGroup
	for rank := range size {
		all.Add(1)
		go func() {
			defer all.Done()
			defer h.fail(fmt.Errorf("process %d has ended: %w", rank, engine.ErrLost))
			f(&Process{rank, size, t, h})
		}()
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// Lose makes the group faulty, as when a process dies.
func (p *Process) Lose() {
	p.hub.fail(fmt.Errorf("process %d was killed: %w", p.Rank, engine.ErrLost))
}

// Group returns the group as seen by this process, whose tensors are e's.
func (p *Process) Group(e engine.Engine) *Group {
	return &Group{rank: p.Rank, hub: p.hub, engine: e}
}

func (h *hub) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	h.cond.Broadcast()
}

// meet waits until all processes have come and returns what they brought, by rank.
func (h *hub) meet(rank int, part any) ([]any, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return nil, h.err
	}
	round := h.round
	h.parts[rank] = part
	if h.arrived++; h.arrived == h.size {
		h.result = append([]any(nil), h.parts...)
		h.arrived = 0
		h.round++
		h.cond.Broadcast()
		return h.result, nil
	}
	for h.round == round && h.err == nil {
		h.cond.Wait()
	}
	if h.round == round {
		return nil, h.err
	}
	return h.result, nil
}

// Group is the engine.Group of one process.
type Group struct {
	// Averaged is called with what is handed to Average, if it is set.
	Averaged func(x engine.Tensor)

	rank   int
	hub    *hub
	engine engine.Engine
	begun  []pending
	err    error
}

// pending is an average that has begun.
type pending struct {
	x      engine.Tensor
	values []float64
}

var _ engine.Group = (*Group)(nil)

func (g *Group) Rank() int { return g.rank }
func (g *Group) Size() int { return g.hub.size }

// Err returns the first fault that this process has met.
func (g *Group) Err() error { return g.err }

// meet is the hub's, and notes the fault. Different calls that meet panic.
func (g *Group) meet(call string, n int, part any) []any {
	if g.err != nil {
		return nil
	}
	type visit struct {
		call string
		n    int
		part any
	}
	all, err := g.hub.meet(g.rank, visit{call, n, part})
	if err != nil {
		g.err = err
		return nil
	}
	out := make([]any, len(all))
	for i, v := range all {
		v := v.(visit)
		if v.call != call || v.n != n {
			g.err = fmt.Errorf("grouptest: process %d calls %s of %d elements, process %d %s of %d",
				g.rank, call, n, i, v.call, v.n)
			panic(g.err)
		}
		out[i] = v.part
	}
	return out
}

// Average takes the values of x and leaves NaN until Wait.
func (g *Group) Average(x engine.Tensor) {
	if x.DType() != engine.F32 || !x.Contiguous() {
		panic(fmt.Sprintf("grouptest: average of %v, row stride %d", x, x.Stride()))
	}
	if g.Averaged != nil {
		g.Averaged(x)
	}
	g.begun = append(g.begun, pending{x, g.load(x)})
	g.engine.Fill(x, float32(math.NaN()))
}

// Wait sets the averages begun.
func (g *Group) Wait() {
	for _, p := range g.begun {
		all := g.meet("Average", p.x.Elems(), p.values)
		if all == nil {
			continue // x stays NaN: undefined
		}
		mean := make([]float64, len(p.values))
		for _, part := range all {
			for i, v := range part.([]float64) {
				mean[i] += v
			}
		}
		for i := range mean {
			mean[i] /= float64(g.hub.size)
		}
		g.store(p.x, mean)
	}
	g.begun = g.begun[:0]
}

// Broadcast replaces x by process 0's.
func (g *Group) Broadcast(x engine.Tensor) {
	if all := g.meet("Broadcast", x.Elems(), g.load(x)); all != nil && g.rank > 0 {
		g.store(x, all[0].([]float64))
	}
}

// Exchange returns the bytes of every process.
func (g *Group) Exchange(mine []byte) ([][]byte, error) {
	if len(g.begun) > 0 {
		panic("grouptest: Exchange before Wait")
	}
	all := g.meet("Exchange", 0, append([]byte(nil), mine...))
	if all == nil {
		return nil, fmt.Errorf("grouptest: exchange: %w", g.err)
	}
	out := make([][]byte, len(all))
	for i, part := range all {
		out[i] = part.([]byte)
	}
	return out, nil
}

// wide is an engine that holds float64.
type wide interface {
	UploadFloat64(dst engine.Tensor, src []float64)
	DownloadFloat64(dst []float64, src engine.Tensor)
}

func (g *Group) load(x engine.Tensor) []float64 {
	out := make([]float64, x.Elems())
	if e, ok := g.engine.(wide); ok {
		e.DownloadFloat64(out, x)
		return out
	}
	host := make([]float32, len(out))
	g.engine.Download(host, x)
	for i, v := range host {
		out[i] = float64(v)
	}
	return out
}

func (g *Group) store(x engine.Tensor, values []float64) {
	if e, ok := g.engine.(wide); ok {
		e.UploadFloat64(x, values)
		return
	}
	host := make([]float32, len(values))
	for i, v := range values {
		host[i] = float32(v)
	}
	g.engine.Upload(x, host)
}
