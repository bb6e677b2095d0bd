package main

import (
	"errors"
	"fmt"

	"avjepa/internal/jepa"
	"avjepa/internal/train"
)

// startFrom sets the values of a model from the run or checkpoint at path, none if it
// is empty, and says what did not go in as it was. A run that has a checkpoint of its
// own goes on from that.
func startFrom(path string, run *train.Folder, model *jepa.Model, p *progress) error {
	if path == "" {
		return nil
	}
	if _, err := train.Latest(run.Dir); !errors.Is(err, train.ErrNoCheckpoint) {
		return err
	}
	from, err := openRun(path)
	if err != nil {
		return fmt.Errorf("train.init: %w", err)
	}
	fit, err := train.LoadFitting(from.file, model)
	if err != nil {
		return kind{fmt.Errorf("train.init: %s: %w: it needs the same model.encoder, size, width and "+
			"depth (avjepa config show)", from.path, err), errCheckpoint}
	}
	p.say("weights of %s, step %d", from.path, from.state.Step)
	p.sayFit(fit)
	return nil
}

// sayFit tells what of a checkpoint did not go into a model as it was.
func (p *progress) sayFit(fit jepa.Fit) {
	for _, what := range fit.Interpolated {
		p.say("interpolated: %s", what)
	}
	for _, what := range fit.Left {
		p.say("left at its initial values: %s", what)
	}
}
