package train

import (
	"errors"
	"os"
)

// save sees to it that there is a checkpoint of the present step. On an error in one
// process all return one.
func (t *trainer) save() error {
	if t.saved == t.step || t.step == 0 {
		return nil
	}
	if t.group == nil {
		return t.write()
	}
	if t.leads() && t.pending == nil {
		t.pending = t.write()
	}
	if _, err := t.meet(message{}); err != nil {
		return err
	}
	t.saved = t.step
	return nil
}

// write writes a checkpoint of the present step.
func (t *trainer) write() error {
	state := State{Step: t.step, Seed: t.cfg.Seed, Config: t.cfg.TOML, Data: t.data}
	if t.probes != nil {
		state.Probes = t.probes.state()
	}
	w := newWriter(state)
	w.add(t.model.Params.Stored())
	w.add(t.opt.Stored())
	if t.probes != nil {
		w.add(t.probes.stored())
	}
	if err := w.write(checkpointName(t.dir, t.step)); err != nil {
		return err
	}
	t.saved = t.step
	if err := t.run.prune(t.cfg.Keep); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
