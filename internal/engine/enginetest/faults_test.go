package enginetest

import (
	"fmt"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/rng"
)

// faulty is the reference engine but for one operation.
type faulty struct {
	*ref.Engine
	linear     func(*ref.Engine, engine.LinearArgs)
	input      func(*ref.Engine, engine.LinearInputArgs)
	weight     func(*ref.Engine, engine.LinearWeightArgs)
	norm       func(*ref.Engine, engine.LayerNormArgs)
	normBack   func(*ref.Engine, engine.LayerNormBackwardArgs)
	attention  func(*ref.Engine, engine.AttentionArgs)
	attendBack func(*ref.Engine, engine.AttentionBackwardArgs)
	cast       func(e *ref.Engine, dst, src engine.Tensor)
	addTo      func(e *ref.Engine, dst, x engine.Tensor, alpha float32)
	dropout    func(e *ref.Engine, y, x engine.Tensor, m rng.Mask)
	patchify   func(*ref.Engine, engine.PatchifyVideoArgs)
	assemble   func(*ref.Engine, engine.AssembleArgs)
}

func call[A any](e *ref.Engine, f func(*ref.Engine, A), otherwise func(A), a A) {
	if f != nil {
		f(e, a)
	} else {
		otherwise(a)
	}
}

func (f faulty) Linear(a engine.LinearArgs) { call(f.Engine, f.linear, f.Engine.Linear, a) }
func (f faulty) LinearInput(a engine.LinearInputArgs) {
	call(f.Engine, f.input, f.Engine.LinearInput, a)
}
func (f faulty) LinearWeight(a engine.LinearWeightArgs) {
	call(f.Engine, f.weight, f.Engine.LinearWeight, a)
}
func (f faulty) LayerNorm(a engine.LayerNormArgs) { call(f.Engine, f.norm, f.Engine.LayerNorm, a) }
func (f faulty) LayerNormBackward(a engine.LayerNormBackwardArgs) {
	call(f.Engine, f.normBack, f.Engine.LayerNormBackward, a)
}
func (f faulty) Attention(a engine.AttentionArgs) {
	call(f.Engine, f.attention, f.Engine.Attention, a)
}
func (f faulty) AttentionBackward(a engine.AttentionBackwardArgs) {
	call(f.Engine, f.attendBack, f.Engine.AttentionBackward, a)
}
func (f faulty) PatchifyVideo(a engine.PatchifyVideoArgs) {
	call(f.Engine, f.patchify, f.Engine.PatchifyVideo, a)
}
func (f faulty) AssembleTokens(a engine.AssembleArgs) {
	call(f.Engine, f.assemble, f.Engine.AssembleTokens, a)
}

func (f faulty) Cast(dst, src engine.Tensor) {
	if f.cast != nil {
		f.cast(f.Engine, dst, src)
	} else {
		f.Engine.Cast(dst, src)
	}
}

func (f faulty) AddTo(dst, x engine.Tensor, alpha float32) {
	if f.addTo != nil {
		f.addTo(f.Engine, dst, x, alpha)
	} else {
		f.Engine.AddTo(dst, x, alpha)
	}
}

func (f faulty) Dropout(y, x engine.Tensor, m rng.Mask) {
	if f.dropout != nil {
		f.dropout(f.Engine, y, x, m)
	} else {
		f.Engine.Dropout(y, x, m)
	}
}

// unstrided returns t as if its rows followed each other.
func unstrided(t engine.Tensor) engine.Tensor {
	return engine.NewTensor(t.Buffer(), t.Offset(), t.Shape())
}

// roundInPlace replaces t, of type F32, by its values rounded to BF16.
func roundInPlace(e *ref.Engine, t engine.Tensor) {
	if t.DType() == engine.F32 {
		e.Cast(t, rounded(e, t))
	}
}

