package vit

import (
	"fmt"
	"math"
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/nn"
	"avjepa/internal/rng"
)

func smallConfig() Config {
	return Config{Width: 8, Depth: 2, Heads: 2, MLPRatio: 2,
		Frames: 2, Side: 4, PatchT: 1, Patch: 2,
		MelBands: 4, MelFrames: 5, PatchMel: 2, PatchMelT: 2,
		EmbedNorm: true, InitStd: 0.3}
}

// bench is an encoder on the reference engine with three groups of views and
// random weights for their outputs, whose weighted sum is the loss.
type bench struct {
	t       *testing.T
	cx      *nn.Context
	ps      *nn.Params
	enc     *Encoder
	groups  []Group
	keeping Keeping
	cache   Cache
	wCLS    engine.Tensor
	wTokens []engine.Tensor
}

func newBench(t *testing.T, cfg Config, clsOnly bool) *bench {
	t.Helper()
	return newBenchOn(t, ref.New(), engine.F32, cfg, clsOnly)
}

func newBenchOn(t *testing.T, e engine.Engine, compute engine.DType, cfg Config,
	clsOnly bool) *bench {
	t.Helper()
	size := engine.ArenaSize{F32: 1 << 18}
	if compute == engine.BF16 {
		size.BF16 = size.F32
	}
	arena, err := engine.NewArena(e, compute, size)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, ps: nn.NewParams(), keeping: Keep,
		cx: &nn.Context{Engine: e, Arena: arena, Train: true, Seed: 3, Step: 7}}
	b.cache.CLSOnly = clsOnly
	if b.enc, err = New(b.ps, "encoder", cfg); err != nil {
		t.Fatal(err)
	}
	if err := b.ps.Build(e, nn.WithGradients); err != nil {
		t.Fatal(err)
	}
	b.ps.Init(1)
	for _, p := range b.ps.List() { // biases and gains are to matter too
		b.upload(p.Value, p.Name, 0.5)
	}
	video := func(n int) engine.Tensor { return b.random("video", n, 3, 2, 4, 4) }
	audio := func(n int) engine.Tensor { return b.random("audio", n, 4, 5) }
	b.groups = []Group{{Views: 2, Video: video(2), Audio: audio(2)},
		{Views: 1, Audio: audio(1)}, {Views: 2, Video: video(2)}}
	b.wCLS = b.random("cls", 5, cfg.Width)
	for _, g := range b.groups {
		n := cfg.tokens(!g.Video.Nil(), !g.Audio.Nil())
		if clsOnly {
			n = 1
		}
		b.wTokens = append(b.wTokens, b.random("tokens", g.Views, n, cfg.Width))
	}
	return b
}

func (b *bench) random(name string, dims ...int) engine.Tensor {
	x := b.cx.Arena.New(dims...)
	b.upload(x, name, 1)
	return x
}

func (b *bench) upload(x engine.Tensor, name string, std float64) {
	host := make([]float32, x.Elems())
	rng.New(5, name).FillNormal(host, std)
	b.cx.Engine.Upload(x, host)
}

// loss adds factor·loss of the present parameters to sum (1).
func (b *bench) loss(sum engine.Tensor, factor float32) {
	e, a := b.cx.Engine, b.cx.Arena
	mark := a.Mark()
	b.enc.Forward(b.cx, &b.cache, b.groups, Keep)
	dot := func(x, w engine.Tensor) {
		y := a.New(1, 1)
		e.Linear(engine.LinearArgs{Y: y, X: x.Reshape(1, x.Elems()), W: w.Reshape(1, w.Elems())})
		e.AddTo(sum, y.Reshape(1), factor)
	}
	dot(b.cache.CLS, b.wCLS)
	for g, w := range b.wTokens {
		dot(b.cache.Tokens(g), w)
	}
	a.Release(mark)
}

func (b *bench) gradients() {
	mark := b.cx.Arena.Mark()
	b.ps.ZeroGrads()
	b.enc.Forward(b.cx, &b.cache, b.groups, b.keeping)
	b.enc.Backward(b.cx, &b.cache, b.groups, b.wCLS, b.wTokens)
	b.cx.Arena.Release(mark)
}

