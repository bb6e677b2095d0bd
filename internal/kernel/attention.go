package kernel

import (
	"math"

	"avjepa/internal/rng"
)

// AttentionArgs describes out = softmax(q·kᵀ·Scale)·v for every head. Element
// (b, i, a·HeadDim + d) of Q lies at Q[b·QBatch + i·QStride + a·HeadDim + d];
// likewise the others.
//
//	Q, Out  (B, Nq, Heads·HeadDim)  Out set
//	K, V    (B, Nk, Heads·HeadDim)
//	LSE     (B, Heads, Nq)          set to the log of the sum of exponentials;
//	                                optional when no backward follows
//
// With DropP > 0 the probabilities are dropped with the mask of DropKey after
// normalisation; row (b·Heads + a)·Nq + i of the mask belongs to query i.
type AttentionArgs struct {
	B, Nq, Nk, Heads, HeadDim int

	Q, K, V, Out                         []float32
	QStride, KStride, VStride, OutStride int // between tokens
	QBatch, KBatch, VBatch, OutBatch     int // between sequences

	LSE     []float32
	Scale   float32
	DropP   float64
	DropKey rng.Key
}

// AttentionBackwardArgs are the operands of the backward pass, which recomputes
// the probabilities from LSE.
//
//	DQ            (B, Nq, Heads·HeadDim)  set
//	DK, DV        (B, Nk, Heads·HeadDim)  set
//	DOut          (B, Nq, Heads·HeadDim)
//	Delta         (B, Heads, Nq)          scratch: Σ_d dOut·out of a row
//
// The embedded operands are those of Forward: Out and LSE as it left them.
type AttentionBackwardArgs struct {
	AttentionArgs

	DOut, DQ, DK, DV                         []float32
	DOutStride, DQStride, DKStride, DVStride int
	DOutBatch, DQBatch, DKBatch, DVBatch     int

	Delta []float32
}

// Attention computes softmax attention on a pool. It owns scratch memory; use
// one Attention from one goroutine at a time.
type Attention struct {
	pool *Pool
}

// NewAttention returns an Attention that runs on pool.
func NewAttention(pool *Pool) *Attention { return &Attention{pool: pool} }

// Forward sets Out and LSE. Nk must be at least 1.
func (t *Attention) Forward(a *AttentionArgs) {
	p := make([]float64, a.Nk)
	for b := range a.B {
		for h := range a.Heads {
			for i := range a.Nq {
				lse := a.naiveRow(p, b, h, i)
				row := (b*a.Heads+h)*a.Nq + i
				if a.LSE != nil {
					a.LSE[row] = float32(lse)
				}
				out := a.Out[b*a.OutBatch+i*a.OutStride+h*a.HeadDim:][:a.HeadDim]
				for d := range out {
					var s float64
					for j := range p {
						v := a.V[b*a.VBatch+j*a.VStride+h*a.HeadDim+d]
						s += math.Exp(p[j]-lse) * a.keep(row, j) * float64(v)
					}
					out[d] = float32(s)
				}
			}
		}
	}
}

func (a *AttentionArgs) naiveRow(s []float64, b, h, i int) (lse float64) {
	mx := math.Inf(-1)
	for j := range s {
		s[j] = 0
		for d := range a.HeadDim {
			s[j] += float64(a.Q[b*a.QBatch+i*a.QStride+h*a.HeadDim+d]) *
				float64(a.K[b*a.KBatch+j*a.KStride+h*a.HeadDim+d])
		}
		s[j] *= float64(a.Scale)
		mx = max(mx, s[j])
	}
	var sum float64
	for _, v := range s {
		sum += math.Exp(v - mx)
	}
	return mx + math.Log(sum)
}

func (a *AttentionArgs) keep(row, col int) float64 {
	if a.DropP == 0 {
		return 1
	}
	k0, k1 := a.DropKey.Row(row)
	if rng.RowBits(k0, k1, uint32(col)) < rng.Threshold(a.DropP) {
		return 0
	}
	return 1 / (1 - a.DropP)
}

// Backward sets DQ, DK and DV.
func (t *Attention) Backward(a *AttentionBackwardArgs) {
	s := make([]float64, a.Nk)
	for b := range a.B {
		for h := range a.Heads {
			at := func(i, stride, batch, d int) int { return b*batch + i*stride + h*a.HeadDim + d }
			for j := range a.Nk {
				for d := range a.HeadDim {
					a.DK[at(j, a.DKStride, a.DKBatch, d)] = 0
					a.DV[at(j, a.DVStride, a.DVBatch, d)] = 0
				}
			}
			for i := range a.Nq {
				lse := a.naiveRow(s, b, h, i)
				row := (b*a.Heads+h)*a.Nq + i
				var delta float64
				for d := range a.HeadDim {
					a.DQ[at(i, a.DQStride, a.DQBatch, d)] = 0
					delta += float64(a.DOut[at(i, a.DOutStride, a.DOutBatch, d)]) *
						float64(a.Out[at(i, a.OutStride, a.OutBatch, d)])
				}
				for j := range s {
					p, keep := math.Exp(s[j]-lse), a.keep(row, j)
					var dp float64
					for d := range a.HeadDim {
						do := float64(a.DOut[at(i, a.DOutStride, a.DOutBatch, d)])
						dp += do * float64(a.V[at(j, a.VStride, a.VBatch, d)]) * keep
						a.DV[at(j, a.DVStride, a.DVBatch, d)] += float32(p * keep * do)
					}
					ds := float32(p * (dp - delta) * float64(a.Scale))
					for d := range a.HeadDim {
						a.DQ[at(i, a.DQStride, a.DQBatch, d)] +=
							ds * a.K[at(j, a.KStride, a.KBatch, d)]
						a.DK[at(j, a.DKStride, a.DKBatch, d)] +=
							ds * a.Q[at(i, a.QStride, a.QBatch, d)]
					}
				}
			}
		}
	}
}
