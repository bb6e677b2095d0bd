package train

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"avjepa/internal/checkpoint"
	"avjepa/internal/jepa"
	"avjepa/internal/nn"
	"avjepa/internal/optim"
	"avjepa/internal/tensor"
)

// State is what a checkpoint says beside the numbers.
type State struct {
	Step   int    // steps taken
	Seed   uint64 // of the run
	Config string // the run's config.toml
	Data   string // fingerprint of the clips trained on

	Probes *ProbeState // of the online probes; nil without

	// Classes are the names of the classes of the heads that came with an imported
	// model, in the order of their rows; nil for none.
	Classes []string

	// Progress is what a run notes beside step and numbers, to go on from; "" for none.
	Progress string
}

// ProbeState is what a checkpoint says of the online probes that it holds. They are not
// part of the model: whoever only embeds passes over them.
type ProbeState struct {
	Taken   int    // steps
	Classes string // fingerprint
}

// ErrMismatch is behind the error for a checkpoint that belongs to another
// model or another data set.
var ErrMismatch = errors.New("checkpoint does not fit")

// format names the layout of our checkpoints.
const format = "avjepa-1"

// Save writes a checkpoint: parameters and running statistics by name, both
// moments, and the state. opt may be nil: then the file can be used, not resumed.
// Values that are not finite are not saved: the error is ErrNotFinite.
func Save(path string, model *jepa.Model, opt *optim.AdamW, s State) error {
	w := newWriter(s)
	w.add(model.Params.Stored())
	if opt != nil {
		w.add(opt.Stored())
	}
	return w.write(path)
}

// SaveStored writes a checkpoint of what is stored under these names, as Save does.
func SaveStored(path string, all []nn.Stored, s State) error {
	w := newWriter(s)
	w.add(slices.Clone(all))
	return w.write(path)
}

// SaveArrays writes a checkpoint of values on the host, as Save does without
// moments.
func SaveArrays(path string, arrays map[string]tensor.Array, s State) error {
	var all []nn.Stored
	for name, a := range arrays {
		all = append(all, nn.Stored{Name: name, Shape: a.Shape,
			Read: func(dst []float32) { copy(dst, a.Data) }})
	}
	w := newWriter(s)
	w.add(all)
	return w.write(path)
}

// writer is a checkpoint to be.
type writer struct {
	*checkpoint.Writer
	step int
}

func newWriter(s State) writer {
	meta := map[string]string{
		"format": format, "step": strconv.Itoa(s.Step), "seed": strconv.FormatUint(s.Seed, 10),
		"config": s.Config, "data": s.Data,
	}
	if len(s.Classes) > 0 {
		text, _ := json.Marshal(s.Classes) // of strings: it cannot fail
		meta["classes"] = string(text)
	}
	if p := s.Probes; p != nil {
		meta["probe_steps"], meta["probe_classes"] = strconv.Itoa(p.Taken), p.Classes
	}
	if s.Progress != "" {
		meta["progress"] = s.Progress
	}
	return writer{checkpoint.New(meta), s.Step}
}

// add adds arrays in the order of their names, so that equal states give equal files.
func (w writer) add(all []nn.Stored) {
	slices.SortFunc(all, func(a, b nn.Stored) int { return cmp.Compare(a.Name, b.Name) })
	for _, x := range all {
		w.AddRead(x.Name, x.Shape.Dims(), func(dst []float32) error {
			if x.Read(dst); !finite(dst) {
				return fmt.Errorf("train: %w after step %d: %s is not finite, so no checkpoint "+
					"was written", ErrNotFinite, w.step, x.Name)
			}
			return nil
		})
	}
}

func (w writer) write(path string) error {
	err := w.WriteFile(path)
	if err != nil && !errors.Is(err, ErrNotFinite) {
		return fmt.Errorf("train: checkpoint: %w", err)
	}
	return err
}