func (b *bench) download(x engine.Tensor) []float32 {
	host := make([]float32, x.Elems())
	b.cx.Engine.Download(host, x)
	return host
}

// TestGradients compares the gradient of every parameter with a difference of
// the loss along a random direction, over the encoder's options. The difference
// is taken on the reference engine, in float64.
func TestGradients(t *testing.T) {
	for i := range 32 {
		cfg := smallConfig()
		cfg.EmbedNorm, cfg.FinalNorm = i&1 == 0, i&2 != 0
		cfg.DropAbsent = i&4 != 0
		if i&8 != 0 {
			cfg.Dropout, cfg.AttentionDropout = 0.2, 0.3
		}
		clsOnly := i&16 != 0
		t.Run(fmt.Sprintf("norms %v %v drop %v dropout %v CLS only %v", cfg.EmbedNorm,
			cfg.FinalNorm, cfg.DropAbsent, cfg.Dropout, clsOnly),
			func(t *testing.T) { checkGradients(t, cfg, clsOnly) })
	}
}

func checkGradients(t *testing.T, cfg Config, clsOnly bool) {
	const h = 1e-3
	b := newBench(t, cfg, clsOnly)
	e := b.cx.Engine
	b.gradients()
	sum := b.cx.Arena.New(1)
	for _, p := range b.ps.List() {
		value, grad := b.download(p.Value), b.download(p.Grad)
		up, down := make([]float32, len(value)), make([]float32, len(value))
		dir := make([]float32, len(value))
		rng.New(9, p.Name).FillNormal(dir, h)
		want, scale := 0.0, 0.0 // of the difference between up and down
		for i := range value {
			up[i], down[i] = value[i]+dir[i], value[i]-dir[i]
			step := float64(grad[i]) * (float64(up[i]) - float64(down[i]))
			want += step
			scale += step * step
		}
		e.Fill(sum, 0)
		e.Upload(p.Value, up)
		b.loss(sum, 1)
		e.Upload(p.Value, down)
		b.loss(sum, -1)
		e.Upload(p.Value, value)
		got := float64(b.download(sum)[0])
		if !(math.Abs(got-want) <= 1e-3*math.Sqrt(scale)+1e-7) {
			t.Errorf("%s: loss moves by %g, gradient says %g", p.Name, got, want)
		}
	}
}

// TestBF16Gradients: with products in BF16 the gradient of every parameter keeps its
// direction, but of the keys' biases, whose true gradient is 0.
func TestBF16Gradients(t *testing.T) {
	for i := range 8 {
		cfg := smallConfig()
		cfg.FinalNorm, cfg.DropAbsent = true, i&1 != 0
		if i&2 != 0 {
			cfg.Dropout, cfg.AttentionDropout = 0.2, 0.3
		}
		f := newBenchOn(t, ref.New(), engine.F32, cfg, i&4 != 0)
		h := newBenchOn(t, ref.New(), engine.BF16, cfg, i&4 != 0)
		f.gradients()
		h.gradients()
		for k, p := range f.ps.List() {
			want, got := f.download(p.Grad), h.download(h.ps.List()[k].Grad)
			both, squares, square := 0.0, 0.0, 0.0
			for j, v := range want {
				both += float64(v) * float64(got[j])
				squares, square = squares+float64(v)*float64(v), square+float64(got[j])*float64(got[j])
			}
			if squares < 1e-12 {
				continue
			}
			if c := both / math.Sqrt(squares*square); !(c > 0.99) {
				t.Errorf("drop %v dropout %v CLS only %v: %s: cosine %g to the gradient in f32",
					cfg.DropAbsent, cfg.Dropout, i&4 != 0, p.Name, c)
			}
		}
	}
}

