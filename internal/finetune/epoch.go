package finetune

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"avjepa/internal/checkpoint"
	"avjepa/internal/durable"
	"avjepa/internal/tensor"
	"avjepa/internal/train"
)

// progress is what a checkpoint notes of a run beside its numbers.
type progress struct {
	Epochs int          `json:"epochs"` // judged
	Best   EpochMetrics `json:"best"`   // of them
	Score  float64      `json:"score"`  // of the best, by what chooses
	Last   EpochMetrics `json:"last"`

	Steps int    `json:"steps"` // of the epoch in progress, whose losses are summed
	Sum   Losses `json:"sum"`

	skipped map[string]error // validation clips
}

func (p *progress) add(l Losses) {
	p.Steps++
	p.Sum.add(l, 1)
}

// endEpoch judges the network, keeps it when it is the best so far, and saves.
func (t *trainer) endEpoch(ctx context.Context) error {
	scores, err := t.judge(ctx)
	if err != nil {
		return err
	}
	p := &t.progress
	n := max(float64(p.Steps), 1)
	m := EpochMetrics{Epoch: t.step / t.perEpoch, Step: t.step, Loss: p.Sum.Total() / n,
		Linear: p.Sum.Linear / n, Attentive: p.Sum.Attentive / n, LR: t.headLR.At(t.step - 1)}
	truth := NewTruth(t.data.Labels, t.data.Val.Set, scores.Clips)
	m.Scores = truth.quick(scores)
	score := t.chosen(m.Scores)
	m.Best = p.Best.Epoch == 0 || score > p.Score
	if m.Best {
		if err := t.saveBest(); err != nil {
			return err
		}
		p.Best, p.Score = m, score
	}
	p.Last = m
	p.Epochs, p.Steps, p.Sum, p.skipped = m.Epoch, 0, Losses{}, scores.Skipped
	t.dirty = true
	if err := appendLine(t.epochs, m); err != nil {
		return err
	}
	if err := t.save(); err != nil {
		return err
	}
	if t.see.Epoch != nil {
		t.see.Epoch(m)
	}
	return nil
}

// judge scores the validation clips.
func (t *trainer) judge(ctx context.Context) (*Scores, error) {
	if t.val != nil {
		return t.val.score(ctx)
	}
	of := t.data.Val.Set.Len()
	return t.net.Score(ctx, t.data.Val, ScoreConfig{Windows: t.cfg.Windows, Workers: t.cfg.Workers,
		Modalities: Inputs(t.cfg.Modality)}, func(n int) { t.work("validation", n, of) })
}

// chosen returns what an epoch is known by: of the first input and the head that
// chooses the top-1, or with several labels a clip the mAP.
func (t *trainer) chosen(all []Score) float64 {
	for _, s := range all {
		if s.Head == t.cfg.Select {
			for _, x := range []*float64{s.Top1, s.MAP} {
				if x != nil {
					return *x
				}
			}
		}
	}
	return -1
}

// state is what both kinds of checkpoints say.
func (t *trainer) state() train.State {
	return train.State{Step: t.step, Seed: t.cfg.Seed, Config: t.cfg.TOML, Data: t.fingerprint,
		Classes: t.data.Labels.Classes}
}

// saveBest writes encoder and heads.
func (t *trainer) saveBest() error {
	all := append(t.net.Stored(), t.data.Beside...)
	return train.SaveStored(filepath.Join(t.folder.Dir, train.BestName), all, t.state())
}

// save writes a checkpoint of the present step, unless there is one, and removes the
// older ones. Of a frozen encoder there is nothing in it: that of the run it came from
// has not changed.
func (t *trainer) save() error {
	if !t.dirty {
		return nil
	}
	s := t.state()
	text, err := json.Marshal(t.progress)
	if err != nil {
		return fmt.Errorf("finetune: %w", err)
	}
	s.Progress = string(text)
	all := append(t.net.Heads.Stored(), t.head.Stored()...)
	if t.backbone != nil {
		all = append(append(all, t.net.Backbone.Stored()...), t.backbone.Stored()...)
	}
	if err := train.SaveStored(t.folder.Checkpoint(t.step), all, s); err != nil {
		return err
	}
	t.saved, t.dirty = t.step, false
	paths, err := train.Checkpoints(t.folder.Dir)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if p != t.folder.Checkpoint(t.step) {
			if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// resume loads the newest checkpoint, or refuses to write over one.
func (t *trainer) resume() error {
	if err := cmp.Or(durable.RemoveTemporary(t.folder.Dir),
		durable.RemoveTemporary(filepath.Join(t.folder.Dir, "checkpoints"))); err != nil {
		return err
	}
	path, err := train.Latest(t.folder.Dir)
	if errors.Is(err, train.ErrNoCheckpoint) {
		return nil
	}
	if err != nil {
		return err
	}
	if !t.cfg.Resume {
		return fmt.Errorf("finetune: %w: %s: continue it with --resume, or choose another --name",
			train.ErrHasRun, path)
	}
	s, f, err := train.ReadState(path)
	if errors.Is(err, checkpoint.ErrFormat) {
		return fmt.Errorf("finetune: %w: %w: remove it to begin again", train.ErrMismatch, err)
	}
	if err != nil {
		return err
	}
	if s.Data != t.fingerprint || s.Seed != t.cfg.Seed || s.Step > t.steps {
		return fmt.Errorf("finetune: %w: %s was made with other clips, labels, batches, epochs or seed "+
			"(%s, step %d, seed %d; now %s, %d steps, seed %d): resume with those, or choose another --name",
			train.ErrMismatch, path, s.Data, s.Step, s.Seed, t.fingerprint, t.steps, t.cfg.Seed)
	}
	if err := json.Unmarshal([]byte(s.Progress), &t.progress); err != nil {
		return fmt.Errorf("finetune: %w: %s: progress: %w", train.ErrMismatch, path, err)
	}
	arrays, err := train.Arrays(f)
	if err == nil {
		err = t.load(arrays, s.Step)
	}
	if err != nil {
		return fmt.Errorf("finetune: %w: %s: %w", train.ErrMismatch, path, err)
	}
	t.step, t.saved = s.Step, s.Step
	return nil
}

// load sets all that is trained, and the moments.
func (t *trainer) load(arrays map[string]tensor.Array, step int) error {
	if err := t.net.ImportHeads(arrays); err != nil {
		return err
	}
	if err := t.head.Import(arrays, step); err != nil {
		return err
	}
	if t.backbone == nil {
		return nil
	}
	if err := t.net.Backbone.Import(arrays); err != nil {
		return err
	}
	return t.backbone.Import(arrays, step)
}

// openLogs writes the configuration and opens the logs.
func (t *trainer) openLogs() (err error) {
	if t.cfg.TOML != "" { // only now: a refused run keeps its own
		if err := t.folder.Write("config.toml", []byte(t.cfg.TOML)); err != nil {
			return err
		}
	}
	t.log, err = openLog(t.folder, stepsName, func(line []byte) bool {
		var m StepMetrics
		return json.Unmarshal(line, &m) == nil && m.Step <= t.step
	})
	if err != nil {
		return err
	}
	t.epochs, err = openLog(t.folder, epochsName, func(line []byte) bool {
		var m EpochMetrics
		return json.Unmarshal(line, &m) == nil && m.Epoch <= t.progress.Epochs
	})
	return err
}