// finite reports whether x has neither NaN nor infinities.
func finite(x []float32) bool {
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// ReadState returns the state of a checkpoint and the open file.
func ReadState(path string) (State, *checkpoint.File, error) {
	f, err := checkpoint.Read(path)
	if err != nil {
		return State{}, nil, err
	}
	s, err := StateOf(path, f.Metadata)
	if err != nil {
		return State{}, nil, err
	}
	return s, f, nil
}

// StateOf returns the state that a checkpoint's metadata tell; path is for errors.
func StateOf(path string, metadata map[string]string) (s State, err error) {
	if metadata["format"] != format {
		return State{}, fmt.Errorf("train: %s is not a checkpoint of avjepa: its format is "+
			"%q, not %q", path, metadata["format"], format)
	}
	s = State{Config: metadata["config"], Data: metadata["data"],
		Progress: metadata["progress"]}
	if s.Step, err = strconv.Atoi(metadata["step"]); err != nil || s.Step < 0 {
		return State{}, fmt.Errorf("train: %s: step %q", path, metadata["step"])
	}
	if s.Seed, err = strconv.ParseUint(metadata["seed"], 10, 64); err != nil {
		return State{}, fmt.Errorf("train: %s: seed %q", path, metadata["seed"])
	}
	if text := metadata["probe_steps"]; text != "" {
		s.Probes = &ProbeState{Classes: metadata["probe_classes"]}
		if s.Probes.Taken, err = strconv.Atoi(text); err != nil || s.Probes.Taken < 0 {
			return State{}, fmt.Errorf("train: %s: steps of probes %q", path, text)
		}
	}
	if text := metadata["classes"]; text != "" {
		if err := json.Unmarshal([]byte(text), &s.Classes); err != nil {
			return State{}, fmt.Errorf("train: %s: names of classes: %w", path, err)
		}
	}
	return s, nil
}

// Load sets a model's values, and those of opt unless it is nil, from an open
// checkpoint. On an error, which is ErrMismatch and lists what does not fit,
// the model is unchanged.
func Load(f *checkpoint.File, model *jepa.Model, opt *optim.AdamW, step int) error {
	arrays, err := Arrays(f)
	if err != nil {
		return err
	}
	var moments error
	if opt != nil {
		moments = opt.Fits(arrays)
	}
	if moments == nil || !sameShapes(arrays, model) {
		if err := model.Params.Import(arrays); err != nil {
			return fmt.Errorf("train: %w: the model differs from the checkpoint's:\n%w",
				ErrMismatch, err)
		}
	}
	if moments != nil {
		return fmt.Errorf("train: %w: no moments to resume from: %w", ErrMismatch, moments)
	}
	if opt == nil {
		return nil
	}
	return opt.Import(arrays, step)
}

// LoadFitting sets a model's values from an open checkpoint of a model that may see
// views of another geometry, and says what was interpolated or left as it was. On an
// error, which is ErrMismatch, the model is unchanged.
func LoadFitting(f *checkpoint.File, model *jepa.Model) (jepa.Fit, error) {
	arrays, err := Arrays(f)
	if err != nil {
		return jepa.Fit{}, err
	}
	fit, err := model.ImportFitting(arrays)
	if err != nil {
		return fit, fmt.Errorf("train: %w: %w", ErrMismatch, err)
	}
	return fit, nil
}

// Arrays reads all of a checkpoint. The error is ErrMismatch.
func Arrays(f *checkpoint.File) (map[string]tensor.Array, error) {
	arrays := map[string]tensor.Array{}
	for _, n := range f.Names() {
		a, err := f.Float32(n)
		if err != nil {
			return nil, fmt.Errorf("train: %w: %w", ErrMismatch, err)
		}
		arrays[n] = a
	}
	return arrays, nil
}

// sameShapes reports whether every parameter is there in the model's shape.
func sameShapes(arrays map[string]tensor.Array, model *jepa.Model) bool {
	for _, p := range model.Params.List() {
		if a, ok := arrays[p.Name]; !ok || a.Shape != p.Shape {
			return false
		}
	}
	return true
}