// TestDiscardGivesTheSameOutputs: without keeping activations, and with the same
// cache for other groups before.
func TestDiscardGivesTheSameOutputs(t *testing.T) {
	for i := range 8 {
		cfg, compute := smallConfig(), engine.F32
		cfg.DropAbsent, cfg.FinalNorm = i&1 != 0, true
		if i&2 != 0 {
			cfg.Dropout, cfg.AttentionDropout = 0.2, 0.3
		}
		if i&4 != 0 {
			compute = engine.BF16
		}
		b := newBenchOn(t, ref.New(), compute, cfg, false)
		b.enc.Forward(b.cx, &b.cache, b.groups, Keep)
		cls, tokens := b.download(b.cache.CLS), b.download(b.cache.Tokens(2))
		b.enc.Forward(b.cx, &b.cache, b.groups[1:2], Discard)
		b.enc.Forward(b.cx, &b.cache, b.groups, Discard)
		equal(t, "CLS", b.download(b.cache.CLS), cls)
		equal(t, "tokens", b.download(b.cache.Tokens(2)), tokens)
		b.cache.CLSOnly = true
		b.enc.Forward(b.cx, &b.cache, b.groups, Discard)
		equal(t, "CLS only", b.download(b.cache.CLS), cls)
		b.cache.CLSOnly = false
		if cfg.Dropout > 0 {
			continue
		}
		// A group's result does not depend on the others.
		b.enc.Forward(b.cx, &b.cache, b.groups[2:], Discard)
		equal(t, "CLS alone", b.download(b.cache.CLS), cls[3*cfg.Width:])
	}
}

func equal(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s[%d] = %g, want %g", what, i, got[i], want[i])
		}
	}
}

// TestAbsentIsZeroInput: an absent modality and an input of zeros are one.
func TestAbsentIsZeroInput(t *testing.T) {
	b := newBench(t, smallConfig(), false)
	b.enc.Forward(b.cx, &b.cache, b.groups[1:2], Discard)
	want := b.download(b.cache.Tokens(0))
	g := b.groups[1]
	g.Video = b.cx.Arena.New(g.Views, 3, 2, 4, 4)
	b.cx.Engine.Fill(g.Video, 0)
	b.enc.Forward(b.cx, &b.cache, []Group{g}, Discard)
	equal(t, "tokens", b.download(b.cache.Tokens(0)), want)
}

func TestDropoutOnlyInTraining(t *testing.T) {
	cfg := smallConfig()
	cfg.Dropout, cfg.AttentionDropout = 0.5, 0.5
	b := newBench(t, cfg, false)
	run := func(train bool, step int) []float32 {
		b.cx.Train, b.cx.Step = train, step
		b.enc.Forward(b.cx, &b.cache, b.groups, Discard)
		return b.download(b.cache.CLS)
	}
	first, again, other := run(true, 1), run(true, 1), run(true, 2)
	equal(t, "the same step", again, first)
	if other[0] == first[0] {
		t.Error("two steps have the same masks")
	}
	eval := run(false, 1)
	equal(t, "evaluation", run(false, 2), eval)
	cfg.Dropout, cfg.AttentionDropout = 0, 0
	b = newBench(t, cfg, false)
	equal(t, "evaluation", eval, run(true, 1))
}

// TestSegmentsHaveMasksOfTheirOwn: sequences of different lengths run apart, and
// a batch may be run in parts besides.
func TestSegmentsHaveMasksOfTheirOwn(t *testing.T) {
	c, seen := Cache{segments: make([]segment, 3)}, map[rng.Key]bool{}
	for part := range 4 {
		for i := range c.segments {
			cx := c.part(&nn.Context{Part: part}, i)
			seen[cx.Key(embedMask)] = true
		}
	}
	if len(seen) != 4*3 {
		t.Errorf("%d masks, want %d", len(seen), 4*3)
	}
}

// TestPatchesAreOfWhatIsThere: with DropAbsent the tokens of a view are those of
// its modality alone; else the others are left out here.
func TestPatchesAreOfWhatIsThere(t *testing.T) {
	b := newBench(t, smallConfig(), false) // 1 CLS, 8 video, 4 audio
	both, audio, video := b.groups[0], b.groups[1], b.groups[2]
	for _, k := range []struct {
		drop   bool
		g      Group
		lo, hi int
	}{
		{false, both, 1, 13}, {false, video, 1, 9}, {false, audio, 9, 13},
		{true, both, 1, 13}, {true, video, 1, 9}, {true, audio, 1, 5},
	} {
		c := smallConfig()
		c.DropAbsent = k.drop
		if lo, hi := k.g.Patches(c); lo != k.lo || hi != k.hi {
			t.Errorf("drop %v: patches %d to %d, want %d to %d", k.drop, lo, hi, k.lo, k.hi)
		}
	}
}
