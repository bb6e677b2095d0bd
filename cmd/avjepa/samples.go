package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/report"
	"avjepa/internal/train"
)

// sampleViews bounds the held-out clips that are embedded at once beside training.
const sampleViews = 16

// sampler writes what a run finds for some held-out clips, beside each checkpoint.
type sampler struct {
	run   *train.Folder
	cfg   *config.Config
	set   *dataset.Set // the clips
	clips *loader.Clips
	views int
	p     *progress
	told  bool // that they could not be written
}

// newSampler returns nil when there are to be no samples, or no clips for them. Several
// processes write none: the model's clips are spread over all.
func newSampler(run *train.Folder, c *config.Config, set *dataset.Set, group engine.Group, p *progress) (
	*sampler, error) {

	if run == nil || group != nil || c.Eval.Samples == 0 {
		return nil, nil
	}
	held, err := selectSplit(set.All(), c.Data.Dir, c.Eval.Split)
	if err != nil {
		return nil, nil // a set without held-out clips is trained on all the same
	}
	n, all, i := min(c.Eval.Samples, held.Len()), held.Len(), -1
	held = held.Where(func(*dataset.Info) bool { // evenly over the split
		i++
		return (i+1)*n/all > i*n/all
	})
	clips, err := newClips(c, held)
	if err != nil {
		return nil, err
	}
	views := min(sampleViews, c.Train.BatchSize)
	if c.Train.MicroBatch > 0 {
		views = min(views, c.Train.MicroBatch)
	}
	return &sampler{run: run, cfg: c, set: held, clips: loader.NewClips(held, clips.Maker, 0), views: views,
		p: p}, nil
}

// write writes the samples of a step. That they cannot be made does not end the training:
// it is said once.
func (s *sampler) write(ctx context.Context, e engine.Engine, model *jepa.Model, step int) error {
	err := s.try(ctx, e, model, step)
	if err != nil && ctx.Err() == nil && !s.told {
		s.told = true
		s.p.say("no samples of step %d: %v", step, err)
	}
	return nil
}

func (s *sampler) try(ctx context.Context, e engine.Engine, model *jepa.Model, step int) error {
	f, err := embed.Clips(ctx, e, model, s.clips, embed.Config{Views: s.views, Windows: 1,
		Workers: workers(s.cfg)}, nil)
	if err != nil {
		return err
	}
	if len(f.Index) < 2 {
		return fmt.Errorf("%d of %d clips could be read", len(f.Index), s.set.Len())
	}
	audio, err := f.Audio.Pick(s.cfg.Eval.Embedding)
	if err != nil {
		return err
	}
	video, err := f.Video.Pick(s.cfg.Eval.Embedding)
	if err != nil {
		return err
	}
	out := report.Samples{Step: step, Split: s.cfg.Eval.Split, Embedding: s.cfg.Eval.Embedding}
	for _, i := range f.Index {
		out.Clips = append(out.Clips, report.SampleClip{Key: s.set.Key(i), Labels: s.set.Labels(i)})
	}
	if err := out.Fill(audio.Data, video.Data, audio.Shape.Cols()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.run.Dir, report.SamplesDir), 0o755); err != nil {
		return err
	}
	return s.run.WriteJSON(report.SamplesName(step), &out)
}
