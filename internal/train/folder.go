// Package train runs pretraining: the loop over steps, its log, its
// checkpoints, and resuming from them bit for bit.
//
//	run, err := train.Open("runs/mine")
//	defer run.Close()
//	result, err := train.Pretrain(ctx, run, engine, model, clips, cfg, observe)
//
// A run folder holds config.toml, metrics.jsonl and checkpoints/step-00000100.safetensors;
// the commands put their summaries and report.html beside them.
package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"avjepa/internal/durable"
)

// Folder is a run folder that this process holds the lock of.
type Folder struct {
	Dir    string
	unlock func()
}

// Open makes the folder if needed and takes its lock; the error is
// durable.ErrLocked when another process trains in it.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, "checkpoints"), 0o755); err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(filepath.Join(dir, ".lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("train: run folder %w: choose another --name, or wait for it", err)
	}
	if err != nil {
		return nil, err
	}
	return &Folder{Dir: dir, unlock: unlock}, nil
}

// Close gives the lock back.
func (f *Folder) Close() { f.unlock() }

// Write writes a file of the folder whole or not at all.
func (f *Folder) Write(name string, text []byte) error {
	return durable.WriteFile(filepath.Join(f.Dir, name), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// WriteJSON writes a value as indented JSON.
func (f *Folder) WriteJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return f.Write(name, append(text, '\n'))
}

// Checkpoint returns the path of the folder's checkpoint after the given step.
func (f *Folder) Checkpoint(step int) string { return checkpointName(f.Dir, step) }

// checkpointName returns the path of a run's checkpoint after the given step.
func checkpointName(dir string, step int) string {
	return filepath.Join(dir, "checkpoints", fmt.Sprintf("step-%08d.safetensors", step))
}

// Checkpoints returns the paths of a run's checkpoints, oldest first.
func Checkpoints(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "checkpoints"))
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "step-") && strings.HasSuffix(e.Name(), ".safetensors") {
			paths = append(paths, filepath.Join(dir, "checkpoints", e.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// ErrNoCheckpoint is behind the error for a run without a checkpoint.
var ErrNoCheckpoint = errors.New("no checkpoint")

// Latest returns the newest checkpoint of a run.
func Latest(dir string) (string, error) {
	paths, err := Checkpoints(dir)
	if err != nil {
		return "", fmt.Errorf("train: %s is not a run folder: %w", dir, err)
	}
	if len(paths) == 0 {
		return "", fmt.Errorf("train: %w in %s: the run has not saved one yet", ErrNoCheckpoint, dir)
	}
	return paths[len(paths)-1], nil
}

// BestName is the checkpoint of a run's best epoch, where a run knows which that is.
const BestName = "best.safetensors"

// Chosen returns the checkpoint that a run is used by: that of its best epoch, where it
// knows one, else the newest. Errors are those of Latest.
func Chosen(dir string) (string, error) {
	best := filepath.Join(dir, BestName)
	if _, err := os.Stat(best); err == nil {
		return best, nil
	}
	return Latest(dir)
}

// removeTemporary removes what writes that a kill cut short have left.
func (f *Folder) removeTemporary() error {
	return errors.Join(durable.RemoveTemporary(f.Dir),
		durable.RemoveTemporary(filepath.Join(f.Dir, "checkpoints")))
}

// prune removes all but the newest keep checkpoints.
func (f *Folder) prune(keep int) error {
	paths, err := Checkpoints(f.Dir)
	if err != nil {
		return err
	}
	for len(paths) > max(keep, 1) {
		if err := os.Remove(paths[0]); err != nil {
			return err
		}
		paths = paths[1:]
	}
	return nil
}
