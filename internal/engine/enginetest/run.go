package enginetest

import (
	"fmt"
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/rng"
)

// Options says what is checked beside results.
type Options struct {
	// ZeroAllocs: no operation allocates on the Go heap in a steady state.
	ZeroAllocs bool
	// BF16: every case is run again with operands of that type, in several mixes.
	BF16 bool
}

// testCase is one call of an operation. build makes the operands and returns
// the call.
type testCase struct {
	op, name string
	build    func(m *memory) func()
	skipNaN  bool // whether a NaN that is multiplied by 0 propagates is not defined
}

// Run holds an engine to the reference. open returns a new engine; it is
// closed at the end of each operation's tests.
func Run(t *testing.T, open func(t *testing.T) engine.Engine) {
	t.Helper()
	Options{}.Run(t, open)
}

// Run is Run with options.
func (o Options) Run(t *testing.T, open func(t *testing.T) engine.Engine) {
	t.Helper()
	byOp, order := map[string][]testCase{}, []string{}
	for _, c := range allCases() {
		if byOp[c.op] == nil {
			order = append(order, c.op)
		}
		byOp[c.op] = append(byOp[c.op], c)
	}
	withEngine := func(name string, f func(t *testing.T, e engine.Engine)) {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			f(t, e)
			if err := e.Sync(); err != nil {
				t.Errorf("Sync: %v", err)
			}
			if err := e.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	withEngine("Memory", testMemory)
	withEngine("Masks", testMasks)
	if o.BF16 {
		withEngine("BF16", func(t *testing.T, e engine.Engine) { testBF16(t, e) })
	}
	t.Run("Group", func(t *testing.T) {
		if err := open(t).Close(); err != nil { // a skip is this goroutine's to say
			t.Error(err)
		}
		testGroup(t, open)
	})
	for _, op := range order {
		withEngine(op, func(t *testing.T, e engine.Engine) {
			var f32, bf16 tally
			for i, c := range byOp[op] {
				t.Run(c.name, func(t *testing.T) { f32.add(c.check(t, e, o, mix{})) })
				if !o.BF16 {
					continue
				}
				for _, x := range c.mixes(i) {
					t.Run(c.name+"/bf16 "+x.half, func(t *testing.T) { bf16.add(c.check(t, e, o, x)) })
				}
			}
			t.Logf("%v", f32)
			if bf16.cases > 0 {
				t.Logf("with BF16 operands: %v", bf16)
			}
		})
	}
}

// tally is how close results came to what they may be off.
type tally struct {
	cases, values int
	worst         float64 // share of the tolerance
}

func (t *tally) add(o tally) {
	t.cases, t.values, t.worst = t.cases+o.cases, t.values+o.values, max(t.worst, o.worst)
}

func (t tally) String() string {
	return fmt.Sprintf("%d cases, %d values, off by %.1f %% of the tolerance at most", t.cases,
		t.values, 100*t.worst)
}

// smallCase is the most elements of a case that is run in every way.
const smallCase = 5000

func allCases() (all []testCase) {
	for _, family := range [][]testCase{linearCases(), elementCases(), normCases(),
		attentionCases(), tokenCases(), objectiveCases(), optimCases()} {
		all = append(all, family...)
	}
	return all
}

// check runs a case on the engine and on the reference and compares.
func (c testCase) check(t reporter, e engine.Engine, o Options, x mix) tally {
	t.Helper()
	nan := float32(math.NaN())
	reference := c.runRef(&memory{t: t, e: ref.New(), mix: x, exact: true, poison: nan})
	movement := c.movement(t, reference, x, false)
	halfMovement := make([]float64, len(movement))
	if x.rounded != "" {
		halfMovement = c.movement(t, reference, x, true)
	}
	m := &memory{t: t, e: e, mix: x, poison: nan}
	call := c.build(m)
	call()
	got := download(m)
	sum := tally{cases: 1}
	for k, r := range m.regions {
		sum.add(compare(t, r, got[k], reference.values[k], movement[k], halfMovement[k]))
	}
	if o.ZeroAllocs {
		e.Sync()
		if n := testing.AllocsPerRun(3, call); n != 0 {
			t.Errorf("%v allocations per call, want none", n)
		}
	}
	m.free()

	again := &memory{t: t, e: e, mix: x, poison: 1.5e9}
	c.build(again)()
	for k, v := range download(again) {
		compareBits(t, again.regions[k], v, got[k])
	}
	again.free()
	if !c.skipNaN {
		c.checkNaN(t, e, x)
	}
	return sum
}

// movement returns, for every operand, how far its elements move at most when the
// inputs do: by a rounding error of F32 all of them, or with halves by one of BF16
// those that may be so rounded.
func (c testCase) movement(t reporter, reference refRun, x mix, halves bool) []float64 {
	most := make([]float64, len(reference.regions))
	runs := 2
	switch n := reference.elems(); {
	case n > 20_000:
		runs = 1 // enough elements to find the largest movement
	case halves && n <= smallCase/10:
		runs = 8 // for there is less to spare
	}
	for i := range runs {
		m := c.runRef(&memory{t: t, e: ref.New(), mix: x, exact: true, halves: halves,
			poison: float32(math.NaN()), perturb: rng.New(uint64(i), "perturb")})
		for k, v := range m.values {
			for j := range v {
				if d := math.Abs(v[j] - reference.values[k][j]); d > most[k] {
					most[k] = d
				}
			}
		}
	}
	return most
}

// checkNaN puts a NaN, then an infinity, into one input after another. A NaN must
// come out where it does on the reference. From an infinity may come finite
// numbers (the weight of a score of −Inf is 0), but where the reference gives
// none the engine may not either, and only what depends on it may suffer.
func (c testCase) checkNaN(t reporter, e engine.Engine, x mix) {
	t.Helper()
	probe := &memory{t: t, e: ref.New()}
	c.build(probe)
	if (refRun{regions: probe.regions}).elems() > smallCase {
		return // the small cases have shown it
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, r := range probe.regions {
		if r.fixed || r.derived || !r.given {
			continue
		}
		spoiltRef := func(spoil float32) refRun {
			return c.runRef(&memory{t: t, e: ref.New(), mix: x, exact: true, spoilt: r.name,
				spoil: spoil})
		}
		depends, infinite := spoiltRef(nan), spoiltRef(inf)
		for _, spoil := range []float32{nan, inf} {
			must := depends
			if spoil == inf {
				must = infinite
			}
			m := &memory{t: t, e: e, mix: x, spoilt: r.name, spoil: spoil}
			c.build(m)()
			for k, v := range download(m) {
				compareSpoilt(t, r.name, m.regions[k], spoil, v, must.values[k], depends.values[k])
			}
			m.free()
		}
	}
}

// compareSpoilt requires that s, after spoil was put into the operand called
// from, is not finite where must is not, and finite where depends is.
func compareSpoilt(t reporter, from string, s *region, spoil float32, got []float32, must,
	depends []float64) {
	t.Helper()
	if s.scratch {
		return
	}
	for i := range s.tensor.Elems() {
		at := s.at(i)
		finite := got[at]-got[at] == 0
		if finite && must[at]-must[at] != 0 {
			t.Errorf("%v in %s: element %d of %s is %v, want %v", spoil, from, i, s.name, got[at],
				must[at])
			return
		}
		if !finite && depends[at]-depends[at] == 0 {
			t.Errorf("%v in %s: element %d of %s is %v, but does not depend on it", spoil, from, i,
				s.name, got[at])
			return
		}
	}
}

// refRun is a finished run on the reference.
type refRun struct {
	regions []*region
	values  [][]float64 // whole buffers, by operand
}

// elems returns the number of elements of all operands.
func (r refRun) elems() (n int) {
	for _, s := range r.regions {
		n += s.tensor.Elems()
	}
	return n
}

func (c testCase) runRef(m *memory) refRun {
	c.build(m)()
	run := refRun{regions: m.regions}
	for _, r := range m.regions {
		v := make([]float64, r.whole.Elems())
		m.e.(*ref.Engine).DownloadFloat64(v, r.whole)
		run.values = append(run.values, v)
	}
	return run
}

func download(m *memory) (values [][]float32) {
	for _, r := range m.regions {
		values = append(values, read(m.t, m.e, r.whole))
	}
	return values
}

// compare holds the elements of an output to the reference, and everything else
// to what it was. An output may be off by 16 roundings of its own, and by some
// times the movement that rounding the inputs causes: more for long sums. What is
// stored as BF16 may be off by one rounding to that, and what may be rounded on the
// way by some of the movement from there, however long the sums: they are not.
func compare(t reporter, r *region, got []float32, want []float64, movement,
	halfMovement float64) (sum tally) {
	t.Helper()
	inside := make([]bool, len(got))
	long := 1 + math.Sqrt(float64(r.terms))/4
	bad := 0
	for i := range r.tensor.Elems() {
		at := r.at(i)
		inside[at] = r.output
		if !r.output || r.scratch {
			continue
		}
		g, w := float64(got[at]), want[at]
		limit := 16*long*(eps*math.Abs(w)+movement) + 4*halfMovement + r.slack + 1e-37
		if r.half {
			limit += halfEps / 2 * math.Abs(w)
		}
		if math.IsNaN(w) && math.IsNaN(g) || math.IsInf(w, 0) && g == w {
			continue
		}
		sum.values++
		sum.worst = max(sum.worst, math.Abs(g-w)/limit)
		if !(math.Abs(g-w) <= limit) {
			if bad++; bad <= 3 {
				t.Errorf("%s %v, element %d: %v, want %v ± %.2g", r.name, r.tensor, i, g, w, limit)
			}
		}
	}
	if bad > 3 {
		t.Errorf("%s: %d of %d elements are off", r.name, bad, r.tensor.Elems())
	}
	for i, b := range r.before {
		if !inside[i] && got[i] != b && !(got[i] != got[i] && b != b) {
			t.Errorf("%s %v at offset %d: element %d of the buffer changed from %v to %v",
				r.name, r.tensor, r.tensor.Offset(), i, b, got[i])
			return sum
		}
	}
	return sum
}

// compareBits requires that outputs have the same bits as in an earlier run
// and that all else is unchanged.
func compareBits(t reporter, r *region, got, first []float32) {
	t.Helper()
	inside := make([]bool, len(got))
	for i := range r.tensor.Elems() {
		at := r.at(i)
		inside[at] = r.output
		if r.output && !r.scratch && math.Float32bits(got[at]) != math.Float32bits(first[at]) &&
			got[at] == got[at] {
			t.Errorf("%s %v, element %d: %v, the run before gave %v: operands beside it or the "+
				"former contents are read, or the result depends on chance",
				r.name, r.tensor, i, got[at], first[at])
			return
		}
	}
	for i, b := range r.before {
		if !inside[i] && math.Float32bits(got[i]) != math.Float32bits(b) {
			t.Errorf("%s %v at offset %d: element %d of the buffer changed from %v to %v",
				r.name, r.tensor, r.tensor.Offset(), i, b, got[i])
			return
		}
	}
}
