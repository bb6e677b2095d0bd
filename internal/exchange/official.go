package exchange

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"avjepa/internal/jepa"
	"avjepa/internal/tensor"
	"avjepa/internal/torchfile"
)

// Assume is what a caller knows that the file may not say.
type Assume struct {
	Heads int // of attention; 0 takes the file's, else width ÷ 64
}

// Official is a model as a file of PyTorch holds it.
type Official struct {
	Kind   string                  // "Lightning 2.6.0", "state dict", "avjepa"
	Step   int                     // optimiser steps, 0 if the file does not say
	Seed   uint64                  // of an avjepa run
	Arrays map[string]tensor.Array // by our names, heads included

	// Config is the config.toml of the run where avjepa wrote the file, else "": then
	// Settings has the keys that the file tells, in the order of their telling.
	Config   string
	Settings []Setting
	Classes  []string // names of the heads' classes, if avjepa wrote them

	Heads   []string // arrays that belong to classifiers
	Skipped []string // what the file has besides, tensors and others
	Notes   []string // what was assumed, and what is not as it was
}

// Setting is a key of the configuration with its value as text.
type Setting struct{ Key, Value string }

// headPrefixes begin the names of the published code's classifiers: online probes,
// and the heads of fine-tuning.
var headPrefixes = []string{"probe_norm.", "probe_head.", "att_probe.", "norm.", "head."}

