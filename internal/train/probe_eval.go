package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/metrics"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// scorer runs held-out clips through the encoder and the probes.
type scorer struct {
	engine  engine.Engine
	model   *jepa.Model
	workers int
	views   int // at once

	video       []byte        // (views, T, S, S, 3)
	audio       []float32     // (views, F, M)
	dVideo      engine.Tensor // likewise on the engine
	dAudio      engine.Tensor
	videoN      int // elements of a view
	audioN      int
	failed      []error // of the clips at hand
	skipped     map[string]error
	processSize int
	rank        int
}

// scores are logits of held-out clips, of the inputs both, audio and video and of the
// linear and the attentive head, which may be missing.
type scores struct {
	Clips  []int // of the held-out set
	Logits [3][2][]float32
}

// mostViews bounds the clips that are evaluated at once: more gain nothing.
const mostViews = 32

// viewsAtOnce returns how many held-out clips are evaluated at once beside steps of so
// many clips of this process.
func viewsAtOnce(model jepa.Config, clips int) int {
	if model.MicroBatch > 0 {
		clips = min(clips, model.MicroBatch)
	}
	return min(clips, mostViews)
}

// HeldOutBytes returns the memory for the held-out clips that are evaluated at once, on
// the host and on the device, beside steps of so many clips of this process.
func (p *Probes) HeldOutBytes(model jepa.Config, clips int) int64 {
	v := p.HeldOut.Maker.Config()
	return 2 * int64(viewsAtOnce(model, clips)) *
		int64(v.Frames*v.Side*v.Side*3+4*v.Bands*v.MelFrames())
}

// openHeldOut draws the clips that are evaluated and makes room for some at once. A step
// of training needs more of the model's memory than they do.
func (p *prober) openHeldOut(c *Config, e engine.Engine, model *jepa.Model) error {
	set := p.HeldOut.Set
	for i := range set.Len() {
		if n := len(set.Labels(i)); (n == 1 || n > 1 && p.MultiLabel) && len(p.classesIn(i)) == n {
			p.pick = append(p.pick, i)
		}
	}
	if len(p.pick) == 0 {
		return fmt.Errorf("train: none of the %d held-out clips has a label that online probes are "+
			"trained on: choose another split for them (probe.split, eval.split), or train without "+
			"(probe.online=false)", set.Len())
	}
	if n := p.Clips; n > 0 && n < len(p.pick) {
		r := rng.New(c.Seed, "probe clips")
		r.Shuffle(len(p.pick), func(i, j int) { p.pick[i], p.pick[j] = p.pick[j], p.pick[i] })
		p.pick = p.pick[:n]
		slices.Sort(p.pick)
	}
	_, n := model.Clips()
	v := p.HeldOut.Maker.Config()
	s := scorer{engine: e, model: model, workers: max(1, c.Workers),
		views:  viewsAtOnce(model.Config, n),
		videoN: v.Frames * v.Side * v.Side * 3, audioN: v.Bands * v.MelFrames(),
		skipped: map[string]error{}, processSize: 1}
	if g := model.Group(); g != nil {
		s.processSize, s.rank = g.Size(), g.Rank()
	}
	s.video, s.audio = make([]byte, s.views*s.videoN), make([]float32, s.views*s.audioN)
	s.failed = make([]error, s.views)
	var err error
	s.dVideo, err = heldOutTensor(e, engine.U8, s.views, v.Frames, v.Side, v.Side, 3)
	if err == nil {
		s.dAudio, err = heldOutTensor(e, engine.F32, s.views, v.Bands, v.MelFrames())
	}
	p.scorer = s
	return err
}

func heldOutTensor(e engine.Engine, dt engine.DType, dims ...int) (engine.Tensor, error) {
	shape := tensor.Of(dims...)
	buf, err := e.NewBuffer(dt, shape.Elems())
	if err != nil {
		return engine.Tensor{}, fmt.Errorf("train: held-out clips: %w", err)
	}
	return engine.NewTensor(buf, 0, shape), nil
}

