package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/optim"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// Modes of a case.
const (
	// benchForward is Model.Embed of views with both modalities: all tokens of
	// all blocks, then the projector.
	benchForward = "forward"
	// benchInt8 is benchForward with weights and activations in bytes.
	benchInt8 = "forward-int8"
	// benchStep is forward, backward, clipping, AdamW and reading the losses of
	// clips with 2 global and 2 local views each.
	benchStep = "step"
)

var benchModes = []string{benchForward, benchInt8, benchStep}

// benchGeometries are the views by their number of tokens, with the clips of a step
// if nothing else is asked.
var benchGeometries = map[int]struct{ frames, side, melFrames, clips int }{
	397:  {8, 112, 401, 2},
	1969: {16, 224, 801, 1}, // the paper's
}

// benchCase is one line of bench.
type benchCase struct {
	preset string
	tokens int
	mode   string
	clips  int // of a step; views of a forward pass
	engine config.Engine
}

// usualClips returns the clips of a step, or the views of a forward pass, if nothing
// else is asked.
func usualClips(tokens int, mode string) int {
	if mode == benchStep {
		return benchGeometries[tokens].clips
	}
	return 1
}

// name is preset/tokens/mode, and the number of clips when it is not the usual.
func (c benchCase) name() string {
	name := fmt.Sprintf("%s/%d/%s", c.preset, c.tokens, c.mode)
	if c.clips != usualClips(c.tokens, c.mode) {
		name += fmt.Sprintf("/%d", c.clips)
	}
	return name
}

func (c benchCase) config() (jepa.Config, error) {
	cfg := jepa.Default()
	var err error
	if cfg.Encoder, err = cfg.Encoder.WithSize(c.preset); err != nil {
		return cfg, err
	}
	if c.engine.Precision == config.PrecisionBF16 {
		cfg.Compute = engine.BF16
	}
	g := benchGeometries[c.tokens]
	e := &cfg.Encoder
	e.Frames, e.Side, e.MelFrames = g.frames, g.side, g.melFrames
	if n := e.Tokens(); n != c.tokens {
		panic(fmt.Sprintf("bench: views of %+v have %d tokens, not %d", g, n, c.tokens))
	}
	return cfg, nil
}

// flops returns the work by the convention of publications, depth·(24·N·D² +
// 4·N²·D) a view and three times of it in a step, whatever is really computed.
func (c benchCase) flops() float64 {
	cfg, err := c.config()
	if err != nil {
		panic(err)
	}
	n, d := float64(c.tokens), float64(cfg.Encoder.Width)
	view := float64(cfg.Encoder.Depth) * (24*n*d*d + 4*n*n*d)
	if c.mode != benchStep {
		return view * float64(c.clips)
	}
	return 3 * view * float64(c.clips*cfg.Views())
}

// prepare returns the pass that is timed.
func (c benchCase) prepare(e engine.Engine) (pass func(i int), err error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	switch c.mode {
	case benchForward:
		return benchEmbedder(e, cfg, c.clips, precisionFloat)
	case benchInt8:
		return benchEmbedder(e, cfg, c.clips, precisionInt8)
	}
	return benchStepper(e, cfg, c.clips)
}

// measure returns the median seconds of a pass, with an engine of its own.
func (c benchCase) measure(ctx context.Context, repeat int) (float64, error) {
	e, err := c.open()
	if err != nil {
		return 0, err
	}
	defer e.Close()
	pass, err := c.prepare(e)
	if err != nil {
		return 0, err
	}
	var fault error
	seconds, err := medianSeconds(ctx, repeat, func(i int) {
		pass(i)
		fault = cmp.Or(fault, e.Sync()) // the device may be behind
	})
	return seconds, cmp.Or(err, fault)
}

func (c benchCase) open() (engine.Engine, error) {
	return openEngine(&config.Config{Engine: c.engine})
}

// medianSeconds returns the median time of a pass: after one that is not timed,
// at least repeat are, and short ones for a second.
func medianSeconds(ctx context.Context, repeat int, pass func(i int)) (float64, error) {
	var seconds []float64
	var began time.Time
	for i := 0; i <= repeat || i <= 50 && time.Since(began) < time.Second; i++ {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		start := time.Now()
		pass(i)
		if i == 0 {
			began = time.Now()
			continue
		}
		seconds = append(seconds, time.Since(start).Seconds())
	}
	slices.Sort(seconds)
	n := len(seconds)
	return (seconds[(n-1)/2] + seconds[n/2]) / 2, nil
}

// benchStepper returns a training step on random clips.
func benchStepper(e engine.Engine, cfg jepa.Config, clips int) (func(i int), error) {
	m, err := jepa.New(e, cfg, 1, clips)
	if err != nil {
		return nil, err
	}
	o, err := optim.New(e, m.Params, optim.Default())
	if err != nil {
		return nil, err
	}
	b, err := m.NewBatch(engine.U8)
	if err != nil {
		return nil, err
	}
	r := rng.New(1, "bench")
	fillFrames(e, r, b.GlobalVideo)
	fillFrames(e, r, b.LocalVideo)
	fillMel(e, r, b.GlobalAudio)
	fillMel(e, r, b.LocalAudio)
	step := 0
	queue := func() { // as train does
		m.Step(b, step)
		o.Step(1e-4, m.GradSquare())
	}
	return func(i int) {
		step = i
		engine.Record(e, queue)
		m.Losses()
	}, nil
}

// benchEmbedder returns a forward pass of so many random views in the given precision.
func benchEmbedder(e engine.Engine, cfg jepa.Config, views int,
	precision string) (func(i int), error) {
	m, err := jepa.NewEmbedder(e, cfg, 1, views)
	if err != nil {
		return nil, err
	}
	if precision == precisionInt8 {
		if err := m.Quantize(); err != nil {
			return nil, kind{err, errEngine}
		}
	}
	c := cfg.Encoder
	frames := tensor.Of(views, c.Frames, c.Side, c.Side, 3)
	mel := tensor.Of(views, c.MelBands, c.MelFrames)
	video, err := e.NewBuffer(engine.U8, frames.Elems())
	if err != nil {
		return nil, err
	}
	audio, err := e.NewBuffer(engine.F32, mel.Elems())
	if err != nil {
		return nil, err
	}
	g := vit.Group{Views: views, Video: engine.NewTensor(video, 0, frames),
		Audio: engine.NewTensor(audio, 0, mel)}
	r := rng.New(1, "bench")
	fillFrames(e, r, g.Video)
	fillMel(e, r, g.Audio)
	return func(int) { m.Embed(g) }, nil
}

// fillFrames sets 8-bit frames to noise.
func fillFrames(e engine.Engine, r *rng.Stream, x engine.Tensor) {
	noise := make([]byte, x.Elems())
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	e.UploadBytes(x, noise)
}

// fillMel sets a log-mel to noise of deviation 1.
func fillMel(e engine.Engine, r *rng.Stream, x engine.Tensor) {
	noise := make([]float32, x.Elems())
	r.FillNormal(noise, 1)
	e.Upload(x, noise)
}