func isHead(name string) bool {
	return slices.ContainsFunc(headPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Read reads a checkpoint of the published code, or a state dict, written by
// torch.save. Errors are torchfile.ErrFormat, torchfile.ErrRefused, ErrDual and
// ErrForeign.
func Read(path string, a Assume) (*Official, error) {
	f, err := torchfile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := read(f, a)
	if err != nil {
		return nil, fmt.Errorf("exchange: %s: %w", path, err)
	}
	return m, nil
}

func read(f *torchfile.File, a Assume) (*Official, error) {
	root, ok := f.Root.(*torchfile.Dict)
	if !ok {
		return nil, fmt.Errorf("%w: it holds no dict of tensors", ErrForeign)
	}
	m := &Official{Kind: "state dict", Arrays: map[string]tensor.Array{}}
	weights, hyper := root, (*torchfile.Dict)(nil)
	if state := root.Dict("state_dict"); state != nil {
		weights, hyper = state, root.Dict("hyper_parameters")
		m.lightning(root)
	}
	tensors, err := m.rename(weights)
	if err != nil {
		return nil, err
	}
	if dual, _ := hyper.Get("dual_encoder").(bool); dual || isDual(tensors) {
		return nil, ErrDual
	}
	if err := m.load(f, tensors); err != nil {
		return nil, err
	}
	own, err := readOwn(f)
	if err != nil {
		return nil, err
	}
	if own != nil {
		m.Kind, m.Step, m.Seed, m.Config, m.Classes = "avjepa", own.Step, own.Seed, own.Config, own.Classes
		return m, nil
	}
	return m, m.describe(hyper, a)
}

// lightning notes what a checkpoint of Lightning has beside the weights.
func (m *Official) lightning(root *torchfile.Dict) {
	version, _ := root.Get("pytorch-lightning_version").(string)
	m.Kind = "Lightning"
	if len(version) <= 20 && plain(version) {
		m.Kind += " " + version
	}
	if n, ok := root.Int("global_step"); ok && n >= 0 && n <= 1e12 {
		m.Step = int(n)
	}
	used := []string{"state_dict", "hyper_parameters", "global_step", "pytorch-lightning_version",
		"hparams_name"}
	for _, it := range root.Items {
		key, ok := it.Key.(string)
		if ok && !slices.Contains(used, key) {
			m.Skipped = append(m.Skipped, fmt.Sprintf("%s (%s)", shown(key), summary(it.Value)))
		}
	}
}

// shown is a name of the file as it may be printed: in quotes, if it is not plain.
func shown(name string) string {
	if len(name) <= 80 && plain(name) {
		return name
	}
	return fmt.Sprintf("%.80q", name)
}

// plain reports whether a name is made of what names of parameters are made of.
func plain(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("_.-", r) && (r > 'z' || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
}

// summary says what a value is, in a few words.
func summary(v any) string {
	switch v := v.(type) {
	case *torchfile.List:
		return fmt.Sprintf("list of %d", len(v.Items))
	case *torchfile.Tuple:
		return fmt.Sprintf("tuple of %d", len(v.Items))
	case *torchfile.Dict:
		return fmt.Sprintf("dict of %d", len(v.Items))
	case *torchfile.Tensor:
		return fmt.Sprintf("tensor %v", v.Shape)
	case string:
		return fmt.Sprintf("%.40q", v)
	case torchfile.Opaque:
		return v.Name
	}
	return fmt.Sprint(v)
}

// rename returns the tensors of a state dict by our names.
func (m *Official) rename(weights *torchfile.Dict) (map[string]*torchfile.Tensor, error) {
	tensors := map[string]*torchfile.Tensor{}
	for _, it := range weights.Items {
		key, _ := it.Key.(string)
		t, ok := it.Value.(*torchfile.Tensor)
		if !ok {
			if key != "" {
				m.Skipped = append(m.Skipped, fmt.Sprintf("%s (%s)", shown(key), summary(it.Value)))
			}
			continue
		}
		name := strings.ReplaceAll(strings.TrimPrefix(key, "module."), "_orig_mod.", "")
		if tensors[name] != nil {
			return nil, fmt.Errorf("%w: two tensors are %s", ErrForeign, shown(name))
		}
		tensors[name] = t
	}
	return tensors, nil
}

func isDual(tensors map[string]*torchfile.Tensor) bool {
	for name := range tensors {
		for _, prefix := range []string{"audio_", "video_"} {
			if strings.HasPrefix(name, "encoder."+prefix) {
				return true
			}
		}
	}
	return false
}

// load reads the tensors of encoder, projector and heads.
func (m *Official) load(f *torchfile.File, tensors map[string]*torchfile.Tensor) error {
	rounded := 0
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		t := tensors[name]
		switch {
		case isHead(name):
			m.Heads = append(m.Heads, name)
		case strings.HasPrefix(name, "encoder."), strings.HasPrefix(name, "projector."):
		default:
			m.Skipped = append(m.Skipped, fmt.Sprintf("%s (tensor %v)", shown(name), t.Shape))
			continue
		}
		if !plain(name) {
			return fmt.Errorf("%w: a parameter is named %s", ErrForeign, shown(name))
		}
		array, err := f.Float32(t)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Arrays[name] = array
		if t.DType != "float32" && t.DType != "int64" {
			rounded++
		}
	}
	if rounded > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("%d tensors are not float32 in the file: they are now",
			rounded))
	}
	return nil
}

// Fits returns an error, ErrForeign, unless arrays are all that a model of the
// configuration needs, and no encoder or projector has more than that.
func Fits(cfg jepa.Config, arrays map[string]tensor.Array) error {
	layout, err := jepa.Layout(cfg)
	if err != nil {
		return err
	}
	if err := layout.Complete(arrays); err != nil {
		return fmt.Errorf("exchange: %w: %w", ErrForeign, err)
	}
	known := map[string]bool{}
	for _, p := range layout.List() {
		known[p.Name] = true
	}
	for _, b := range layout.Buffers() {
		known[b.Name] = true
	}
	for _, c := range layout.Counters() {
		known[c.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(arrays)) {
		if !known[name] && !isHead(name) {
			return fmt.Errorf("exchange: %w: it has %s, which no encoder or projector of avjepa has, "+
				"so it computes something else", ErrForeign, shown(name))
		}
	}
	return nil
}
