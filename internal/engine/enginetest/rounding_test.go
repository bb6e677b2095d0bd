package enginetest

import (
	"math"
	"slices"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
)

// rounding is an engine that rounds to BF16 all that package engine's rules allow,
// as one does that has no products of BF16 with results in F32.
type rounding struct{ *ref.Engine }

// TestRoundingEngine: the tolerances are wide enough for such an engine.
func TestRoundingEngine(t *testing.T) {
	e := rounding{ref.New()}
	for i, c := range allCases() {
		switch c.op {
		case "Linear", "LinearInput", "LinearWeight", "Attention", "AttentionBackward":
			for _, x := range c.mixes(i) {
				t.Run(c.op+"/"+c.name+"/"+x.half, func(t *testing.T) { c.check(t, e, Options{}, x) })
			}
		}
	}
}

func half(all ...engine.Tensor) bool {
	for _, t := range all {
		if !t.Nil() && t.DType() == engine.BF16 {
			return true
		}
	}
	return false
}

// scratch returns a new matrix.
func scratch(e engine.Engine, dt engine.DType, rows, cols int) engine.Tensor {
	return newTensor(quiet{}, e, dt, rows, cols)
}

// rounded returns a copy of t of type F32, rounded to BF16.
func rounded(e engine.Engine, t engine.Tensor) engine.Tensor {
	if t.Nil() {
		return t
	}
	h := engine.NewTensor(scratch(e, engine.BF16, t.Rows(), t.Cols()).Buffer(), 0, t.Shape())
	f := engine.NewTensor(scratch(e, engine.F32, t.Rows(), t.Cols()).Buffer(), 0, t.Shape())
	e.Cast(h, t)
	e.Cast(f, h)
	return f
}

func (e rounding) Linear(a engine.LinearArgs) {
	if !half(a.X, a.Y, a.Residual, a.Pre) {
		e.Engine.Linear(a)
		return
	}
	y := scratch(e, engine.F32, a.Y.Rows(), a.Y.Cols())
	e.Engine.Linear(engine.LinearArgs{Y: y, X: a.X, W: rounded(e, a.W), Bias: rounded(e, a.Bias)})
	y = rounded(e, y)
	if !a.Pre.Nil() {
		e.Cast(a.Pre, y)
	}
	if a.GELU {
		e.GELU(y, y)
	}
	if !a.Residual.Nil() {
		e.AddTo(y, a.Residual, 1)
	}
	e.Cast(a.Y, y)
}

func (e rounding) LinearInput(a engine.LinearInputArgs) {
	if !half(a.DX, a.DY, a.Pre, a.Act) {
		e.Engine.LinearInput(a)
		return
	}
	dx := scratch(e, engine.F32, a.DX.Rows(), a.DX.Cols())
	e.Engine.LinearInput(engine.LinearInputArgs{DX: dx, DY: a.DY, W: rounded(e, a.W)})
	dx = rounded(e, dx)
	if !a.Pre.Nil() {
		e.GELUBackward(dx, dx, a.Pre)
	}
	if a.Mode == engine.Add {
		e.AddTo(a.DX, dx, 1)
	} else {
		e.Cast(a.DX, dx)
	}
	if !a.Act.Nil() {
		e.GELU(a.Act, a.Pre)
	}
}

func (e rounding) LinearWeight(a engine.LinearWeightArgs) {
	if !half(a.DY, a.X) {
		e.Engine.LinearWeight(a)
		return
	}
	dw := scratch(e, engine.F32, a.DW.Rows(), a.DW.Cols())
	e.Engine.LinearWeight(engine.LinearWeightArgs{DW: dw, DBias: a.DBias, DY: a.DY, X: a.X})
	e.AddTo(a.DW, rounded(e, dw), 1)
}

// attended are the operands of attention of one query.
type attended struct {
	q, k, v, out, dout []float64 // of one head: query, keys, values, output
	n                  int       // width of the head
}

func round(x float64) float64 { return float64(roundBF16(float32(x))) }

