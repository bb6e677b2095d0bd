package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/train"
	"avjepa/internal/view"
)

// openSplit opens the clips of one split that have picture and sound. An empty
// split name means all clips.
func openSplit(ctx context.Context, dir, split string, p *progress) (*dataset.Set, error) {
	if dir == "" {
		return nil, usageError(errors.New("no data set: give --data DIR, a folder written by " +
			"avjepa ingest, or where it is: s3://bucket/name, https://host/name"))
	}
	set, err := openSet(ctx, dir, p)
	if err != nil {
		return nil, err
	}
	if split != "" {
		part := set.Select(split)
		if part.Len() == 0 {
			return nil, fmt.Errorf("%s has no clip in split %q: it has %s "+
				"(--split, data.split and eval.split choose)",
				dir, split, strings.Join(set.Splits(), ", "))
		}
		set = part
	}
	set = set.Where(func(f *dataset.Info) bool { return f.HasVideo() && f.HasAudio() })
	if set.Len() == 0 {
		return nil, fmt.Errorf("%s has no clip with both picture and sound in split %q", dir, split)
	}
	return set, nil
}

// newClips makes views of a set under a configuration.
func newClips(c *config.Config, set *dataset.Set) (*loader.Clips, error) {
	maker, err := view.NewMaker(c.ViewConfig())
	if err != nil {
		return nil, configError(err)
	}
	return loader.NewClips(set, maker, int64(c.Data.CacheMB)<<20), nil
}

// workers returns how many goroutines make views.
func workers(c *config.Config) int {
	if c.Data.Workers > 0 {
		return c.Data.Workers
	}
	return coresHere()
}

// runState is a trained model as a checkpoint holds it.
type runState struct {
	path  string // of the checkpoint
	cfg   *config.Config
	state train.State
	file  *checkpoint.File
	fit   jepa.Fit // of the values into the model that embeds
}

// openRun reads the newest checkpoint of a run folder, or a checkpoint file.
func openRun(path string) (*runState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("no run or checkpoint at %s: %w", path, err)
	}
	if info.IsDir() {
		if path, err = train.Latest(path); err != nil {
			return nil, err
		}
	}
	state, file, err := train.ReadState(path)
	if err != nil {
		return nil, kind{err, errCheckpoint}
	}
	cfg := config.New()
	if err := cfg.ApplyText(state.Config, "checkpoint "+path); err != nil {
		return nil, configError(err)
	}
	if err := cfg.Validate(); err != nil {
		return nil, configError(err)
	}
	return &runState{path: path, cfg: cfg, state: state, file: file}, nil
}

// embedViews is how many views run at once when embedding.
const embedViews = 64

// embed embeds the clips of a set with the run's encoder, in the given precision.
func (r *runState) embed(ctx context.Context, e engine.Engine, set *dataset.Set,
	precision string, cfg embed.Config, done func(n int)) (*embed.Features, *loader.Clips, error) {
	jc, err := r.cfg.JEPAConfig()
	if err != nil {
		return nil, nil, configError(err)
	}
	// The configuration comes with the file: it may not make us allocate more, but for
	// the positions of a larger geometry.
	plan, err := jepa.PlanEmbedding(jc, embedViews)
	if err != nil {
		return nil, nil, err
	}
	if plan.Values/2 > r.file.Size() {
		return nil, nil, kind{fmt.Errorf("%s holds %d bytes, the model it describes has %d: "+
			"it is damaged or no run's checkpoint", r.path, r.file.Size(), plan.Values), errCheckpoint}
	}
	model, err := jepa.NewEmbedder(e, jc, r.state.Seed, embedViews)
	if err != nil {
		return nil, nil, err
	}
	defer model.Free()
	if r.fit, err = train.LoadFitting(r.file, model); err != nil {
		return nil, nil, kind{err, errCheckpoint}
	}
	if len(r.fit.Left) > 0 {
		return nil, nil, kind{fmt.Errorf("%s lacks values to embed with: %s", r.path,
			strings.Join(r.fit.Left, "; ")), errCheckpoint}
	}
	if precision == precisionInt8 {
		if err := model.Quantize(); err != nil {
			return nil, nil, kind{fmt.Errorf("%w (--precision chooses)", err), errEngine}
		}
	}
	clips, err := newClips(r.cfg, set)
	if err != nil {
		return nil, nil, err
	}
	cfg.Views, cfg.Workers = embedViews, workers(r.cfg)
	f, err := embed.Clips(ctx, e, model, clips, cfg, done)
	return f, clips, err
}