// faults are mistakes with operands of type BF16 alone.
var faults = map[string]struct {
	op string
	faulty
}{
	"stride of X ignored": {"Linear", faulty{linear: func(e *ref.Engine, a engine.LinearArgs) {
		if half(a.X) {
			a.X = unstrided(a.X)
		}
		e.Linear(a)
	}}},
	"stride of Y ignored": {"Linear", faulty{linear: func(e *ref.Engine, a engine.LinearArgs) {
		if half(a.Y) {
			a.Y = unstrided(a.Y)
		}
		e.Linear(a)
	}}},
	"bias forgotten": {"Linear", faulty{linear: func(e *ref.Engine, a engine.LinearArgs) {
		if half(a.X, a.Y) {
			a.Bias = engine.Tensor{}
		}
		e.Linear(a)
	}}},
	"residual rounded": {"Linear", faulty{linear: func(e *ref.Engine, a engine.LinearArgs) {
		if half(a.X) && !a.Residual.Nil() {
			a.Residual = rounded(e, a.Residual)
		}
		e.Linear(a)
	}}},
	"residual forgotten": {"Linear", faulty{linear: func(e *ref.Engine, a engine.LinearArgs) {
		if half(a.Residual) {
			a.Residual = engine.Tensor{}
		}
		e.Linear(a)
	}}},
	"Pre behind the GELU": {"Linear", faulty{linear: func(e *ref.Engine, a engine.LinearArgs) {
		e.Linear(a)
		if half(a.Pre) {
			e.GELU(a.Pre, a.Pre)
		}
	}}},
	"DX set, not added to": {"LinearInput", faulty{input: func(e *ref.Engine,
		a engine.LinearInputArgs) {
		if half(a.DX) {
			a.Mode = engine.Set
		}
		e.LinearInput(a)
	}}},
	"DX rounded": {"LinearInput", faulty{input: func(e *ref.Engine, a engine.LinearInputArgs) {
		if half(a.DY) && a.Mode == engine.Add {
			roundInPlace(e, a.DX)
		}
		e.LinearInput(a)
	}}},
	"slope forgotten": {"LinearInput", faulty{input: func(e *ref.Engine, a engine.LinearInputArgs) {
		if half(a.Pre) && a.Act.Nil() {
			a.Pre = engine.Tensor{}
		}
		e.LinearInput(a)
	}}},
	"DW rounded": {"LinearWeight", faulty{weight: func(e *ref.Engine, a engine.LinearWeightArgs) {
		if half(a.X) {
			roundInPlace(e, a.DW)
		}
		e.LinearWeight(a)
	}}},
	"DBias set": {"LinearWeight", faulty{weight: func(e *ref.Engine, a engine.LinearWeightArgs) {
		if half(a.DY) && !a.DBias.Nil() {
			e.Fill(a.DBias, 0)
		}
		e.LinearWeight(a)
	}}},
	"last row forgotten": {"LinearWeight", faulty{weight: func(e *ref.Engine,
		a engine.LinearWeightArgs) {
		if n := a.X.Rows(); half(a.DY) && n > 1 {
			a.X, a.DY = a.X.Slice(0, n-1), a.DY.Slice(0, n-1)
		}
		e.LinearWeight(a)
	}}},
	"summed in BF16": {"LinearWeight", faulty{weight: func(e *ref.Engine,
		a engine.LinearWeightArgs) {
		if !half(a.DY) {
			e.LinearWeight(a)
			return
		}
		sum, h := scratch(e, engine.F32, a.DW.Rows(), a.DW.Cols()),
			scratch(e, engine.BF16, a.DW.Rows(), a.DW.Cols())
		for r := range a.X.Rows() {
			e.LinearWeight(engine.LinearWeightArgs{DW: sum, DBias: a.DBias, X: a.X.Slice(r, r+1),
				DY: a.DY.Slice(r, r+1)})
			e.Cast(h, sum)
			e.Cast(sum, h)
		}
		e.AddTo(a.DW, sum, 1)
	}}},
	"X rounded": {"LayerNorm", faulty{norm: func(e *ref.Engine, a engine.LayerNormArgs) {
		if half(a.Y) && a.X.DType() == engine.F32 {
			a.X = rounded(e, a.X)
		}
		e.LayerNorm(a)
	}}},
	"statistics rounded": {"LayerNorm", faulty{norm: func(e *ref.Engine, a engine.LayerNormArgs) {
		e.LayerNorm(a)
		if half(a.Y) && !a.Mean.Nil() {
			roundInPlace(e, a.Mean)
		}
	}}},
	"DX rounded before": {"LayerNormBackward", faulty{normBack: func(e *ref.Engine,
		a engine.LayerNormBackwardArgs) {
		if half(a.DY) && a.Mode == engine.Add {
			roundInPlace(e, a.DX)
		}
		e.LayerNormBackward(a)
	}}},
	"DGain rounded": {"LayerNormBackward", faulty{normBack: func(e *ref.Engine,
		a engine.LayerNormBackwardArgs) {
		e.LayerNormBackward(a)
		if half(a.DY) {
			roundInPlace(e, a.DGain)
		}
	}}},
	"LSE missing": {"Attention", faulty{attention: func(e *ref.Engine, a engine.AttentionArgs) {
		if half(a.Q) {
			a.LSE = engine.Tensor{}
		}
		e.Attention(a)
	}}},
	"V like K": {"Attention", faulty{attention: func(e *ref.Engine, a engine.AttentionArgs) {
		if half(a.Q) {
			a.V = a.K
		}
		e.Attention(a)
	}}},
	"no dropout": {"Attention", faulty{attention: func(e *ref.Engine, a engine.AttentionArgs) {
		if half(a.Q) {
			a.Drop.P = 0
		}
		e.Attention(a)
	}}},
	"delta forgotten": {"AttentionBackward", faulty{attendBack: func(e *ref.Engine,
		a engine.AttentionBackwardArgs) {
		if half(a.Q) {
			out := newTensor(quiet{}, e, engine.BF16, a.Out.Rows()*a.Out.Cols())
			a.Out = engine.NewTensor(out.Buffer(), 0, a.Out.Shape())
		}
		e.AttentionBackward(a)
	}}},
	"another mask": {"Dropout", faulty{dropout: func(e *ref.Engine, y, x engine.Tensor, m rng.Mask) {
		if half(y) {
			m.Key++
		}
		e.Dropout(y, x, m)
	}}},
	"dst rounded": {"AddTo", faulty{addTo: func(e *ref.Engine, dst, x engine.Tensor, alpha float32) {
		if half(x) {
			roundInPlace(e, dst)
		}
		e.AddTo(dst, x, alpha)
	}}},
	"rounded twice": {"PatchifyVideo", faulty{patchify: func(e *ref.Engine,
		a engine.PatchifyVideoArgs) {
		if half(a.Y) {
			for i := range a.Mean {
				a.Mean[i] = roundBF16(a.Mean[i])
			}
		}
		e.PatchifyVideo(a)
	}}},
	"sum rounded": {"AssembleTokens", faulty{assemble: func(e *ref.Engine, a engine.AssembleArgs) {
		e.AssembleTokens(a)
		if half(a.Video, a.Audio) {
			roundInPlace(e, a.Y)
		}
	}}},
}

