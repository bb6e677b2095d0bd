package encoder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/tensor"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// Options say how a model is run.
type Options struct {
	Views int      // windows that are encoded at once; 0 means 64
	Set   []string // key=value each, over the run's settings
	Int8  bool     // weights and activations in bytes, where the engine can
}

// Encoder is a model in an engine's memory. It is for one goroutine at a time, but
// for ReadFile and ReadStored, which any number may call.
type Encoder struct {
	run     *Run
	id      string
	engine  engine.Engine
	model   *jepa.Model
	maker   *view.Maker
	views   int
	video   engine.Tensor // (views, T, S, S, 3)
	mel     engine.Tensor // (views, F, M)
	buffers []engine.Buffer
	host    struct {
		video []byte
		mel   []float32
	}
}

// Open loads the model of a run folder or a checkpoint file. Errors are those of Read and
// of Run.Open. The engine stays the caller's.
func Open(path string, e engine.Engine, o Options) (*Encoder, error) {
	run, err := Read(path)
	if err != nil {
		return nil, err
	}
	return run.Open(e, o)
}

// Open loads the model of a run that was read, with the settings of the options set in
// its Config. Errors are ErrConfig and those of Model. The engine stays the caller's.
func (r *Run) Open(e engine.Engine, o Options) (*Encoder, error) {
	for _, kv := range o.Set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, marked{fmt.Errorf("setting %q: want key=value", kv), ErrConfig}
		}
		err := r.Config.Set(strings.TrimSpace(key), strings.TrimSpace(value), "setting")
		if err != nil {
			return nil, marked{err, ErrConfig}
		}
	}
	if err := r.Config.Validate(); err != nil {
		return nil, marked{err, ErrConfig}
	}
	id := make(chan string, 1)
	go func() { id <- r.identify(o) }() // while the model is made
	x := &Encoder{engine: e, views: o.Views,
		run: &Run{Path: r.Path, Config: r.Config, State: r.State}} // not File: it may be freed
	if x.views == 0 {
		x.views = 64
	}
	var err error
	if x.maker, err = view.NewMaker(r.Config.ViewConfig()); err != nil {
		return nil, marked{err, ErrConfig}
	}
	if x.model, _, err = r.Model(e, x.views); err != nil {
		return nil, err
	}
	if err := x.prepare(o); err != nil {
		x.Close()
		return nil, err
	}
	x.id = <-id
	return x, nil
}

// prepare makes room for the inputs.
func (x *Encoder) prepare(o Options) error {
	if o.Int8 {
		if err := x.model.Quantize(); err != nil {
			return err
		}
	}
	alloc := func(dt engine.DType, dims ...int) (engine.Tensor, error) {
		s := tensor.Of(dims...)
		b, err := x.engine.NewBuffer(dt, s.Elems())
		if err != nil {
			return engine.Tensor{}, fmt.Errorf("encoder: %w", err)
		}
		x.buffers = append(x.buffers, b)
		return engine.NewTensor(b, 0, s), nil
	}
	c := x.maker.Config()
	var err error
	if x.video, err = alloc(engine.U8, x.views, c.Frames, c.Side, c.Side, 3); err != nil {
		return err
	}
	x.mel, err = alloc(engine.F32, x.views, c.Bands, c.MelFrames())
	return err
}

