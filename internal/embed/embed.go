// Package embed runs a trained encoder over the clips of a set and brings the
// embeddings to the host: for retrieval, probes and reports.
//
//	f, err := embed.Clips(ctx, engine, model, clips, embed.Config{Views: 64, Windows: 1}, nil)
//	f.Audio.Projected // (clips, K): every clip heard, not seen
package embed

import (
	"context"
	"fmt"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// Config says how clips are embedded.
type Config struct {
	Views   int  // at once; the model must have been made for as many
	Windows int  // of a clip, on an even grid; their embeddings are averaged
	Both    bool // also with both modalities
	Workers int  // goroutines that read and decode clips ahead; 0 means 1

	// Shift starts the picture's window this much later in the clip than the
	// sound's, as far as the clip allows: does an encoder use moments at all? It
	// needs Windows 1.
	Shift time.Duration

	// Group is the processes that embed a share of the clips each; nil for this one
	// alone. All must be given the same clips and configuration.
	Group engine.Group
}

// Vectors are the embeddings of clips under one input modality.
type Vectors struct {
	CLS       tensor.Array // (n, D)
	Projected tensor.Array // (n, K)
	Patches   tensor.Array // (n, D) mean of the tokens of the present modalities
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
	return tensor.Array{}, fmt.Errorf("embed: embedding %q is none of projected, cls, patches", name)
}

// Features are the embeddings of the clips that could be read.
type Features struct {
	Index              []int // row → clip of the set
	Audio, Video, Both Vectors
	Skipped            map[string]error // clips that could not be read, by key
}

// Clips embeds every clip audio-only and video-only (the other input zeroed).
// done is called with the number of clips finished. With a group every process gets
// the embeddings of all clips, in the same order, each computed once; then done is
// told how many are finished if all processes are as fast.
func Clips(ctx context.Context, e engine.Engine, model *jepa.Model, clips *loader.Clips,
	cfg Config, done func(n int)) (*Features, error) {
	r, err := newRunner(e, model, clips, cfg)
	if err != nil {
		return nil, fail(cfg.Group, err)
	}
	defer r.free()
	if err := r.run(ctx, done); err != nil {
		return nil, fail(cfg.Group, err)
	}
	if cfg.Group != nil {
		if err := r.gather(cfg.Group); err != nil {
			return nil, err
		}
	}
	if len(r.out.Index) == 0 {
		return nil, fmt.Errorf("embed: none of the %d clips can be read", clips.Set.Len())
	}
	for _, v := range r.vectors() {
		v.finish(len(r.out.Index), cfg.Windows)
	}
	return r.out, nil
}

// run embeds this process's share of the clips.
func (r *runner) run(ctx context.Context, done func(n int)) error {
	all := r.clips.Set.Len()
	lo, hi := share(all, r.cfg.Group)
	ahead := r.readAhead(ctx, lo, hi)
	defer ahead.close()
	for i := lo; i < hi; i++ {
		m := ahead.next()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := r.add(m); err != nil {
			r.out.Skipped[r.clips.Set.Key(i)] = err
		}
		ahead.reuse(m)
		if done != nil {
			done((i + 1 - lo) * all / (hi - lo))
		}
	}
	r.flush()
	if err := r.engine.Sync(); err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	return nil
}

// runner gathers views until a device batch is full.
type runner struct {
	engine engine.Engine
	model  *jepa.Model
	clips  *loader.Clips
	cfg    Config
	out    *Features

	video        []byte    // (Views, T, S, S, 3)
	audio        []float32 // (Views, F, M)
	dVideo, dMel engine.Tensor
	rows         []int // row of the features each waiting view belongs to
	videoN, melN int   // elements of one view
	buffers      []engine.Buffer
}

func newRunner(e engine.Engine, model *jepa.Model, clips *loader.Clips,
	cfg Config) (*runner, error) {
	if cfg.Shift < 0 || cfg.Shift > 0 && cfg.Windows != 1 {
		return nil, fmt.Errorf("embed: shift %v of %d windows: it must not be negative and "+
			"takes one window", cfg.Shift, cfg.Windows)
	}
	if cfg.Windows < 1 || cfg.Views < cfg.Windows {
		return nil, fmt.Errorf("embed: %d windows of a clip must be 1 to %d, the views run at once",
			cfg.Windows, cfg.Views)
	}
	v := clips.Maker.Config()
	r := &runner{engine: e, model: model, clips: clips, cfg: cfg,
		out:    &Features{Skipped: map[string]error{}},
		videoN: v.Frames * v.Side * v.Side * 3, melN: v.Bands * v.MelFrames()}
	r.video = make([]byte, cfg.Views*r.videoN)
	r.audio = make([]float32, cfg.Views*r.melN)
	alloc := func(dt engine.DType, dims ...int) (engine.Tensor, error) {
		s := tensor.Of(dims...)
		buf, err := e.NewBuffer(dt, s.Elems())
		if err != nil {
			return engine.Tensor{}, fmt.Errorf("embed: %w", err)
		}
		r.buffers = append(r.buffers, buf)
		return engine.NewTensor(buf, 0, s), nil
	}
	var err error
	if r.dVideo, err = alloc(engine.U8, cfg.Views, v.Frames, v.Side, v.Side, 3); err == nil {
		r.dMel, err = alloc(engine.F32, cfg.Views, v.Bands, v.MelFrames())
	}
	if err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

func (r *runner) free() {
	for _, b := range r.buffers {
		b.Free()
	}
}

func (r *runner) vectors() []*Vectors {
	all := []*Vectors{&r.out.Audio, &r.out.Video}
	if r.cfg.Both {
		all = append(all, &r.out.Both)
	}
	return all
}

// add takes the windows of a clip, all in one device batch.
func (r *runner) add(m *made) error {
	if !m.opened {
		return m.err
	}
	if len(r.rows)+r.cfg.Windows > r.cfg.Views {
		r.flush()
	}
	if m.err != nil {
		return m.err
	}
	copy(r.video[len(r.rows)*r.videoN:], m.video)
	copy(r.audio[len(r.rows)*r.melN:], m.audio)
	for range r.cfg.Windows {
		r.rows = append(r.rows, len(r.out.Index))
	}
	r.out.Index = append(r.out.Index, m.clip)
	return nil
}

// flush embeds the views that wait.
func (r *runner) flush() {
	n := len(r.rows)
	if n == 0 {
		return
	}
	video, mel := r.dVideo.Slice(0, n), r.dMel.Slice(0, n)
	r.engine.UploadBytes(video, r.video[:n*r.videoN])
	r.engine.Upload(mel, r.audio[:n*r.melN])
	groups := []vit.Group{{Views: n, Audio: mel}, {Views: n, Video: video}}
	if r.cfg.Both {
		groups = append(groups, vit.Group{Views: n, Audio: mel, Video: video})
	}
	for i, v := range r.vectors() {
		e := r.model.Embed(groups[i])
		v.CLS = r.collect(v.CLS, e.CLS)
		v.Projected = r.collect(v.Projected, e.Projected)
		v.Patches = r.collect(v.Patches, e.Patches)
	}
	r.rows = r.rows[:0]
}

// collect adds the rows of t to those of a, one per clip.
func (r *runner) collect(a tensor.Array, t engine.Tensor) tensor.Array {
	d := t.Cols()
	host := make([]float32, t.Elems())
	r.engine.Download(host, t)
	need := (r.rows[len(r.rows)-1] + 1) * d
	if grow := need - len(a.Data); grow > 0 {
		a.Data = append(a.Data, make([]float32, grow)...)
	}
	for i, row := range r.rows {
		for j := 0; j < d; j++ {
			a.Data[row*d+j] += host[i*d+j]
		}
	}
	return tensor.From(a.Data, len(a.Data)/d, d)
}

// finish turns sums over windows into means.
func (v *Vectors) finish(n, windows int) {
	for _, a := range []*tensor.Array{&v.CLS, &v.Projected, &v.Patches} {
		d := a.Shape.Cols()
		*a = tensor.From(a.Data[:n*d], n, d)
		for i := range a.Data {
			a.Data[i] /= float32(windows)
		}
	}
}