// recorder counts errors.
type recorder struct{ errors int }

func (*recorder) Helper()                 {}
func (r *recorder) Errorf(string, ...any) { r.errors++ }
func (*recorder) Cleanup(func())          {}

func (r *recorder) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// TestFaultsAreSeen: the suite fails an engine for each of the faults.
func TestFaultsAreSeen(t *testing.T) {
	for name, f := range faults {
		t.Run(f.op+" "+name, func(t *testing.T) {
			f.Engine = ref.New()
			r := &recorder{}
			for i, c := range allCases() {
				if c.op != f.op || r.errors > 0 {
					continue
				}
				for _, x := range c.mixes(i) {
					c.check(r, f.faulty, Options{}, x)
				}
			}
			if r.errors == 0 {
				t.Error("no case fails")
			}
		})
	}
}

// TestCastFaultsAreSeen by the comparison of roundings.
func TestCastFaultsAreSeen(t *testing.T) {
	truncate := func(e *ref.Engine, dst, src engine.Tensor) {
		v := make([]float64, src.Elems())
		e.DownloadFloat64(v, src)
		for i, x := range v {
			if r := round(x); r-r == 0 && r*r > x*x { // towards 0
				v[i] = r * (1 - halfEps/2)
			}
		}
		e.UploadFloat64(dst, v)
	}
	r := &recorder{}
	testBF16(r, faulty{Engine: ref.New(), cast: truncate})
	if r.errors == 0 {
		t.Error("no value is off")
	}
}
