package finetune

import (
	"errors"
	"fmt"

	"avjepa/internal/loader"
	"avjepa/internal/optim"
	"avjepa/internal/vit"
)

// Config says how a run is trained.
type Config struct {
	Seed      uint64
	BatchSize int // clips of a step
	Epochs    int

	Head, Backbone optim.Schedule // Steps and Warmup are set by Train, from WarmupShare
	WarmupShare    float64        // of the steps
	HeadOptim      optim.Config   // Clip bounds one norm over all that is trained
	BackboneOptim  optim.Config

	Smoothing float64 // of a cross-entropy's targets
	PosWeight bool    // weigh positives of a binary cross-entropy by PosWeights
	Augment   Augment
	Balanced  bool // draw clips by loader.Balanced

	// EvalViews shows every clip's evaluation view, the same in all epochs, in place
	// of views that are drawn.
	EvalViews bool

	Modality vit.Modality
	Windows  int    // of a validation clip
	Select   string // head by which the best epoch is known: attentive or linear

	// KeepBytes and SpillBytes bound the features that a frozen encoder's run keeps, in
	// memory and else in a file: above both they are made in every epoch anew. The
	// results are the same.
	KeepBytes, SpillBytes int64

	Workers   int
	Resume    bool
	TOML      string // the resolved configuration
	StopAfter int    // steps of this process, 0 for no bound; for tests of resuming
}

// Heads by which an epoch is chosen.
const (
	SelectAttentive = "attentive"
	SelectLinear    = "linear"
)

// validate returns every fault of the configuration for a network, joined.
func (c *Config) validate(n *Network) error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("finetune: "+format, args...))
		}
	}
	bad(c.BatchSize >= 2, "batch of %d clips, at least 2 needed", c.BatchSize)
	bad(c.Epochs >= 1, "%d epochs, at least 1 needed", c.Epochs)
	bad(c.Smoothing >= 0 && c.Smoothing < 1, "label smoothing %g is not in [0, 1)", c.Smoothing)
	bad(c.Augment.Mixup >= 0 && c.Augment.Mixup <= 1, "mixup %g is not in [0, 1]", c.Augment.Mixup)
	bad(c.Augment.Mixup == 0 || c.Augment.MixupAlpha > 0, "mixup alpha %g must be above 0",
		c.Augment.MixupAlpha)
	bad(c.Augment.FreqBands >= 0 && c.Augment.TimeFrames >= 0,
		"masks of %d bands and %d frames, must not be negative", c.Augment.FreqBands,
		c.Augment.TimeFrames)
	bad(c.Select == SelectLinear || c.Select == SelectAttentive && n.Attentive,
		"the best epoch is chosen by head %q, which is not trained", c.Select)
	errs = append(errs, c.HeadOptim.Validate(), c.BackboneOptim.Validate())
	return errors.Join(errs...)
}

// schedules returns those of heads and encoder for a number of steps.
func (c *Config) schedules(steps int) (head, backbone optim.Schedule) {
	head, backbone = c.Head, c.Backbone
	for _, s := range []*optim.Schedule{&head, &backbone} {
		s.Steps, s.Warmup = steps, int(c.WarmupShare*float64(steps)+.5)
		s.Min = min(s.Min, s.Base)
	}
	return head, backbone
}

// StepsPerEpoch returns the steps of an epoch of so many clips.
func (c *Config) StepsPerEpoch(clips int) int { return loader.StepsPerEpoch(clips, c.BatchSize) }

// Keeps reports whether a run keeps features where there is room: when a clip's are the
// same in every epoch.
func (c *Config) Keeps(m Model) bool {
	return m.Frozen && c.EvalViews && c.Augment.none() && c.Windows == 1
}

// KeepWhere returns where features of so many bytes are kept: KeptMemory, KeptFile or
// KeptNot.
func (c *Config) KeepWhere(bytes int64) string {
	switch {
	case bytes <= c.KeepBytes:
		return KeptMemory
	case bytes <= c.SpillBytes:
		return KeptFile
	}
	return KeptNot
}
