package timed

import (
	"reflect"
	"testing"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/enginetest"
	"avjepa/internal/tensor"
)

func openCPU(t *testing.T) engine.Engine {
	t.Helper()
	e, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEngine holds what is measured to the reference: every operation reaches
// the engine below with its operands.
func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) engine.Engine {
		return New(openCPU(t), Part{"suite", "enginetest."})
	})
}

// TestEveryOperationIsNamed asks for every method of engine.Engine that has
// operands, without them: it is known by its own name before the panic.
func TestEveryOperationIsNamed(t *testing.T) {
	unmeasured := map[string]bool{"Info": true, "Close": true, "Sync": true, "NewBuffer": true}
	kind := reflect.TypeFor[engine.Engine]()
	for i := range kind.NumMethod() {
		name := kind.Method(i).Name
		if unmeasured[name] {
			continue
		}
		e := New(engine.NewCounting())
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s took nil tensors", name)
				}
			}()
			m := reflect.ValueOf(e).MethodByName(name)
			var in []reflect.Value
			for j := range m.Type().NumIn() {
				in = append(in, reflect.Zero(m.Type().In(j)))
			}
			m.Call(in)
		}()
		got := e.Totals()
		if len(got) != 1 || got[0].Operation != name || got[0].Calls != 1 {
			t.Errorf("%s is known as %+v", name, got)
		}
	}
}

// slow is an engine whose operations are complete 20 ms after they were asked for.
type slow struct{ engine.Engine }

func (slow) Sync() error { time.Sleep(20 * time.Millisecond); return nil }

//go:noinline
func encoder(e engine.Engine, a engine.LinearArgs) { layer(e, a) }

//go:noinline
func layer(e engine.Engine, a engine.LinearArgs) { e.Linear(a) }

func TestTotals(t *testing.T) {
	e := New(slow{engine.NewCounting()}, Part{"encoder", "timed.encoder"},
		Part{"test", "timed.TestTotals"})
	buf, err := e.NewBuffer(engine.F32, 100)
	if err != nil {
		t.Fatal(err)
	}
	a := engine.LinearArgs{Y: engine.NewTensor(buf, 0, tensor.Of(2, 5)),
		X: engine.NewTensor(buf, 16, tensor.Of(2, 3)), W: engine.NewTensor(buf, 32, tensor.Of(5, 3))}
	e.Fill(a.Y, 0)
	e.Reset()
	began := time.Now()
	encoder(e, a)
	encoder(e, a)
	layer(e, a)
	e.Scale(a.Y, 2)
	wall := time.Since(began)
	got := map[string]Total{}
	sum := time.Duration(0)
	for _, x := range e.Totals() {
		sum += x.Time
		got[x.Operation+" of "+x.Part] = x
	}
	for name, want := range map[string]Total{
		"Linear of encoder": {Calls: 2, FLOPs: 120},
		"Linear of test":    {Calls: 1, FLOPs: 60},
		"Scale of test":     {Calls: 1},
	} {
		x := got[name]
		if x.Calls != want.Calls || x.FLOPs != want.FLOPs {
			t.Errorf("%s: %d calls and %d FLOPs, want %d and %d", name,
				x.Calls, x.FLOPs, want.Calls, want.FLOPs)
		}
		if least := 20 * time.Millisecond * time.Duration(want.Calls); x.Time < least {
			t.Errorf("%s took %v, want %v or more", name, x.Time, least)
		}
	}
	if n := testing.AllocsPerRun(20, func() { encoder(e, a) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
	if len(got) != 3 || sum > wall {
		t.Errorf("%v in all of %v: %v", sum, wall, got)
	}
}
