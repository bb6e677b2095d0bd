package torch

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// player is a recording that makes the calls of the tape again, with the dropout keys
// that replay is given. AdamW's words it only counts.
type player struct {
	e                        *Engine
	begun, replayed, freed   int
	tapes                    []tape
	words                    int // more than the tape's, as of a kernel that took some
	faultBegin, faultReplays error

	state  []engine.Tensor // of the steps, which recording must not change
	before [][]float32
}

func (p *player) begin() error {
	p.begun++
	p.before = p.before[:0]
	for _, x := range p.state {
		p.before = append(p.before, make([]float32, x.Elems()))
		p.e.Download(p.before[len(p.before)-1], x)
	}
	p.tapes = append(p.tapes, p.e.recorder.now.clone())
	return p.faultBegin
}

func (p *player) end() (uintptr, int, error) {
	for i, x := range p.state {
		p.e.Upload(x, p.before[i])
	}
	last := &p.tapes[len(p.tapes)-1]
	return uintptr(len(p.tapes)), len(last.words) + p.words, nil
}

func (p *player) replay(handle uintptr, words []uint64) error {
	p.replayed++
	t := &p.tapes[handle-1]
	if len(words) != len(t.words) {
		return fmt.Errorf("%d words, want %d", len(words), len(t.words))
	}
	now := p.e.recorder.now.clone()
	p.e.recorder.now, now = *t, p.e.recorder.now
	held := slices.Clone(t.held)
	for _, c := range t.calls {
		switch c.f {
		case p.e.lib.dropout:
			if c.n > 0 {
				t.held[c.held], words = words[0], words[1:]
			}
		case p.e.lib.adamw:
			copy(t.held[c.held:c.held+2], now.held[c.held:])
			words = words[2:]
		}
	}
	p.e.play()
	t.held = held
	p.e.recorder.now = now
	return p.faultReplays
}

func (p *player) free(uintptr) { p.freed++ }

// stepper is a small step: gradients by dropout of x, then AdamW.
type stepper struct {
	e                *Engine
	x, g, p, m, v, y engine.Tensor
	steps            int
}

func newStepper(t *testing.T, e *Engine) *stepper {
	s := &stepper{e: e}
	for _, to := range []*engine.Tensor{&s.x, &s.g, &s.p, &s.m, &s.v, &s.y} {
		buf, err := e.NewBuffer(engine.F32, 24)
		if err != nil {
			t.Fatal(err)
		}
		*to = engine.NewTensor(buf, 0, tensor.Of(2, 3, 4))
	}
	values := make([]float32, 24)
	for i := range values {
		values[i] = float32(i%7) - 2.5
	}
	e.Upload(s.x, values)
	return s
}

func (s *stepper) step(rows int) {
	s.steps++
	g := s.g.Slice(0, rows)
	s.e.Dropout(g, s.x.Slice(0, rows), rng.Mask{P: 0.5, Key: rng.NewKey(1, s.steps, 0)})
	s.e.Dropout(s.y, s.x, rng.Mask{})
	s.e.AddTo(s.g, s.y, 0.5)
	s.e.AdamW(engine.AdamWArgs{Param: s.p, Grad: s.g, M: s.m, V: s.v, LR: 0.1 / float64(s.steps),
		Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1, Step: s.steps})
}

func (s *stepper) result() []float32 {
	out := make([]float32, 24)
	s.e.Download(out, s.p)
	return out
}

// TestRecord holds steps that are put off, recorded and run again to the same steps
// made at once.
func TestRecord(t *testing.T) {
	for _, c := range []struct {
		name                       string
		player                     player
		between                    func(e *Engine, s *stepper) // in a step
		begun, replayed, wantWords int
		fault                      bool
	}{
		{name: "recorded", begun: 2, replayed: 6, wantWords: 3},
		{name: "cannot begin", player: player{faultBegin: errors.New("no")}, begun: 1, fault: true},
		{name: "other words", player: player{words: 1}, begun: 1, fault: true},
		{name: "results in between", between: func(_ *Engine, s *stepper) { s.result() }},
		{name: "sync in between", between: func(e *Engine, _ *stepper) { e.Sync() }},
		{name: "attention with dropout", between: func(e *Engine, s *stepper) {
			x := s.x.Reshape(2, 3, 4)
			e.Attention(engine.AttentionArgs{Out: s.m.Reshape(2, 3, 4), Q: x, K: x, V: x, Heads: 2,
				Drop: rng.Mask{P: 0.5, Key: rng.NewKey(1, s.steps, 1)}})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain, recorded := open(t, 1), open(t, 1)
			defer plain.Close()
			defer recorded.Close()
			p := c.player
			p.e = recorded
			recorded.recorder.able = &p
			a, b := newStepper(t, plain), newStepper(t, recorded)
			p.state = []engine.Tensor{b.x, b.g, b.p, b.m, b.v, b.y}
			// Two kinds of steps in turn, each recorded when it comes the second time.
			for i := range 8 {
				step := func(s *stepper) {
					s.step(1 + i%2)
					if c.between != nil {
						c.between(s.e, s)
						s.e.Fill(s.y, 0)
					}
				}
				step(a)
				b.e.Record(func() { step(b) })
				if x, y := a.result(), b.result(); !slices.Equal(x, y) {
					t.Fatalf("step %d: %v, want %v", i, y, x)
				}
			}
			if p.begun != c.begun || p.replayed != c.replayed {
				t.Errorf("%d recordings and %d runs of them, want %d and %d", p.begun, p.replayed,
					c.begun, c.replayed)
			}
			if (b.e.RecordingFault() != nil) != c.fault {
				t.Errorf("fault %v", b.e.RecordingFault())
			}
			if c.wantWords > 0 && len(p.tapes[0].words) != c.wantWords {
				t.Errorf("%d words, want %d", len(p.tapes[0].words), c.wantWords)
			}
			known := len(b.e.recorder.known)
			b.x.Buffer().Free()
			if p.freed != known+boolInt(c.name == "other words") || len(b.e.recorder.known) != 0 {
				t.Errorf("%d of %d recordings were freed with a buffer", p.freed, known)
			}
			if err := b.e.Sync(); err != nil {
				t.Error(err)
			}
		})
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestRecordFault: what fails while a step is put off is the step's fault.
func TestRecordFault(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	e.recorder.able = &player{e: e, faultReplays: errors.New("device lost")}
	s := newStepper(t, e)
	for range 2 {
		e.Record(func() { s.step(2) })
	}
	if err := e.Sync(); err == nil {
		t.Error("a replay failed, and Sync says nothing")
	}
}

// TestRecordAllocates: a step that is known allocates nothing on the Go heap.
func TestRecordAllocates(t *testing.T) {
	e := open(t, 1)
	defer e.Close()
	e.recorder.able = nothing{}
	s := newStepper(t, e)
	step := func() { s.step(2) }
	for range 3 {
		e.Record(step)
	}
	if n := testing.AllocsPerRun(20, func() { e.Record(step) }); n > 1 { // AdamW's words
		t.Errorf("a recorded step allocates %v times", n)
	}
}

// nothing is a recording without an effect.
type nothing struct{}

func (nothing) begin() error                   { return nil }
func (nothing) end() (uintptr, int, error)     { return 1, 3, nil }
func (nothing) replay(uintptr, []uint64) error { return nil }
func (nothing) free(uintptr)                   {}
