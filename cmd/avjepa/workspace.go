package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/embed"
	"avjepa/internal/engine"
	enginecpu "avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/train"
	"avjepa/internal/view"
)

// openEngine opens the engine a configuration names.
func openEngine(c *config.Config) (engine.Engine, error) {
	e, err := enginecpu.New(enginecpu.Config{Threads: c.Engine.Threads})
	if err != nil {
		return nil, kind{err, errEngine}
	}
	return e, nil
}

// openSplit opens the clips of one split that have picture and sound. An empty
// split name means all clips.
func openSplit(dir, split string) (*dataset.Set, error) {
	if dir == "" {
		return nil, usageError(errors.New("no data set: give --data DIR, a folder written by avjepa ingest"))
	}
	set, err := dataset.Open(dir)
	if err != nil {
		return nil, err
	}
	if split != "" {
		part := set.Select(split)
		if part.Len() == 0 {
			return nil, fmt.Errorf("%s has no clip in split %q: it has %s (choose with data.split or eval.split)",
				dir, split, quoted(set.Splits()))
		}
		set = part
	}
	return set.Where(func(f *dataset.Info) bool { return f.HasVideo() && f.HasAudio() }), nil
}

func quoted(names []string) string {
	text := ""
	for i, n := range names {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q", n)
	}
	return text
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
	return runtime.NumCPU()
}

// runState is a trained model as a checkpoint holds it.
type runState struct {
	path  string // of the checkpoint
	cfg   *config.Config
	state train.State
	file  *checkpoint.File
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
	return &runState{path, cfg, state, file}, nil
}

// embedViews is how many views run at once when embedding.
const embedViews = 64

// embed embeds the clips of a set with the run's encoder.
func (r *runState) embed(ctx context.Context, e engine.Engine, set *dataset.Set, windows int,
	both bool, done func(n int)) (*embed.Features, *loader.Clips, error) {
	jc, err := r.cfg.JEPAConfig()
	if err != nil {
		return nil, nil, configError(err)
	}
	model, err := jepa.NewEmbedder(e, jc, r.state.Seed, embedViews)
	if err != nil {
		return nil, nil, err
	}
	defer model.Free()
	if err := train.Load(r.file, model, nil, 0); err != nil {
		return nil, nil, kind{err, errCheckpoint}
	}
	clips, err := newClips(r.cfg, set)
	if err != nil {
		return nil, nil, err
	}
	f, err := embed.Clips(ctx, e, model, clips,
		embed.Config{Views: embedViews, Windows: windows, Both: both}, done)
	return f, clips, err
}

// melStats is what stats.json of a data set holds.
type melStats struct {
	Bands int     `json:"mel_bands"`
	Clips int     `json:"clips"`
	Mean  float64 `json:"mel_mean"` // dB
	Std   float64 `json:"mel_std"`  // dB
}

const statsName = "stats.json"

// readStats returns the statistics kept with a data set, or false.
func readStats(dir string, bands int) (melStats, bool) {
	var s melStats
	text, err := os.ReadFile(filepath.Join(dir, statsName))
	if err != nil || json.Unmarshal(text, &s) != nil || s.Bands != bands || !(s.Std > 0) {
		return melStats{}, false
	}
	return s, true
}

// measureStats computes the statistics over at most limit clips, evenly spaced.
func measureStats(ctx context.Context, clips *loader.Clips, limit int, done func(n, total int)) (melStats, error) {
	n := clips.Set.Len()
	total := n
	if limit > 0 {
		total = min(n, limit)
	}
	var s view.Stats
	for i := 0; i < total; i++ {
		if ctx.Err() != nil {
			return melStats{}, context.Cause(ctx)
		}
		if d, err := clips.Get(i * n / total); err == nil {
			s.Add(clips.Maker, d)
		}
		done(i+1, total)
	}
	if s.Clips == 0 {
		return melStats{}, fmt.Errorf("none of %d clips could be read", total)
	}
	return melStats{clips.Maker.Config().Bands, s.Clips, s.Mean(), s.Std()}, nil
}

// statsClips is how many clips are enough for the statistics of a large set.
const statsClips = 1000

// useStats sets mel_mean and mel_std from the data, unless somebody chose them.
func useStats(ctx context.Context, c *config.Config, set *dataset.Set, p *progress) error {
	if c.Origin("view.mel_mean") != "default" || c.Origin("view.mel_std") != "default" {
		return nil
	}
	s, known := readStats(c.Data.Dir, c.View.MelBands)
	if !known {
		clips, err := newClips(c, set)
		if err != nil {
			return err
		}
		st := p.stage("statistics", int64(min(set.Len(), statsClips)), "clips")
		s, err = measureStats(ctx, clips, statsClips, func(n, total int) { st.set(int64(n), int64(total), "") })
		if err != nil {
			st.stop()
			return err
		}
		st.done()
		if err := writeStats(c.Data.Dir, s); err != nil {
			return err
		}
	}
	for key, v := range map[string]float64{"view.mel_mean": s.Mean, "view.mel_std": s.Std} {
		if err := c.Set(key, fmt.Sprintf("%.6f", v), "data "+c.Data.Dir); err != nil {
			return err
		}
	}
	return nil
}