// scores returns q·kᵀ/√n by key.
func (a attended) scores() []float64 {
	s := make([]float64, len(a.k)/a.n)
	for j := range s {
		for i, q := range a.q {
			s[j] += q * a.k[j*a.n+i] / math.Sqrt(float64(a.n))
		}
	}
	return s
}

// eachQuery calls f for every query of every head; row counts (b, h, i) as LSE does.
// What head makes of a tensor are its rows for them: that of the query, or all.
func (e rounding) eachQuery(q engine.Tensor, heads int,
	f func(row int, head func(t engine.Tensor, one bool) engine.Tensor)) {
	n := q.Cols() / heads
	for row := range q.Dim(0) * heads * q.Dim(1) {
		b, h, i := row/(heads*q.Dim(1)), row/q.Dim(1)%heads, row%q.Dim(1)
		f(row, func(t engine.Tensor, one bool) engine.Tensor {
			x := t.Slice(b, b+1)
			x = x.Reshape(x.Dim(1), x.Dim(2))
			if one {
				x = x.Slice(i, i+1)
			}
			return x.Columns(h*n, (h+1)*n)
		})
	}
}

func (e rounding) host(t engine.Tensor) []float64 {
	v := make([]float64, t.Elems())
	e.DownloadFloat64(v, t)
	return v
}

func (e rounding) Attention(a engine.AttentionArgs) {
	if a.Drop.P > 0 || !half(a.Q) {
		e.Engine.Attention(a)
		return
	}
	a.Check()
	lse := make([]float64, a.Q.Rows()*a.Heads)
	e.eachQuery(a.Q, a.Heads, func(row int, head func(engine.Tensor, bool) engine.Tensor) {
		at := attended{q: e.host(head(a.Q, true)), k: e.host(head(a.K, false)),
			v: e.host(head(a.V, false)), n: a.Q.Cols() / a.Heads}
		scores, out, sum := at.scores(), make([]float64, at.n), 0.0
		top := slices.Max(scores)
		for _, s := range scores {
			sum += math.Exp(s - top)
		}
		lse[row] = top + math.Log(sum)
		for j, s := range scores {
			p := round(math.Exp(s - lse[row]))
			for i := range out {
				out[i] += p * at.v[j*at.n+i]
			}
		}
		e.UploadFloat64(head(a.Out, true), out)
	})
	if !a.LSE.Nil() {
		e.UploadFloat64(a.LSE, lse)
	}
}

func (e rounding) AttentionBackward(a engine.AttentionBackwardArgs) {
	if a.Drop.P > 0 || !half(a.Q) {
		e.Engine.AttentionBackward(a)
		return
	}
	a.Check()
	lse, n := e.host(a.LSE), a.Q.Cols()/a.Heads
	sums := map[int][2][]float64{} // dk and dv by the offset of a head's keys
	e.eachQuery(a.Q, a.Heads, func(row int, head func(engine.Tensor, bool) engine.Tensor) {
		at := attended{q: e.host(head(a.Q, true)), k: e.host(head(a.K, false)),
			v: e.host(head(a.V, false)), out: e.host(head(a.Out, true)),
			dout: e.host(head(a.DOut, true)), n: n}
		key := head(a.K, false).Offset()
		if sums[key][0] == nil {
			sums[key] = [2][]float64{make([]float64, len(at.k)), make([]float64, len(at.k))}
		}
		dk, dv, dq := sums[key][0], sums[key][1], make([]float64, n)
		delta := 0.0
		for i, d := range at.dout {
			delta += d * at.out[i]
		}
		for j, s := range at.scores() {
			p, dp := round(math.Exp(s-lse[row])), 0.0
			for i, d := range at.dout {
				dv[j*n+i] += p * d
				dp += d * at.v[j*n+i]
			}
			ds := round(p*(round(dp)-delta)) / math.Sqrt(float64(n))
			for i := range dq {
				dq[i] += ds * at.k[j*n+i]
				dk[j*n+i] += ds * at.q[i]
			}
		}
		e.UploadFloat64(head(a.DQ, true), dq)
		e.UploadFloat64(head(a.DK, false), dk)
		e.UploadFloat64(head(a.DV, false), dv)
	})
}