// identify names what is computed: 16 hexadecimal digits of the SHA-256 of the
// checkpoint and the options that change the numbers.
func (r *Run) identify(o Options) string {
	h := sha256.New()
	r.File.Hash(h)
	if len(o.Set) > 0 || o.Int8 {
		fmt.Fprintf(h, "%q %v", o.Set, o.Int8)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Close gives the memory back to the engine.
func (x *Encoder) Close() {
	if x.model != nil {
		x.model.Free()
	}
	for _, b := range x.buffers {
		b.Free()
	}
	x.model, x.buffers = nil, nil
}

// Config returns the run's settings, which are not to be changed.
func (x *Encoder) Config() *config.Config { return x.run.Config }

// Step returns how many steps the model was trained.
func (x *Encoder) Step() int { return x.run.State.Step }

// Path returns that of the checkpoint.
func (x *Encoder) Path() string { return x.run.Path }

// ID names the model and how it is run: vectors of equal IDs may be compared.
func (x *Encoder) ID() string { return x.id }

// Dims returns the widths of a CLS and of a projection.
func (x *Encoder) Dims() (cls, projected int) {
	return x.model.Config.Encoder.Width, x.model.Config.Proj
}

// Views returns how many windows are encoded at once.
func (x *Encoder) Views() int { return x.views }

// Model returns the model, for who needs more than embeddings.
func (x *Encoder) Model() *jepa.Model { return x.model }

// Engine returns what computes.
func (x *Encoder) Engine() engine.Engine { return x.engine }

// Maker returns what makes windows of clips.
func (x *Encoder) Maker() *view.Maker { return x.maker }

// Modality says what of a window is encoded; the rest is absent, as in training.
type Modality uint8

// The modalities; Both is their union.
const (
	Audio Modality = 1
	Video Modality = 2
	Both           = Audio | Video
)

func (m Modality) String() string {
	switch m {
	case Audio:
		return "audio"
	case Video:
		return "video"
	case Both:
		return "both"
	}
	return fmt.Sprintf("modality %d", uint8(m))
}

// Window is the input of one embedding.
type Window struct {
	Start time.Duration // in the clip
	Video []byte        // (T, S, S, 3) pixels; nil: no picture
	Audio []float32     // (F, M) normalised log-mel; nil: no sound
}

// Has reports whether the window holds all of m.
func (w Window) Has(m Modality) bool {
	return (m&Audio == 0 || w.Audio != nil) && (m&Video == 0 || w.Video != nil)
}

// Vectors are the embeddings of n windows.
type Vectors struct {
	CLS       tensor.Array // (n, D)
	Projected tensor.Array // (n, K)
	Patches   tensor.Array // (n, D) mean of the tokens of what was encoded
}

// Embed encodes m of every window. The error is the context's, the engine's, or says
// which window lacks what.
func (x *Encoder) Embed(ctx context.Context, windows []Window, m Modality) (Vectors, error) {
	if m == 0 || m > Both {
		return Vectors{}, fmt.Errorf("encoder: %v", m)
	}
	n := len(windows)
	d, k := x.Dims()
	out := Vectors{tensor.From(make([]float32, n*d), n, d), tensor.From(make([]float32, n*k), n, k),
		tensor.From(make([]float32, n*d), n, d)}
	for at := 0; at < n; at += x.views {
		if ctx.Err() != nil {
			return Vectors{}, context.Cause(ctx)
		}
		part := windows[at:min(n, at+x.views)]
		g, err := x.Group(part, m)
		if err != nil {
			return Vectors{}, fmt.Errorf("%w (window %d)", err, at)
		}
		e := x.model.Embed(g)
		for _, c := range [...]struct {
			dst tensor.Array
			src engine.Tensor
		}{{out.CLS, e.CLS}, {out.Projected, e.Projected}, {out.Patches, e.Patches}} {
			w := c.src.Cols()
			x.engine.Download(c.dst.Data[at*w:(at+len(part))*w], c.src)
		}
		if err := x.engine.Sync(); err != nil {
			return Vectors{}, fmt.Errorf("encoder: %w", err)
		}
	}
	return out, nil
}

// Group brings m of at most Views windows to the engine, as the model takes them. It is
// valid until the next call of Group or Embed.
func (x *Encoder) Group(windows []Window, m Modality) (vit.Group, error) {
	n := len(windows)
	if n == 0 || n > x.views {
		return vit.Group{}, fmt.Errorf("encoder: %d windows at once: 1 to %d", n, x.views)
	}
	for i, w := range windows {
		if !w.Has(m) {
			return vit.Group{}, fmt.Errorf("encoder: window %d of %d has no %v", i, n, m)
		}
	}
	g := vit.Group{Views: n}
	if m&Video != 0 {
		x.host.video = x.host.video[:0]
		for _, w := range windows {
			x.host.video = append(x.host.video, w.Video...)
		}
		g.Video = x.video.Slice(0, n)
		x.engine.UploadBytes(g.Video, x.host.video)
	}
	if m&Audio != 0 {
		x.host.mel = x.host.mel[:0]
		for _, w := range windows {
			x.host.mel = append(x.host.mel, w.Audio...)
		}
		g.Audio = x.mel.Slice(0, n)
		x.engine.Upload(g.Audio, x.host.mel)
	}
	return g, nil
}

// Mean returns the mean over the windows, one row.
func (v Vectors) Mean() Vectors {
	mean := func(a tensor.Array) tensor.Array {
		d := a.Shape.Cols()
		n := len(a.Data) / max(d, 1)
		y := tensor.From(make([]float32, d), 1, d)
		for i, x := range a.Data {
			y.Data[i%d] += x / float32(n)
		}
		return y
	}
	return Vectors{mean(v.CLS), mean(v.Projected), mean(v.Patches)}
}

// Pick returns the embedding of a name: projected, cls or patches.
func (v Vectors) Pick(name string) (tensor.Array, error) {
	switch name {
	case "projected":
		return v.Projected, nil
	case "cls":
		return v.CLS, nil
	case "patches":
		return v.Patches, nil
	}
	return tensor.Array{}, fmt.Errorf("encoder: embedding %q is none of projected, cls, patches", name)
}
