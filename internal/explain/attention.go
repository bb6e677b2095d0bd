package explain

import (
	"errors"
	"fmt"
	"math"
	"runtime"

	"avjepa/internal/kernel"
	"avjepa/internal/vit"
)

// Sentinels of attention that cannot be shown.
var (
	ErrNotFinite   = errors.New("explain: the attention is not a number: the model has diverged")
	ErrOneModality = errors.New("explain: attention between sound and picture needs both")
)

// Attention is where the last layer looks, averaged over heads, in one window of a clip
// that has sound and picture. Every query spreads a weight of 1 over all tokens. A map
// is the mean over the queries of one modality of what falls on the other one's tokens,
// scaled to a sum of 1; its share is that sum before.
//
//	Video     (Frames, Rows, Cols)  audio → video: frame group, row, column of a patch
//	Audio     (Bands, Times)        video → audio: lowest band first
//	CLSVideo  (Frames, Rows, Cols)  CLS → video
//	CLSAudio  (Bands, Times)        CLS → audio
//
// Map cell (r, c) is the patch at row r, column c of the square that the encoder sees
// (view.Config.EvalSquare). Frame group t is of the window's frames tT/Frames to
// (t+1)T/Frames−1. Audio cell (b, t) is of mel bands b·PatchMel and mel frames
// t·PatchMelT on, 10 ms each.
type Attention struct {
	Frames, Rows, Cols int
	Video              []float32
	Bands, Times       int
	Audio              []float32
	CLSVideo, CLSAudio []float32

	// Shares of a query's weight, in [0, 1]: of audio queries that of video tokens, of
	// video queries that of audio tokens, of the CLS that of each. The rest stays within
	// the modality, or is on the CLS.
	VideoShare, AudioShare       float64
	CLSVideoShare, CLSAudioShare float64

	// Shares if every token got the same: its number of tokens over that of all.
	EvenVideo, EvenAudio float64
}

// Attend computes the maps from query and key of the last block. It is the softmax of
// that layer itself, not kept in the forward pass but made again: the same numbers to
// rounding (2·10⁻⁶ measured against published vectors).
//
//	qk  (N, 2·Width)  query and key side by side, tokens [CLS; video; audio]
//
// It returns ErrNotFinite for a model whose weights are not numbers.
//
// Source: paper, section 3.3 and figure 4.
func Attend(qk []float32, c vit.Config) (*Attention, error) {
	n, d := c.Tokens(), c.Width
	if len(qk) != n*2*d {
		panic(fmt.Sprintf("explain: %d values of query and key, want %d×%d", len(qk), n, 2*d))
	}
	nv := c.VideoTokens()
	s := newSums(n, nv)
	s.run(qk, d, c.Heads)
	side := c.Side / c.Patch
	a := &Attention{Frames: c.Frames / c.PatchT, Rows: side, Cols: side,
		Bands: c.MelBands / c.PatchMel, Times: c.MelFrames / c.PatchMelT,
		EvenVideo: float64(nv) / float64(n), EvenAudio: float64(n-1-nv) / float64(n)}
	a.Video, a.VideoShare = shareOf(s.audio[1 : 1+nv])
	a.Audio, a.AudioShare = shareOf(s.video[1+nv:])
	a.CLSVideo, a.CLSVideoShare = shareOf(s.cls[1 : 1+nv])
	a.CLSAudio, a.CLSAudioShare = shareOf(s.cls[1+nv:])
	for _, x := range []float64{a.VideoShare, a.AudioShare, a.CLSVideoShare, a.CLSAudioShare} {
		if !(x >= 0 && x <= 1.001) {
			return nil, ErrNotFinite
		}
	}
	return a, nil
}

// shareOf returns x scaled to a sum of 1, and that sum before.
func shareOf(x []float64) ([]float32, float64) {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	out := make([]float32, len(x))
	if sum > 0 {
		for i, v := range x {
			out[i] = float32(v / sum)
		}
	}
	return out, sum
}

// sums are the mean weights (N) on every token of the queries of one kind.
type sums struct {
	n, nv             int
	cls, video, audio []float64
	logits            []float32 // (queryRows, N)
}

// queryRows are computed at once: their logits stay in a processor's cache.
const queryRows = 64

func newSums(n, nv int) *sums {
	return &sums{n: n, nv: nv, cls: make([]float64, n), video: make([]float64, n),
		audio: make([]float64, n), logits: make([]float32, queryRows*n)}
}

// run adds softmax(q·kᵀ/√(D/A)) of all heads, then divides by heads and queries.
func (s *sums) run(qk []float32, d, heads int) {
	pool := kernel.NewPool(runtime.GOMAXPROCS(0))
	defer pool.Close()
	gemm := kernel.NewGemm(pool)
	size := d / heads
	scale := float32(1 / math.Sqrt(float64(size)))
	for h := range heads {
		for lo := 0; lo < s.n; lo += queryRows {
			rows := min(queryRows, s.n-lo)
			gemm.Do(&kernel.GemmArgs{M: rows, N: s.n, K: size,
				A: qk[lo*2*d+h*size:], LDA: 2 * d, B: qk[d+h*size:], LDB: 2 * d, TransB: true,
				C: s.logits, LDC: s.n})
			for r := range rows {
				row := s.logits[r*s.n : (r+1)*s.n]
				s.add(s.of(lo+r), row, scale)
			}
		}
	}
	for _, x := range []struct {
		sum     []float64
		queries int
	}{{s.cls, 1}, {s.video, s.nv}, {s.audio, s.n - 1 - s.nv}} {
		for i := range x.sum {
			x.sum[i] /= float64(x.queries * heads)
		}
	}
}

// of returns where query i is added.
func (s *sums) of(i int) []float64 {
	switch {
	case i == 0:
		return s.cls
	case i <= s.nv:
		return s.video
	}
	return s.audio
}

// add adds softmax(scale·logits) to sum; logits are used up.
func (s *sums) add(sum []float64, logits []float32, scale float32) {
	top := float32(math.Inf(-1))
	for _, v := range logits {
		if v > top || v != v {
			top = v // and stays, when it is NaN
		}
	}
	if top-top != 0 { // the exponential would make a number of it
		sum[0] = math.NaN()
		for i := range sum {
			sum[i] = sum[0]
		}
		return
	}
	for i, v := range logits {
		logits[i] = (v - top) * scale
	}
	kernel.ExpRow(logits, logits)
	total := 0.0
	for _, v := range logits {
		total += float64(v)
	}
	for i, v := range logits {
		sum[i] += float64(v) / total
	}
}
