package jepa

import (
	"errors"
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/sigreg"
	"avjepa/internal/vit"
)

// Config describes a model and its objective.
type Config struct {
	Encoder          vit.Config // both modalities'; with Dual of each, whose share it takes
	Hidden           int        // width of the projector's two hidden layers
	Proj             int        // K, dimensions of a projection
	ProjectorInitStd float64    // 0: PyTorch's default, uniform within ±1/√fan-in

	// Dual gives each modality an encoder of its own, where else one takes both: the
	// paper's ablation. See Tower for what that changes in the objective.
	Dual bool

	Globals, Locals int  // views per clip
	LocalsBoth      bool // locals have both modalities, not one by turns

	// KeepTokens makes the patch tokens of the last block in a step, for an
	// attentive online probe, where else only the CLS is made.
	KeepTokens bool

	// Compute is the type of the operands of the encoder's products and attention:
	// F32, or BF16 where the engine has it. Parameters, gradients, the residual
	// stream, statistics, projector and losses are F32 either way.
	Compute engine.DType

	// Recompute keeps of every block its input alone and runs the block again in
	// backward: the same gradients bit for bit, from less memory.
	Recompute bool

	// MicroBatch is the most clips that the encoder takes at once, 0 for all. The
	// gradients are those of the whole batch, to rounding: see Model.Step.
	MicroBatch int

	// GlobalNorm makes the projector's BatchNorm use the moments of the rows of all
	// processes that train together, where else each uses those of its own.
	GlobalNorm bool

	Lambda       float64 // share of SIGReg
	Sum          bool    // invariance sums over dimensions, as the paper's formula does
	Directions   int
	Knots        engine.Knots
	PooledSIGReg bool // one test over the rows of all views
}

// Default is the paper's model.
func Default() Config {
	return Config{Encoder: vit.Default(), Hidden: 2048, Proj: 128, Globals: 2, Locals: 2,
		Lambda: 0.05, Directions: 2048, Knots: sigreg.DefaultKnots}
}

// Validate returns every fault of the configuration, joined.
func (c Config) Validate() error {
	errs := []error{c.Encoder.Validate(), c.sigreg().Validate()}
	if c.Encoder.Modality != vit.Both {
		errs = append(errs, errors.New("jepa: the encoder is described for both modalities: "+
			"with Dual each takes its share"))
	}
	positive := func(what string, n int) {
		if n < 1 {
			errs = append(errs, fmt.Errorf("jepa: %s %d must be at least 1", what, n))
		}
	}
	positive("projector width", c.Hidden)
	positive("projection dimension", c.Proj)
	positive("number of global views", c.Globals)
	if c.Compute != engine.F32 && c.Compute != engine.BF16 {
		errs = append(errs, fmt.Errorf("jepa: products of %v, want %v or %v", c.Compute, engine.F32,
			engine.BF16))
	}
	if c.Locals < 0 {
		errs = append(errs, fmt.Errorf("jepa: %d local views, must not be negative", c.Locals))
	}
	if c.Views() < 2 {
		errs = append(errs, fmt.Errorf("jepa: %d view per clip, at least 2 needed", c.Views()))
	}
	if !(c.Lambda >= 0 && c.Lambda <= 1) {
		errs = append(errs, fmt.Errorf("jepa: lambda %g is not in [0, 1]", c.Lambda))
	}
	if c.MicroBatch < 0 {
		errs = append(errs, fmt.Errorf("jepa: micro-batch of %d clips, must not be negative: "+
			"0 takes all at once", c.MicroBatch))
	}
	if c.MicroBatch > 0 && c.KeepTokens {
		errs = append(errs, fmt.Errorf("jepa: tokens cannot be kept with a micro-batch of %d "+
			"clips, of which no pass has all: set it to 0, or recompute to save memory",
			c.MicroBatch))
	}
	if !(c.ProjectorInitStd >= 0) {
		errs = append(errs, fmt.Errorf("jepa: projector's initial deviation %g is negative",
			c.ProjectorInitStd))
	}
	return errors.Join(errs...)
}

// Views returns the views per clip.
func (c Config) Views() int { return c.Globals + c.Locals }

// Tokens returns the tokens of a view with both modalities, over all encoders: with
// Dual each has a CLS.
func (c Config) Tokens() int {
	if c.Dual {
		return c.Encoder.Tokens() + 1
	}
	return c.Encoder.Tokens()
}

// AudioLocals returns the number of local views that have audio only: those of
// even index.
func (c Config) AudioLocals() int {
	if c.LocalsBoth {
		return 0
	}
	return (c.Locals + 1) / 2
}

// VideoLocals returns the number of local views that have video only.
func (c Config) VideoLocals() int {
	if c.LocalsBoth {
		return 0
	}
	return c.Locals / 2
}

func (c Config) sigreg() sigreg.Config {
	return sigreg.Config{Directions: c.Directions, Knots: c.Knots, Pooled: c.PooledSIGReg}
}
