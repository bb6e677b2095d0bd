package engine

import "avjepa/internal/rng"

// Info describes an engine to people.
type Info struct {
	Name    string // "cpu", "ref"
	Device  string // "Intel Xeon, 2 threads, AVX2+FMA"
	Threads int    // workers; 1 for a device that schedules itself
	BF16    bool   // whether BF16 tensors are supported
	// Async: operations run behind the caller's back, so that uploading the next
	// batch while a step runs costs no time.
	Async bool
}

// Mode says whether an output is overwritten or added to.
type Mode uint8

const (
	Set Mode = iota // the output is overwritten; its former contents are not read
	Add             // the result is added to the output
)

// Engine owns memory and computes. See the package comment for the rules.
type Engine interface {
	Info() Info
	Close() error

	// NewBuffer returns a zeroed block, or an error when memory is short.
	NewBuffer(dt DType, elems int) (Buffer, error)
	Upload(dst Tensor, src []float32)   // dst F32, contiguous; returns when src may be reused
	UploadBytes(dst Tensor, src []byte) // dst U8, contiguous; likewise
	Download(dst []float32, src Tensor) // src F32, strided; waits for the result
	Copy(dst, src Tensor)               // same shape and type; both strided
	Cast(dst, src Tensor)               // same shape, F32 or BF16 each; both strided
	Fill(dst Tensor, v float32)         // strided
	Sync() error                        // waits for everything queued; reports device faults

	Linear(LinearArgs)
	LinearInput(LinearInputArgs)
	LinearWeight(LinearWeightArgs)

	LayerNorm(LayerNormArgs)
	LayerNormBackward(LayerNormBackwardArgs)
	BatchNorm(BatchNormArgs)
	BatchNormBackward(BatchNormBackwardArgs)

	// GELU sets y = x·Φ(x), Φ the exact normal distribution function. y may be x.
	// Both may be strided, as may the operands of GELUBackward.
	GELU(y, x Tensor)
	// GELUBackward sets dx = dy·(Φ(x) + x·φ(x)). dx may be dy.
	GELUBackward(dx, dy, x Tensor)
	// Dropout sets y to x/(1−P) where the mask keeps, 0 elsewhere: y and x are
	// sequences (B, N, D), or (B, D) of one token each, and token i of a sequence
	// has row i of its Tokens rows of the mask. y may be x. Applied to dy it is its
	// own backward.
	Dropout(y, x Tensor, m rng.Mask)
	// AddTo adds alpha·x to dst. Both may be strided.
	AddTo(dst, x Tensor, alpha float32)
	// Scale multiplies x by alpha in place.
	Scale(x Tensor, alpha float32)
	// ColumnStats sets mean and std (C) to the mean and the unbiased standard
	// deviation of the columns of x (R, C), R ≥ 2.
	ColumnStats(mean, std, x Tensor)

	Attention(AttentionArgs)
	AttentionBackward(AttentionBackwardArgs)
	// AttentionWeights sets w (B, A, Nq, Nk) to softmax(q·kᵀ·scale): the slow path
	// for pictures. q (B, Nq, D) and k (B, Nk, D) are strided.
	AttentionWeights(w, q, k Tensor, heads int)

	PatchifyVideo(PatchifyVideoArgs)
	PatchifyAudio(PatchifyAudioArgs)
	AssembleTokens(AssembleArgs)
	AssembleTokensBackward(AssembleBackwardArgs)

	// Center sets c (B, K) to the mean of the first g views of z (V, B, K).
	// Source: paper, eq. 1 (z̄).
	Center(c, z Tensor, g int)
	PredictionLoss(PredictionLossArgs)
	ECF(ECFArgs)
	SIGReg(SIGRegArgs)
	ECFBackward(ECFBackwardArgs)
	CrossEntropy(CrossEntropyArgs)

	// SquaredNorm sets out (1) to Σ x².
	SquaredNorm(out, x Tensor)
	// ClipScale sets scale (1) to min(1, maxNorm/(√sq + 1e-6)); maxNorm ≤ 0 gives 1.
	ClipScale(scale, sq Tensor, maxNorm float64)
	AdamW(AdamWArgs)
}

// LinearArgs: y = act(x·Wᵀ + bias) + residual.
//
//	Y         (R, O)  set; may be Residual; strided
//	X         (R, I)  strided
//	W         (O, I)
//	Bias      (O)     optional
//	Residual  (R, O)  optional, strided
//	Pre       (R, O)  optional, strided, set to x·Wᵀ + bias; needs GELU
//
// Tensors of higher rank count as matrices of Rows() × Cols().
type LinearArgs struct {
	Y, X, W, Bias, Residual, Pre Tensor
	GELU                         bool // act is the exact GELU, else the identity
}

