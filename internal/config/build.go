package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/optim"
	"avjepa/internal/probe"
	"avjepa/internal/train"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// ViewConfig returns the views' own configuration.
func (c *Config) ViewConfig() view.Config {
	v := c.View
	out := view.Config{
		SampleRateHz: 16000, Seconds: v.Seconds, Frames: v.Frames, Side: v.Side, Resize: v.Resize,
		Bands: v.MelBands, MelMean: v.MelMean, MelStd: v.MelStd,
		Globals: v.Globals, Locals: v.Locals, LocalModality: view.LocalAlternate, Windows: v.Windows,
		Flip: v.Flip, LocalCrop: v.LocalCrop,
		CropScale: [2]float64{v.CropMin, v.CropMax}, CropRatio: [2]float64{v.RatioMin, v.RatioMax},
		EvalSquash: c.Eval.Squash, Augment: view.Augment(c.Augment),
	}
	if box := [4]float64{v.BoxLeft, v.BoxTop, v.BoxRight, v.BoxBottom}; box != [4]float64{0, 0, 1, 1} {
		out.Box = box
	}
	if m := c.Mask; m.Enabled {
		out.LocalModality = view.LocalBoth
		out.Masking = view.Masking{ModalityDrop: m.DropP, TubeArea: m.TubeArea, TubeAspect: 0.5,
			TubePatch: c.Model.Patch, FreqBins: min(m.FreqBands, v.MelBands),
			TimeFrames: min(m.TimeFrames, out.MelFrames()), KeepSurvivor: m.KeepSurvivor}
	}
	return out
}

// EncoderConfig returns the encoder's own configuration. A width, depth or
// number of heads other than 0 overrides the size's. With the error of an unknown
// size comes the configuration for the default one.
func (c *Config) EncoderConfig() (vit.Config, error) {
	m := c.Model
	out := vit.Config{
		MLPRatio: m.MLPRatio, Frames: c.View.Frames, Side: c.View.Side,
		PatchT: m.PatchFrames, Patch: m.Patch,
		MelBands: c.View.MelBands, MelFrames: c.ViewConfig().MelFrames(),
		PatchMel: m.PatchMel, PatchMelT: m.PatchMelFrames,
		Dropout: m.Dropout, AttentionDropout: m.AttentionDropout,
		EmbedNorm: m.EmbedNorm, FinalNorm: m.FinalNorm, InitStd: m.InitStd,
		DropAbsent: m.Absent == "drop",
	}
	out, err := out.WithSize(m.Size)
	if err != nil {
		err = fmt.Errorf("config: model.size: %w", err)
		out, _ = out.WithSize(New().Model.Size)
	}
	for _, o := range []struct {
		to   *int
		from int
	}{{&out.Width, m.Width}, {&out.Depth, m.Depth}, {&out.Heads, m.Heads}} {
		if o.from != 0 {
			*o.to = o.from
		}
	}
	return out, err
}

// JEPAConfig returns the model's and the objective's own configuration.
func (c *Config) JEPAConfig() (jepa.Config, error) {
	enc, err := c.EncoderConfig()
	l := c.Loss
	return jepa.Config{
		Encoder: enc, Dual: c.Model.Encoder == "dual", Hidden: c.Project.Hidden, Proj: c.Project.Out,
		ProjectorInitStd: c.Project.InitStd,
		Globals:          c.View.Globals, Locals: c.View.Locals, LocalsBoth: c.Mask.Enabled,
		Compute: c.compute(),
		Lambda:  l.Lambda, Sum: l.Invariance == "sum", Directions: l.Directions,
		Knots:        engine.Knots{Max: l.TMax, Count: l.Knots, Half: l.Half},
		PooledSIGReg: l.SIGReg == "pooled",
		Recompute:    c.Train.Recompute == "blocks", MicroBatch: c.Train.MicroBatch,
		GlobalNorm: c.Train.BatchNorm == "global", KeepTokens: c.keepTokens(),
	}, err
}

