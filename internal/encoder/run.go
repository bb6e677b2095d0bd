package encoder

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/jepa"
	"avjepa/internal/train"
)

// Errors of what is opened.
var (
	ErrCheckpoint = errors.New("no usable checkpoint")
	ErrConfig     = errors.New("configuration cannot be used")
)

// Run is a trained model as a checkpoint holds it.
type Run struct {
	Path   string // of the checkpoint
	Config *config.Config
	State  train.State
	File   *checkpoint.File
}

// Read reads the checkpoint that a run folder is used by (train.Chosen), or a checkpoint
// file. Errors are ErrCheckpoint, ErrConfig, those of train.Chosen, or the file system's.
func Read(path string) (*Run, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("no run or checkpoint at %s: %w", path, err)
	}
	if info.IsDir() {
		if path, err = train.Chosen(path); err != nil {
			return nil, err
		}
	}
	state, file, err := train.ReadState(path)
	if err != nil {
		return nil, marked{err, ErrCheckpoint}
	}
	cfg := config.New()
	if err := cfg.ApplyText(state.Config, "checkpoint "+path); err != nil {
		return nil, marked{err, ErrConfig}
	}
	if err := cfg.Validate(); err != nil {
		return nil, marked{err, ErrConfig}
	}
	return &Run{Path: path, Config: cfg, State: state, File: file}, nil
}

// Model returns the run's model, made to embed views views at once, and what of its
// values was fitted to another geometry (Config may have been changed after Read).
func (r *Run) Model(e engine.Engine, views int) (*jepa.Model, jepa.Fit, error) {
	cfg, err := r.Config.JEPAConfig()
	if err != nil {
		return nil, jepa.Fit{}, marked{err, ErrConfig}
	}
	// The configuration comes with the file: it may not make us allocate more, but for
	// the positions of a larger geometry.
	plan, err := jepa.PlanEmbedding(cfg, views)
	if err != nil {
		return nil, jepa.Fit{}, err
	}
	if plan.Values/2 > r.File.Size() {
		return nil, jepa.Fit{}, marked{fmt.Errorf("%s holds %d bytes, the model it describes "+
			"has %d: it is damaged or no run's checkpoint", r.Path, r.File.Size(), plan.Values),
			ErrCheckpoint}
	}
	model, err := jepa.NewUnset(e, cfg, views)
	if err != nil {
		return nil, jepa.Fit{}, err
	}
	fit, err := train.LoadFitting(r.File, model)
	if err == nil && len(fit.Left) > 0 {
		err = fmt.Errorf("%s lacks values to embed with: %s", r.Path, strings.Join(fit.Left, "; "))
	}
	if err != nil {
		model.Free()
		return nil, fit, marked{err, ErrCheckpoint}
	}
	return model, fit, nil
}

// marked adds a sentinel to an error without changing its text.
type marked struct {
	error
	mark error
}

func (m marked) Unwrap() []error { return []error{m.error, m.mark} }