// LinearInputArgs: dx = dy·W, or dx = (dy·W) ⊙ gelu′(pre) when Pre is given, and
// then act = gelu(pre) when Act is.
//
//	DX   (R, I)  set or added to; strided
//	DY   (R, O)  strided
//	W    (O, I)
//	Pre  (R, I)  optional, strided: the input of the GELU whose output was this layer's x
//	Act  (R, I)  optional, strided, set; may be Pre; needs Pre
type LinearInputArgs struct {
	DX, DY, W, Pre, Act Tensor
	Mode                Mode
}

// LinearWeightArgs: dW += dyᵀ·x, dBias += Σ_r dy.
//
//	DW     (O, I)  added to
//	DBias  (O)     optional, added to
//	DY     (R, O)  strided
//	X      (R, I)  strided
type LinearWeightArgs struct{ DW, DBias, DY, X Tensor }

// LayerNormArgs: y = (x − mean)·rstd·gain + bias for every row.
//
//	Y, X        (R, D)  Y set, may be X; both strided
//	Mean, RStd  (R)     set; optional together, LayerNormBackward needs them
//	Gain, Bias  (D)
//
// rstd = 1/√(var + eps), var the biased variance. Source: arXiv:1607.06450.
type LayerNormArgs struct {
	Y, Mean, RStd, X, Gain, Bias Tensor
	Eps                          float64
}

// LayerNormBackwardArgs: with x̂ = (x − mean)·rstd and g = dy·gain,
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), dGain += Σ_r dy·x̂, dBias += Σ_r dy.
//
//	DX            (R, D)  set or added to, may be DY when set
//	DGain, DBias  (D)     added to
//	DY, X         (R, D)
//	Mean, RStd    (R)
//	Gain          (D)
type LayerNormBackwardArgs struct {
	DX, DGain, DBias, DY, X, Mean, RStd, Gain Tensor
	Mode                                      Mode
}

// BatchNormArgs normalises the columns of x. In training the batch's own mean
// and biased variance are used and the running ones moved towards the batch's
// (the variance unbiased) by Momentum; else the running ones are used.
//
//	Y, X                 (R, C)  Y set, may not be X
//	Mean, RStd           (C)     set in training
//	Gain, Bias           (C)
//	RunMean, RunVar      (C)     updated in training, else read
//	GELU: Y = gelu(normalised), Pre (R, C) set to the normalised value if given
//
// With a Group, mean and variance are those of the rows of all its processes,
// which have R each: first the means, then the mean squares about them are
// averaged, in the memory of Mean and RStd.
//
// Source: arXiv:1502.03167.
type BatchNormArgs struct {
	Y, Pre, Mean, RStd, X, Gain, Bias, RunMean, RunVar Tensor
	Group                                              Group // nil: the rows of X alone
	Eps, Momentum                                      float64
	Train                                              bool
	GELU                                               bool
}

// BatchNormBackwardArgs: with x̂ = (x − mean)·rstd,
// dx = gain·rstd·(dy − mean(dy) − x̂·mean(dy·x̂)), dGain += Σ dy·x̂, dBias += Σ dy.
//
//	DX            (R, C)  set, may be DY
//	DGain, DBias  (C)     added to: sums over the rows of X, with a Group too
//	Means         (2, C)  scratch, with a Group: both means, averaged over processes
type BatchNormBackwardArgs struct {
	DX, DGain, DBias, DY, X, Mean, RStd, Gain Tensor
	Means                                     Tensor
	Group                                     Group // as in BatchNormArgs
}

// AttentionArgs: out = softmax(q·kᵀ/√(D/A))·v per head; heads are consecutive
// slices of D/A columns.
//
//	Out   (B, Nq, D)   set; strided
//	LSE   (B, A, Nq)   set to the log of the sum of exponentials; optional when
//	                   no backward follows
//	Q     (B, Nq, D)   strided
//	K, V  (B, Nk, D)   strided
//
// The probabilities are dropped with Drop after normalisation. A sequence has
// A·Tokens rows of the mask: row a·Tokens + i belongs to query i of head a.
type AttentionArgs struct {
	Out, LSE, Q, K, V Tensor
	Heads             int
	Drop              rng.Mask
}

// AttentionBackwardArgs recomputes the probabilities from LSE.
//
//	DQ, DK, DV         set; strided; shapes of Q, K, V
//	DOut, Out          (B, Nq, D)  strided
//	Delta              (B, A, Nq)  scratch: Σ_d dOut·out of a row
type AttentionBackwardArgs struct {
	DQ, DK, DV, DOut, Out, LSE, Delta, Q, K, V Tensor
	Heads                                      int
	Drop                                       rng.Mask
}

// PatchifyVideoArgs cuts frames into tubelets of Pt frames × P×P pixels.
//
//	Y  (B·Nv, C·Pt·P·P)  set; tokens time-major then row-major; inside a token
//	                     channel, frame, row, column, as a Conv3D weight lies
//	X  (B, T, H, W, C) U8: scaled to [0,1], then (x − Mean)/Std per channel
//	   (B, C, T, H, W) F32: taken as it is
type PatchifyVideoArgs struct {
	Y, X      Tensor
	PatchT, P int
	Mean, Std [3]float32
}