// classesIn returns those labels of a held-out clip that are classes of the set trained
// on. The slice is the prober's own until the next call.
func (p *prober) classesIn(clip int) []int {
	p.one = p.one[:0]
	for _, l := range p.HeldOut.Set.Labels(clip) {
		if c := p.set.Class(l); c >= 0 {
			p.one = append(p.one, c)
		}
	}
	return p.one
}

// evaluate measures the probes on held-out clips, if it is time to and it has not been
// done, and logs that. An interrupt ends it: a resumed run makes up for it. In a group
// each process takes a share of the clips, and an interrupt waits.
func (t *trainer) evaluate(ctx context.Context) error {
	p := t.probes
	if p == nil || t.step == 0 || t.step == p.evaluated || t.stopped(ctx) {
		return nil
	}
	every := p.Every
	if every == 0 {
		every = t.epoch
	}
	if t.step%every != 0 && t.step < t.cfg.Schedule.Steps {
		return nil
	}
	start := time.Now()
	defer func() { t.evaluating += time.Since(start) }()
	all, err := t.scoreAll(ctx)
	if err != nil || all == nil {
		return err
	}
	line, err := p.measure(all)
	if err != nil {
		return fmt.Errorf("train: evaluation of step %d: %w", t.step, err)
	}
	line.Step, line.Epoch = t.step, float64(t.step)/float64(t.epoch)
	p.evaluated = t.step
	if t.leads() {
		if err := p.log.add(line); t.group == nil && err != nil {
			return err
		} else if err != nil {
			t.pending = err // the others learn of it when all meet again
		}
	}
	if p.Observe != nil {
		p.Observe(line)
	}
	return nil
}

// scoreAll returns the scores of every process's share of the clips, nothing when ctx
// has ended.
func (t *trainer) scoreAll(ctx context.Context) ([]*scores, error) {
	if t.group != nil {
		ctx = context.WithoutCancel(ctx)
	}
	s := t.probes.score(ctx)
	err := t.engine.Sync()
	if err != nil {
		err = fmt.Errorf("train: evaluation of step %d: %w", t.step, err)
	}
	if t.group == nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return []*scores{s}, err
	}
	if t.pending == nil && t.group.Err() == nil {
		t.pending = err
	}
	told, err := t.meet(message{Scores: s})
	if err != nil {
		return nil, err
	}
	all := make([]*scores, len(told))
	for rank, m := range told {
		all[rank] = m.Scores
		if m.Scores == nil {
			return nil, fmt.Errorf("train: process %d has evaluated nothing: start the same program "+
				"in all", rank)
		}
	}
	return all, nil
}

// score returns the scores of this process's share of the clips. It ends early when ctx
// does.
func (p *prober) score(ctx context.Context) *scores {
	s := &scores{}
	n := len(p.pick)
	mine := p.pick[n*p.rank/p.processSize : n*(p.rank+1)/p.processSize]
	for len(mine) > 0 && ctx.Err() == nil {
		now := mine[:min(p.views, len(mine))]
		mine = mine[len(now):]
		p.read(ctx, now)
		k := 0
		for j, clip := range now { // those that could be read, without gaps
			if p.failed[j] != nil {
				p.skipped[p.HeldOut.Set.Key(clip)] = p.failed[j]
				continue
			}
			copy(p.video[k*p.videoN:], p.video[j*p.videoN:(j+1)*p.videoN])
			copy(p.audio[k*p.audioN:], p.audio[j*p.audioN:(j+1)*p.audioN])
			s.Clips = append(s.Clips, clip)
			k++
		}
		if k == 0 || ctx.Err() != nil {
			continue
		}
		video, audio := p.dVideo.Slice(0, k), p.dAudio.Slice(0, k)
		p.engine.UploadBytes(video, p.video[:k*p.videoN])
		p.engine.Upload(audio, p.audio[:k*p.audioN])
		for i, g := range [3]vit.Group{{Views: k, Video: video, Audio: audio},
			{Views: k, Audio: audio}, {Views: k, Video: video}} {
			linear, attentive := p.online.Score(p.model, g)
			s.Logits[i][0] = append(s.Logits[i][0], linear...)
			s.Logits[i][1] = append(s.Logits[i][1], attentive...)
		}
	}
	return s
}

