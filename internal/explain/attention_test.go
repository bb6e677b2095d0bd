package explain

import (
	"errors"
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/rng"
	"avjepa/internal/sigreg"
	"avjepa/internal/vit"
)

func goldenConfig() jepa.Config {
	return jepa.Config{Encoder: golden.Encoder(), Hidden: golden.Hidden, Proj: golden.Proj,
		Globals: golden.Globals, Locals: golden.Locals, Lambda: 0.05,
		Directions: golden.Directions, Knots: sigreg.DefaultKnots}
}

// goldenAttention is the attention of view v of the published vectors, on an engine.
func goldenAttention(t *testing.T, e engine.Engine, g *golden.File) (qk []float32, n int) {
	t.Helper()
	m, err := jepa.NewEmbedder(e, goldenConfig(), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Params.Import(golden.Weights(t)); err != nil {
		t.Fatal(err)
	}
	m.Embed(vit.Group{Views: 2,
		Video: golden.Upload(t, e, g.Array("video").Data, 2, 3, 4, 32, 32),
		Audio: golden.Upload(t, e, g.Array("audio").Data, 2, 32, 48)})
	x, err := m.QueryKey()
	if err != nil {
		t.Fatal(err)
	}
	return golden.Download(e, x), golden.Encoder().Tokens()
}

// TestGoldenAttention holds every map and share to the softmax of the published code.
func TestGoldenAttention(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		g := golden.Open(t, "encoder.safetensors")
		qk, n := goldenAttention(t, e, g)
		c := golden.Encoder()
		soft := g.Array("joint.attn_last").Data // (2, A, N, N)
		for view := range 2 {
			a, err := Attend(qk[view*n*2*c.Width:(view+1)*n*2*c.Width], c)
			if err != nil {
				t.Fatal(err)
			}
			want := meanWeights(soft[view*c.Heads*n*n:(view+1)*c.Heads*n*n], c)
			compare(t, a, want, 2e-6)
		}
	})
}

// reference are the mean weights of CLS, video and audio queries on every token.
type reference [3][]float64

// meanWeights averages a softmax (A, N, N) in float64.
func meanWeights(soft []float32, c vit.Config) (r reference) {
	n, nv := c.Tokens(), c.VideoTokens()
	for kind, span := range [3][2]int{{0, 1}, {1, 1 + nv}, {1 + nv, n}} {
		r[kind] = make([]float64, n)
		for h := range c.Heads {
			for q := span[0]; q < span[1]; q++ {
				for k := range n {
					r[kind][k] += float64(soft[(h*n+q)*n+k]) / float64(c.Heads*(span[1]-span[0]))
				}
			}
		}
	}
	return r
}

func compare(t *testing.T, a *Attention, want reference, tolerance float64) {
	t.Helper()
	nv := a.Frames * a.Rows * a.Cols
	for _, c := range []struct {
		name  string
		got   []float32
		share float64
		want  []float64
	}{
		{"audio → video", a.Video, a.VideoShare, want[2][1 : 1+nv]},
		{"video → audio", a.Audio, a.AudioShare, want[1][1+nv:]},
		{"CLS → video", a.CLSVideo, a.CLSVideoShare, want[0][1 : 1+nv]},
		{"CLS → audio", a.CLSAudio, a.CLSAudioShare, want[0][1+nv:]},
	} {
		sum, total := 0.0, 0.0
		for i, v := range c.got {
			sum += float64(v)
			total += c.want[i]
			if diff := math.Abs(float64(v)*c.share - c.want[i]); !(diff <= tolerance) {
				t.Fatalf("%s: token %d has %g, want %g", c.name, i, float64(v)*c.share, c.want[i])
			}
		}
		if !(math.Abs(sum-1) <= 1e-5) || !(math.Abs(total-c.share) <= 1e-5) {
			t.Errorf("%s: map sums to %g, share %g, want 1 and %g", c.name, sum, c.share, total)
		}
	}
}

// TestAttendIsSoftmax compares with a softmax in float64, over sizes that fill no tile.
func TestAttendIsSoftmax(t *testing.T) {
	c := vit.Config{Width: 24, Heads: 3, Depth: 1, MLPRatio: 1, Frames: 6, Side: 24, PatchT: 2,
		Patch: 6, MelBands: 20, MelFrames: 47, PatchMel: 5, PatchMelT: 4, InitStd: 1}
	n := c.Tokens()
	qk := make([]float32, n*2*c.Width)
	rng.New(1, "qk").FillNormal(qk, 3)
	soft := make([]float32, c.Heads*n*n)
	size := c.Width / c.Heads
	for h := range c.Heads {
		for q := range n {
			row, sum := make([]float64, n), 0.0
			for k := range n {
				for j := range size {
					row[k] += float64(qk[q*2*c.Width+h*size+j]) *
						float64(qk[(k*2+1)*c.Width+h*size+j]) / math.Sqrt(float64(size))
				}
			}
			for k := range row {
				row[k] = math.Exp(row[k])
				sum += row[k]
			}
			for k := range row {
				soft[(h*n+q)*n+k] = float32(row[k] / sum)
			}
		}
	}
	a, err := Attend(qk, c)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, a, meanWeights(soft, c), 1e-5)
	if a.Frames != 3 || a.Rows != 4 || a.Cols != 4 || a.Bands != 4 || a.Times != 11 {
		t.Errorf("maps of %d×%d×%d and %d×%d", a.Frames, a.Rows, a.Cols, a.Bands, a.Times)
	}
	qk[5] = float32(math.NaN())
	if _, err := Attend(qk, c); !errors.Is(err, ErrNotFinite) {
		t.Errorf("NaN in a query gives %v", err)
	}
}

func TestDualHasNoCrossAttention(t *testing.T) {
	golden.OnEngines(t, func(t *testing.T, e engine.Engine) {
		cfg := goldenConfig()
		cfg.Dual = true
		m, err := jepa.NewEmbedder(e, cfg, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.QueryKey(); !errors.Is(err, jepa.ErrDual) {
			t.Errorf("QueryKey of two encoders gives %v", err)
		}
	})
}

// BenchmarkAttend is the host's part of a base model's window at the paper's geometry.
//
//	go test ./internal/explain -run XXX -bench Attend
func BenchmarkAttend(b *testing.B) {
	c := vit.Default()
	qk := make([]float32, c.Tokens()*2*c.Width)
	rng.New(1, "qk").FillNormal(qk, 1)
	for b.Loop() {
		if _, err := Attend(qk, c); err != nil {
			b.Fatal(err)
		}
	}
}