// PatchifyAudioArgs cuts a log-mel into patches of PF bands × PT frames.
//
//	Y  (B·Na, PF·PT)  set; tokens frequency-major; inside a token band, frame
//	X  (B, F, S) F32  frames beyond the last whole patch are unused
type PatchifyAudioArgs struct {
	Y, X   Tensor
	PF, PT int
}

// AssembleArgs builds the token sequences [CLS; video; audio] of a group of B
// views that all have the same modalities.
//
//	Y           (B, 1+Nv+Na, D)  set
//	CLS         (D)
//	Video       (B·Nv, D)  patch products without bias; nil when absent
//	VideoBias, VideoType  (D)
//	VideoTime   (Tv, D), VideoSpace (Sv, D), Nv = Tv·Sv, token t·Sv + s
//	Audio       (B·Na, D)  likewise
//	AudioBias, AudioType  (D)
//	AudioFreq   (Fa, D), AudioTime (Ta, D), Na = Fa·Ta, token f·Ta + t
//
// An absent modality has an input of zeros, so its tokens keep bias, positions
// and type. With Drop its tokens are left out: then the second dimension of Y
// is smaller. VideoType and AudioType are optional together.
type AssembleArgs struct {
	Y, CLS                                             Tensor
	Video, VideoBias, VideoType, VideoTime, VideoSpace Tensor
	Audio, AudioBias, AudioType, AudioFreq, AudioTime  Tensor
	Drop                                               bool
}

// AssembleBackwardArgs: the gradients of AssembleArgs' operands from DY.
// DVideo and DAudio are set (nil when absent), all others added to.
type AssembleBackwardArgs struct {
	DY, DCLS                                                Tensor
	DVideo, DVideoBias, DVideoType, DVideoTime, DVideoSpace Tensor
	DAudio, DAudioBias, DAudioType, DAudioFreq, DAudioTime  Tensor
	Drop                                                    bool
}

// PredictionLossArgs: Loss = mean over views, clips and dimensions of
// (c − z)², or with Sum the mean over views and clips of the sum over
// dimensions. The center is not detached: its gradient goes to the G views it
// is the mean of.
//
//	Loss  (1)        set, unweighted
//	DZ    (V, B, K)  added to: Weight · dLoss/dz; optional
//	Z     (V, B, K)
//	C     (B, K)     from Center
//
// Source: paper, eq. 1 (invariance). Differs: the mean over dimensions is what
// the published code computes and λ is tuned to.
type PredictionLossArgs struct {
	Loss, DZ, Z, C Tensor
	G              int
	Weight         float64
	Sum            bool
}

// ECFArgs: the empirical characteristic function of every direction.
//
//	E  (V, M, Q, 2)  set: mean over b of cos(t·p), then of sin(t·p)
//	P  (V, B, M)     projections onto the directions
//
// Source: LeJEPA, arXiv:2511.08544, Epps–Pulley statistic.
type ECFArgs struct {
	E, P  Tensor
	Knots Knots
}

// SIGRegArgs: per view, N · mean over directions of the trapezoid over knots of
// [(C − φ)² + S²]·φ with φ(t) = exp(−t²/2).
//
//	Loss  (V)           set, unweighted
//	DE    (V, M, Q, 2)  set: Weight · d(mean over views of Loss)/dE; optional
//	E     (V, M, Q, 2)  from ECF, averaged over processes
//
// N is the number of rows behind E, over all processes.
type SIGRegArgs struct {
	Loss, DE, E Tensor
	Knots       Knots
	N           float64
	Weight      float64
}

// ECFBackwardArgs: dp = Σ_q t·(−sin(t·p)·dC + cos(t·p)·dS)/B.
//
//	DP  (V, B, M)     set
//	P   (V, B, M)
//	DE  (V, M, Q, 2)  from SIGReg
type ECFBackwardArgs struct {
	DP, P, DE Tensor
	Knots     Knots
}

// CrossEntropyArgs: mean over rows of (1−ε)·CE + ε·mean over classes of −log p.
//
//	Loss     (1)     set, unweighted
//	DLogits  (R, C)  set to Weight · dLoss/dlogits; optional
//	Logits   (R, C)
//	Labels   (R)     class indices held as floats
type CrossEntropyArgs struct {
	Loss, DLogits, Logits, Labels Tensor
	Smoothing, Weight             float64
}

// AdamWArgs: one decoupled-weight-decay Adam step over a block of parameters.
// With g = scale·grad: m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g²,
// p = p·(1 − lr·wd) − lr·(m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + eps).
//
//	Param, M, V  (n)  updated
//	Grad         (n)
//	Scale        (1)  from ClipScale; optional
//
// Source: arXiv:1711.05101.
type AdamWArgs struct {
	Param, Grad, M, V, Scale           Tensor
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Step                               int // t, from 1
}