// keepTokens reports whether a step is to make the patch tokens. Validate refuses to
// with a micro-batch, in its own words.
func (c *Config) keepTokens() bool {
	return c.Probe.Online && c.Probe.Attentive && c.Train.MicroBatch == 0
}

// OnlineConfig returns the online probes' own configuration for so many classes, of which
// a clip may have several. Their unimodal losses need local views of each modality.
func (c *Config) OnlineConfig(classes int, several bool) probe.OnlineConfig {
	out := probe.DefaultOnline(classes)
	out.Attentive, out.MultiLabel = c.Probe.Attentive, several
	out.Unimodal = !c.Mask.Enabled && c.View.Locals >= 2
	return out
}

// ProbeSplit returns the split of the clips that online probes are evaluated on.
func (c *Config) ProbeSplit() string {
	if c.Probe.Split != "" {
		return c.Probe.Split
	}
	return c.Eval.Split
}

// TrainConfig returns the loop's own configuration for a set of clips.
func (c *Config) TrainConfig(clips int) train.Config {
	t := c.Train
	perEpoch := max(1, loader.StepsPerEpoch(clips, max(1, t.BatchSize)))
	steps, every := t.Steps, t.CheckpointEvery
	if steps == 0 {
		steps = t.Epochs * perEpoch
	}
	if every == 0 {
		every = perEpoch
	}
	out := train.Config{
		Seed: uint64(c.Seed), BatchSize: t.BatchSize, Balanced: c.Data.Sampling == SamplingBalanced,
		Schedule: optim.Schedule{Base: t.LR, Start: t.WarmupStart, Min: t.MinLR,
			Warmup: int(math.Round(t.Warmup * float64(steps))), Steps: steps},
		Optim: optim.Config{Beta1: t.Beta1, Beta2: t.Beta2, Eps: t.Eps,
			WeightDecay: t.WeightDecay, Decay: optim.Decay(t.Decay), Clip: t.Clip},
		Workers: c.Data.Workers, CheckpointEvery: every, Keep: t.Keep, TOML: c.TOML(),
	}
	if c.Data.order() == OrderShards {
		out.Lanes, out.ShuffleBytes = c.lanes(1), int64(c.Data.ShuffleMB)<<20
	}
	return out
}

// compute returns the type of the operands of the encoder's products.
func (c *Config) compute() engine.DType {
	if c.Engine.Precision == PrecisionBF16 {
		return engine.BF16
	}
	return engine.F32
}

// isDevice reports whether name is one of engine.device.
func isDevice(name string) bool {
	if n, ok := strings.CutPrefix(name, "cuda:"); ok {
		i, err := strconv.Atoi(n)
		return err == nil && i >= 0 && i < 1024
	}
	switch name {
	case "", "cpu", "cuda", "auto":
		return true
	}
	return false
}

