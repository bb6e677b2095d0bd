package timed

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"time"

	"avjepa/internal/engine"
)

// Part is a part of the program that asks for operations: every function whose
// full name contains In, such as "sigreg.(*Regularizer)".
type Part struct{ Name, In string }

// Total is what one part asked of one operation.
type Total struct {
	Operation string // the method of engine.Engine
	Part      string // "" when no part is on the stack
	Calls     int
	Time      time.Duration
	FLOPs     int64 // of matrix products and attention as computed
}

// depth is how many callers are looked at: a layer's own functions and the
// Forward or Backward that they serve.
const depth = 8

// Engine measures the engine it hands everything on to. It is made by New.
type Engine struct {
	inner engine.Engine
	count *engine.Counting // knows the FLOPs
	parts []Part
	err   error // the first of Sync after an operation

	callers [depth]uintptr         // of the operation under way
	partOf  map[[depth]uintptr]int // in parts, len(parts) for none, by callers
	totals  map[key]*Total

	now   *Total // of the operation under way
	flops int64  // counted when it began
	start time.Time
}

type key struct {
	operation string
	part      int
}

var _ engine.Engine = (*Engine)(nil)

// New returns an engine that measures e. An operation belongs to the part of its
// innermost caller that is in one; when that is in several, to the first.
func New(e engine.Engine, parts ...Part) *Engine {
	return &Engine{inner: e, count: engine.NewCounting(), parts: parts,
		partOf: map[[depth]uintptr]int{}, totals: map[key]*Total{}}
}

// Reset forgets what was measured.
func (e *Engine) Reset() {
	for _, t := range e.totals {
		t.Calls, t.Time, t.FLOPs = 0, 0, 0
	}
}

// Totals returns what was measured since New or Reset, the longest first.
func (e *Engine) Totals() []Total {
	var all []Total
	for _, t := range e.totals {
		if t.Calls > 0 {
			all = append(all, *t)
		}
	}
	slices.SortFunc(all, func(a, b Total) int {
		return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Operation, b.Operation),
			cmp.Compare(a.Part, b.Part))
	})
	return all
}

// begin starts the clock of an operation, called by its method.
func (e *Engine) begin(operation string) {
	const skip = 3 // Callers, begin and the method
	n := runtime.Callers(skip, e.callers[:])
	clear(e.callers[n:])
	part, known := e.partOf[e.callers]
	if !known {
		part = e.findPart(n)
		e.partOf[e.callers] = part
	}
	k := key{operation, part}
	e.now = e.totals[k]
	if e.now == nil {
		e.now = &Total{Operation: operation}
		if part < len(e.parts) {
			e.now.Part = e.parts[part].Name
		}
		e.totals[k] = e.now
	}
	e.now.Calls++
	e.flops = e.count.Counts.FLOPs()
	e.start = time.Now()
}

// end stops the clock when the operation is complete.
func (e *Engine) end() {
	if err := e.inner.Sync(); e.err == nil {
		e.err = err
	}
	e.now.Time += time.Since(e.start)
	e.now.FLOPs += e.count.Counts.FLOPs() - e.flops
}

// findPart returns the part of the first n callers, innermost first.
func (e *Engine) findPart(n int) int {
	if n == 0 {
		return len(e.parts)
	}
	frames := runtime.CallersFrames(e.callers[:n])
	for {
		f, more := frames.Next()
		for i, p := range e.parts {
			if strings.Contains(f.Function, p.In) {
				return i
			}
		}
		if !more {
			return len(e.parts)
		}
	}
}