// read makes the middle window of clips of the held-out set, one after the other in
// video and audio, and sets failed to why there is none.
func (p *prober) read(ctx context.Context, clips []int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(p.workers, len(clips)) {
		all.Go(func() {
			for j := int(next.Add(1)) - 1; j < len(clips); j = int(next.Add(1)) - 1 {
				p.failed[j] = readView(ctx, p.HeldOut, clips[j],
					p.video[j*p.videoN:(j+1)*p.videoN], p.audio[j*p.audioN:(j+1)*p.audioN])
			}
		})
	}
	all.Wait()
}

// readView makes the one window of a clip that evaluation sees.
func readView(ctx context.Context, clips *loader.Clips, i int, video []byte, audio []float32) error {
	d, err := clips.Lend(ctx, i)
	if err != nil {
		return err
	}
	defer clips.Return(d)
	return clips.Maker.Eval(video, audio, d.Decoded, 0, 1)
}

// measure returns what scores come to, but for step and epoch.
func (p *prober) measure(all []*scores) (ProbeLog, error) {
	line := ProbeLog{Classes: p.Classes}
	var clips []int
	for _, s := range all {
		clips = append(clips, s.Clips...)
	}
	if line.Clips = len(clips); line.Clips == 0 {
		return line, fmt.Errorf("none of the %d held-out clips can be read", len(p.pick))
	}
	for i, to := range []*ProbeScores{&line.Both, &line.Audio, &line.Video} {
		for head := range 2 {
			var logits []float32
			for _, s := range all {
				logits = append(logits, s.Logits[i][head]...)
			}
			if len(logits) == 0 {
				continue // no attentive head
			}
			if len(logits) != len(clips)*p.Classes {
				return line, fmt.Errorf("%d scores of %d clips and %d classes: start the same program "+
					"in all processes", len(logits), len(clips), p.Classes)
			}
			for _, x := range logits {
				if x-x != 0 {
					return line, ErrNotFinite
				}
			}
			p.rate(to, head, logits, clips)
		}
	}
	return line, nil
}

// rate sets the numbers of one head under one input.
func (p *prober) rate(to *ProbeScores, head int, logits []float32, clips []int) {
	if p.MultiLabel {
		m := p.meanPrecision(logits, clips)
		*[2]**float64{&to.LinearMAP, &to.AttentiveMAP}[head] = &m
		return
	}
	want := make([]int, len(clips))
	for row, clip := range clips {
		want[row] = p.classesIn(clip)[0]
	}
	top1, top5 := metrics.TopK(logits, want, p.Classes, 1), metrics.TopK(logits, want, p.Classes, 5)
	*[2]**float64{&to.LinearTop1, &to.AttentiveTop1}[head] = &top1
	*[2]**float64{&to.LinearTop5, &to.AttentiveTop5}[head] = &top5
}

// meanPrecision returns the mean of the average precision over the classes that some
// clip has.
func (p *prober) meanPrecision(logits []float32, clips []int) float64 {
	has := make([]bool, p.Classes*len(clips)) // (C, n)
	for row, clip := range clips {
		for _, c := range p.classesIn(clip) {
			has[c*len(clips)+row] = true
		}
	}
	column := make([]float32, len(clips))
	sum, classes := 0.0, 0
	for c := range p.Classes {
		positive := has[c*len(clips) : (c+1)*len(clips)]
		if !slices.Contains(positive, true) {
			continue
		}
		for row := range column {
			column[row] = logits[row*p.Classes+c]
		}
		sum += metrics.AveragePrecision(column, positive)
		classes++
	}
	if classes == 0 {
		return math.NaN()
	}
	return sum / float64(classes)
}
