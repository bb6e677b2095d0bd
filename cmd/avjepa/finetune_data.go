package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/finetune"
	"avjepa/internal/loader"
	"avjepa/internal/nn"
	"avjepa/internal/train"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// labelled are the clips of a supervised run.
type labelled struct {
	whole, train, val *dataset.Set
	labels            *finetune.Labels
	without           int // clips of either without a label
}

// openShowing opens the clips of a set that have what is to be shown.
func openShowing(ctx context.Context, dir, modality string, p *progress) (*dataset.Set, error) {
	if dir == "" {
		return nil, usageError(errors.New("no data set: give --data DIR, a folder written by " +
			"avjepa ingest, or where it is: s3://bucket/name, https://host/name"))
	}
	set, err := openSet(ctx, dir, p)
	if err != nil {
		return nil, err
	}
	showing := set.Where(func(f *dataset.Info) bool {
		return (f.HasVideo() || modality == "audio") && (f.HasAudio() || modality == "video")
	})
	if showing.Len() == 0 {
		return nil, fmt.Errorf("%s has no clip with picture and sound, of %d: for clips of one alone "+
			"there is --modality audio or video", dir, set.Len())
	}
	return showing, nil
}

// openLabelled checks a configuration and opens the clips to train on and to validate
// on, and resolves what finetune.labels = "auto" means for them.
func openLabelled(ctx context.Context, c *config.Config, p *progress) (*labelled, error) {
	if err := validate(c); err != nil {
		return nil, err
	}
	f := &c.Finetune
	whole, err := openShowing(ctx, c.Data.Dir, f.Modality, p)
	if err != nil {
		return nil, err
	}
	s := &labelled{whole: whole, labels: finetune.LabelsOf(whole)}
	if f.Labels == config.LabelsAuto {
		text := map[bool]string{true: config.LabelsMulti, false: config.LabelsSingle}[s.labels.Multi]
		if err := c.Set("finetune.labels", text, "data "+c.Data.Dir); err != nil {
			return nil, configError(err)
		}
	}
	s.labels.Multi = f.Labels == config.LabelsMulti
	if len(s.labels.Classes) < 2 {
		return nil, fmt.Errorf("%s has %d classes, at least 2 are needed: ingest it with labels "+
			"(label/clip.mp4, or a list)", c.Data.Dir, len(s.labels.Classes))
	}
	valSplit := f.HoldOut
	if valSplit == "" {
		valSplit = c.Eval.Split
	}
	known, without := s.labels.Known(whole)
	s.without = without
	s.val = known.Select(valSplit)
	s.train = known.Where(func(i *dataset.Info) bool {
		if f.HoldOut != "" || c.Data.Split == "" {
			return i.Split != valSplit
		}
		return i.Split == c.Data.Split
	})
	for _, x := range []struct {
		set   *dataset.Set
		split string
		keys  string
	}{{s.val, valSplit, "--hold-out and eval.split"}, {s.train, c.Data.Split, "data.split"}} {
		if x.set.Len() == 0 && known.Len() == 0 {
			return nil, fmt.Errorf("no clip of %s has a label: ingest them from folders named by class, or "+
				"from a list with labels", c.Data.Dir)
		}
		if x.set.Len() == 0 {
			return nil, fmt.Errorf("%s has no labelled clip in split %q: it has %s (%s choose)",
				c.Data.Dir, x.split, strings.Join(known.Splits(), ", "), x.keys)
		}
	}
	if c.Data.Split == valSplit && f.HoldOut == "" {
		return nil, configError(fmt.Errorf("data.split and eval.split are both %q: a run is not judged "+
			"by what it learns from", valSplit))
	}
	if err := s.fitBatch(c, p); err != nil {
		return nil, err
	}
	if s.without > 0 {
		p.say("left out: %s without a label", amount(s.without, "clips"))
	}
	return s, nil
}

// fitBatch lowers finetune.batch_size to the clips there are to train on and says so,
// unless it was asked for by a flag or the environment.
func (s *labelled) fitBatch(c *config.Config, p *progress) error {
	n, batch := s.train.Len(), c.Finetune.BatchSize
	if n >= batch {
		return nil
	}
	origin := c.Origin("finetune.batch_size")
	asked := strings.HasPrefix(origin, "flag") || strings.HasPrefix(origin, "environment")
	if n < 2 || asked {
		return fmt.Errorf("%s has %s to train on, fewer than finetune.batch_size = %d: lower it "+
			"(--batch-size, at least 2)", c.Data.Dir, amount(n, "labelled clips"), batch)
	}
	p.say("finetune.batch_size is %d, not %d: there are no more labelled clips to train on", n, batch)
	if err := c.Set("finetune.batch_size", fmt.Sprint(n), "data "+c.Data.Dir); err != nil {
		return configError(err)
	}
	return nil
}

// data makes views of both. Decoded clips are kept where they are shown more than once.
func (s *labelled) data(c *config.Config, again bool) (finetune.Data, error) {
	maker, err := view.NewMaker(c.FinetuneView())
	if err != nil {
		return finetune.Data{}, configError(err)
	}
	cache := int64(0)
	if again {
		cache = int64(c.Data.CacheMB) << 20 / 2
	}
	return finetune.Data{Train: loader.NewClips(s.train, maker, cache),
		Val: loader.NewClips(s.val, maker, cache), Labels: s.labels}, nil
}

// holds refuses a file that is far smaller than the encoder it describes: its
// configuration may not make us allocate more.
func (r *runState) holds(m finetune.Model) error {
	m.Frozen = true // so that the heads alone are trained
	plan, err := finetune.PlanTraining(m, 1, 1, vit.Both)
	if err != nil {
		return configError(err)
	}
	if encoder := plan.Values - 4*int64(plan.Trained); encoder/2 > r.file.Size() {
		return kind{fmt.Errorf("%s holds %d bytes, the encoder it describes has %d: it is damaged or no "+
			"run's checkpoint", r.path, r.file.Size(), encoder), errCheckpoint}
	}
	return nil
}

// into sets a network's encoder to the run's, and returns the run's other arrays but for
// moments and classifiers.
func (r *runState) into(net *finetune.Network, p *progress) ([]nn.Stored, error) {
	arrays, err := train.Arrays(r.file)
	if err != nil {
		return nil, kind{err, errCheckpoint}
	}
	fit, err := net.Import(arrays)
	if err != nil {
		return nil, kind{fmt.Errorf("%s: %w: it needs the same model.encoder, size, width and depth",
			r.path, err), errCheckpoint}
	}
	if len(fit.Left) > 0 {
		return nil, kind{fmt.Errorf("%s lacks values to begin with: %s", r.path,
			strings.Join(fit.Left, "; ")), errCheckpoint}
	}
	p.say("weights of %s, step %d", r.path, r.state.Step)
	p.sayFit(fit)
	var beside []nn.Stored
	for _, name := range slices.Sorted(maps.Keys(arrays)) {
		if strings.HasPrefix(name, "projector.") {
			a := arrays[name]
			beside = append(beside, nn.Stored{Name: name, Shape: a.Shape,
				Read: func(dst []float32) { copy(dst, a.Data) }})
		}
	}
	return beside, nil
}