// Validate reports every value that cannot be used, each with its limit.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("config: "+format, args...))
		}
	}
	oneOf := func(key, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		errs = append(errs, fmt.Errorf("config: %s = %q: want one of %q", key, value, allowed))
	}
	check(c.Seed >= 0, "seed = %d: must not be negative", c.Seed)
	oneOf("engine.name", c.Engine.Name, EngineCPU, EngineTorch)
	oneOf("engine.precision", c.Engine.Precision, PrecisionF32, PrecisionBF16)
	check(isDevice(c.Engine.Device), "engine.device = %q: want cpu, cuda, cuda:N or auto",
		c.Engine.Device)
	check(c.Engine.Name != EngineCPU || !strings.HasPrefix(c.Engine.Device, "cuda"),
		"engine.device = %q: the engine \"cpu\" has no GPU, torch does (engine.name)", c.Engine.Device)
	within := func(key string, n, lo, hi int) {
		check(n >= lo && n <= hi, "%s = %d: outside %d to %d", key, n, lo, hi)
	}
	share := func(key string, x float64) {
		check(x >= 0 && x <= 1, "%s = %g: outside 0 to 1", key, x)
	}
	within("engine.threads", c.Engine.Threads, 0, 1024)
	within("engine.group_timeout", c.Engine.GroupTimeout, 1, 7*24*3600)
	within("data.cache_mb", c.Data.CacheMB, 0, 1<<30)
	within("data.workers", c.Data.Workers, 0, 1024)
	errs = append(errs, c.checkOrder()...)
	if k := c.Mask; !k.Enabled { // else the views say so
		share("mask.drop_p", k.DropP)
		share("mask.tube_area", k.TubeArea)
		within("mask.freq_bands", k.FreqBands, 0, math.MaxInt32)
		within("mask.time_frames", k.TimeFrames, 0, math.MaxInt32)
	}
	oneOf("model.encoder", c.Model.Encoder, "shared", "dual")
	oneOf("model.absent", c.Model.Absent, "zero", "drop")
	// Only bounds that keep sizes from overflowing: the model has its own limits.
	within("model.width", c.Model.Width, 0, 1<<14)
	within("model.depth", c.Model.Depth, 0, 1<<10)
	within("model.heads", c.Model.Heads, 0, 1<<14)
	within("model.mlp_ratio", c.Model.MLPRatio, 1, 64)
	within("projector.hidden", c.Project.Hidden, 1, 1<<16)
	within("projector.out", c.Project.Out, 1, 1<<16)
	within("loss.directions", c.Loss.Directions, 1, 1<<20)
	within("loss.knots", c.Loss.Knots, 1, 1<<12)
	oneOf("loss.invariance", c.Loss.Invariance, "mean", "sum")
	oneOf("loss.sigreg", c.Loss.SIGReg, "per-view", "pooled")
	t := c.Train
	within("train.batch_size", t.BatchSize, 2, 1<<16)
	check(t.Steps > 0 || t.Epochs > 0,
		"train.steps = %d and train.epochs = %d: one must be at least 1", t.Steps, t.Epochs)
	within("train.steps", t.Steps, 0, 1e9)
	within("train.epochs", t.Epochs, 0, 1e6)
	check(t.LR > 0, "train.lr = %g: must be above 0", t.LR)
	check(t.MinLR >= 0 && t.MinLR <= t.LR, "train.min_lr = %g: outside 0 to train.lr", t.MinLR)
	share("train.warmup", t.Warmup)
	share("train.warmup_start", t.WarmupStart)
	within("train.keep", t.Keep, 1, 1e6)
	oneOf("train.recompute", t.Recompute, "none", "blocks")
	within("train.micro_batch", t.MicroBatch, 0, 1<<16)
	oneOf("train.batch_norm", t.BatchNorm, "process", "global")
	within("train.checkpoint_every", t.CheckpointEvery, 0, 1e9)
	p := c.Probe
	check(p.LR > 0, "probe.lr = %g: must be above 0", p.LR)
	check(!p.Online || p.LR >= t.MinLR, "probe.lr = %g: below train.min_lr = %g, to which it falls",
		p.LR, t.MinLR)
	within("probe.every", p.Every, 0, 1e9)
	within("probe.clips", p.Clips, 0, 1e9)
	check(!p.Online || !p.Attentive || t.MicroBatch == 0, "train.micro_batch = %d: the attentive probe "+
		"needs the tokens of all clips at once: set probe.attentive = false, or train.micro_batch = 0 "+
		"and save memory by train.recompute = \"blocks\"", t.MicroBatch)
	within("eval.samples", c.Eval.Samples, 0, 256)
	within("eval.windows", c.Eval.Windows, 1, 64)
	oneOf("eval.embedding", c.Eval.Embedding, "projected", "cls", "patches")

	errs = append(errs, c.checkFinetune()...)

	errs = append(errs, c.ViewConfig().Validate())
	model, err := c.JEPAConfig()
	errs = append(errs, err, model.Validate())
	errs = append(errs, c.TrainConfig(0).Optim.Validate())
	return errors.Join(errs...)
}
