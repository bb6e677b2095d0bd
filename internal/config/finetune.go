package config

import (
	"fmt"
	"math"
	"slices"

	"avjepa/internal/finetune"
	"avjepa/internal/optim"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// checkFinetune reports every value of [finetune] that cannot be used.
func (c *Config) checkFinetune() []error {
	var errs []error
	f := c.Finetune
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("config: finetune."+format, args...))
		}
	}
	within := func(key string, n, lo, hi int) {
		check(n >= lo && n <= hi, "%s = %d: outside %d to %d", key, n, lo, hi)
	}
	share := func(key string, x float64) {
		check(x >= 0 && x <= 1, "%s = %g: outside 0 to 1", key, x)
	}
	oneOf := func(key, value string, allowed ...string) {
		check(slices.Contains(allowed, value), "%s = %q: want one of %q", key, value, allowed)
	}
	within("batch_size", f.BatchSize, 2, 1<<16)
	within("micro_batch", f.MicroBatch, 0, 1<<16)
	within("epochs", f.Epochs, 1, 1e6)
	check(f.LR > 0, "lr = %g: must be above 0", f.LR)
	check(f.BackboneLR >= 0, "backbone_lr = %g: must not be negative", f.BackboneLR)
	check(f.MinLR >= 0, "min_lr = %g: must not be negative", f.MinLR)
	share("warmup", f.Warmup)
	share("warmup_start", f.WarmupStart)
	check(f.WeightDecay >= 0, "weight_decay = %g: must not be negative", f.WeightDecay)
	check(f.HeadDecay >= 0, "head_decay = %g: must not be negative", f.HeadDecay)
	check(f.Clip >= 0, "clip = %g: must not be negative", f.Clip)
	oneOf("labels", f.Labels, LabelsAuto, LabelsSingle, LabelsMulti)
	check(f.Smoothing >= 0 && f.Smoothing < 1, "smoothing = %g: outside [0, 1)", f.Smoothing)
	oneOf("modality", f.Modality, "both", "audio", "video")
	oneOf("views", f.Views, ViewsTrain, ViewsEval)
	share("mixup", f.Mixup)
	check(f.MixupAlpha > 0, "mixup_alpha = %g: must be above 0", f.MixupAlpha)
	within("freq_bands", f.FreqBands, 0, math.MaxInt32)
	within("time_frames", f.TimeFrames, 0, math.MaxInt32)
	oneOf("sampling", f.Sampling, SamplingUniform, SamplingBalanced)
	oneOf("select", f.Select, finetune.SelectAttentive, finetune.SelectLinear)
	check(f.Attentive || f.Select != finetune.SelectAttentive,
		"select = %q: there is no such head without finetune.attentive", f.Select)
	within("keep_mb", f.KeepMB, 0, 1<<30)
	within("spill_mb", f.SpillMB, 0, 1<<30)
	return errs
}

// modality returns finetune.modality as the encoder has it.
func (f *Finetune) modality() vit.Modality {
	switch f.Modality {
	case "audio":
		return vit.AudioOnly
	case "video":
		return vit.VideoOnly
	}
	return vit.Both
}

// FinetuneModel returns the network's own configuration for so many classes, and how
// many views it takes at once.
func (c *Config) FinetuneModel(classes int) (finetune.Model, int, error) {
	enc, err := c.EncoderConfig()
	views := c.Finetune.BatchSize
	if m := c.Finetune.MicroBatch; m > 0 {
		views = min(views, m)
	}
	return finetune.Model{Encoder: enc, Dual: c.Model.Encoder == "dual", Classes: classes,
		Attentive: c.Finetune.Attentive, Compute: c.compute(), Frozen: c.Finetune.BackboneLR == 0,
		Recompute: c.Train.Recompute == "blocks"}, views, err
}

// FinetuneView returns the configuration of a training clip's one view, or of evaluation
// views: of one modality where the run has no other.
func (c *Config) FinetuneView() view.Config {
	v := c.ViewConfig()
	v.Globals, v.Locals = 1, 0
	v.LocalModality, v.Masking, v.LocalCrop = view.LocalAlternate, view.Masking{}, false
	if c.Finetune.Modality != "both" {
		v.Modality = c.Finetune.Modality
	}
	return v
}

// FinetuneConfig returns the loop's own configuration.
func (c *Config) FinetuneConfig() finetune.Config {
	f, t := c.Finetune, c.Train
	opt := func(decay float64) optim.Config {
		return optim.Config{Beta1: t.Beta1, Beta2: t.Beta2, Eps: t.Eps, WeightDecay: decay,
			Decay: optim.Decay(t.Decay), Clip: f.Clip}
	}
	schedule := func(lr float64) optim.Schedule {
		return optim.Schedule{Base: lr, Start: f.WarmupStart, Min: f.MinLR}
	}
	return finetune.Config{
		Seed: uint64(c.Seed), BatchSize: f.BatchSize, Epochs: f.Epochs,
		Head: schedule(f.LR), Backbone: schedule(f.LR * f.BackboneLR), WarmupShare: f.Warmup,
		HeadOptim: opt(f.HeadDecay), BackboneOptim: opt(f.WeightDecay),
		Smoothing: f.Smoothing, PosWeight: f.PosWeight,
		Augment: finetune.Augment{Mixup: f.Mixup, MixupAlpha: f.MixupAlpha, FreqBands: f.FreqBands,
			TimeFrames: f.TimeFrames},
		Balanced: f.Sampling == SamplingBalanced, EvalViews: f.Views == ViewsEval,
		Modality: f.modality(), Windows: 1, Select: f.Select,
		KeepBytes: int64(f.KeepMB) << 20, SpillBytes: int64(f.SpillMB) << 20,
		Workers: c.Data.Workers, TOML: c.TOML(),
	}
}
