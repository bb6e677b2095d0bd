package exchange

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"avjepa/internal/checkpoint"
	"avjepa/internal/jepa"
	"avjepa/internal/tensor"
	"avjepa/internal/torchfile"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

// About says of a trained model what its numbers do not.
type About struct {
	Step    int
	Seed    uint64
	Config  string      // the run's config.toml
	Classes []string    // of the heads, in the order of their rows; nil for none
	View    view.Config // how its inputs are made
}

// Trained is a model to be written.
type Trained struct {
	Config jepa.Config
	About  About

	names  []string // of arrays: parameters, running statistics, counters, heads
	arrays map[string]tensor.Array
}

// Of returns the model of a checkpoint, whose configuration is cfg, with the heads
// that were imported with it. The error is ErrForeign when it does not fit, and ErrDual.
func Of(f *checkpoint.File, cfg jepa.Config, about About) (*Trained, error) {
	if cfg.Dual {
		return nil, fmt.Errorf("exchange: %w", ErrDual)
	}
	layout, err := jepa.Layout(cfg)
	if err != nil {
		return nil, err
	}
	t := &Trained{Config: cfg, About: about, arrays: map[string]tensor.Array{}}
	for _, p := range layout.List() {
		t.names = append(t.names, p.Name)
	}
	for _, b := range layout.Buffers() {
		t.names = append(t.names, b.Name)
	}
	for _, c := range layout.Counters() {
		if f.Has(c.Name) {
			t.names = append(t.names, c.Name)
		}
	}
	for _, name := range f.Names() {
		if isHead(name) && !f.Has("adamw.m."+name) { // else an online probe
			t.names = append(t.names, name)
		}
	}
	for _, name := range t.names {
		if !f.Has(name) {
			continue // Complete says so, with its shape
		}
		if t.arrays[name], err = f.Float32(name); err != nil {
			return nil, fmt.Errorf("exchange: %w: %w", ErrForeign, err)
		}
	}
	if err := layout.Complete(t.arrays); err != nil {
		return nil, fmt.Errorf("exchange: %w: %w", ErrForeign, err)
	}
	return t, nil
}

// Parameters returns the number of values of encoder and projector that are trained.
func (t *Trained) Parameters() int {
	n := 0
	for name, a := range t.arrays {
		if !isHead(name) && !isCounter(name) && !strings.Contains(name, ".running_") {
			n += a.Shape.Elems()
		}
	}
	return n
}

// Heads returns the names of the arrays that belong to classifiers.
func (t *Trained) Heads() []string {
	return slices.DeleteFunc(slices.Clone(t.names), func(n string) bool { return !isHead(n) })
}

// isCounter tells PyTorch's integer buffers.
func isCounter(name string) bool { return strings.HasSuffix(name, ".num_batches_tracked") }

// exportFormat names the layout of what is written beside the arrays.
const exportFormat = "avjepa-export-1"

// own is the record avjepa.json of a file of torch.save that avjepa has written.
type own struct {
	Format        string         `json:"format"`
	Step          int            `json:"step"`
	Seed          uint64         `json:"seed"`
	Config        string         `json:"config"`
	Classes       []string       `json:"classes,omitempty"`
	Geometry      map[string]any `json:"geometry"`
	Normalisation map[string]any `json:"normalisation"`
}

const ownName = "avjepa.json"

// readOwn returns the record of avjepa, nil if there is none.
func readOwn(f *torchfile.File) (*own, error) {
	text, err := f.Extra(ownName)
	if text == nil || err != nil {
		return nil, err
	}
	o := &own{}
	if err := json.Unmarshal(text, o); err != nil {
		return nil, fmt.Errorf("%w: record %s: %w", torchfile.ErrFormat, ownName, err)
	}
	if o.Format != exportFormat || o.Step < 0 {
		return nil, fmt.Errorf("%w: record %s has format %.40q and step %d, want %q and no negative one",
			torchfile.ErrFormat, ownName, o.Format, o.Step, exportFormat)
	}
	return o, nil
}

func (t *Trained) own() own {
	return own{Format: exportFormat, Step: t.About.Step, Seed: t.About.Seed, Config: t.About.Config,
		Classes: t.About.Classes, Geometry: t.geometry(), Normalisation: t.normalisation()}
}

// geometry is what a program needs to compute the encoder from the arrays.
func (t *Trained) geometry() map[string]any {
	e := t.Config.Encoder
	absent := "zero"
	if e.DropAbsent {
		absent = "drop"
	}
	return map[string]any{
		"width": e.Width, "depth": e.Depth, "heads": e.Heads, "mlp_ratio": e.MLPRatio,
		"frames": e.Frames, "side": e.Side, "patch_frames": e.PatchT, "patch": e.Patch,
		"mel_bands": e.MelBands, "mel_frames": e.MelFrames,
		"patch_mel": e.PatchMel, "patch_mel_frames": e.PatchMelT,
		"embed_norm": e.EmbedNorm, "final_norm": e.FinalNorm, "absent": absent,
		"projector_hidden": t.Config.Hidden, "projection": t.Config.Proj,
	}
}

// normalisation is how a program makes the encoder's inputs.
func (t *Trained) normalisation() map[string]any {
	v := t.About.View
	mel := v.Mel()
	mean, std := vit.PixelNorm()
	return map[string]any{
		"pixel_mean": mean, "pixel_std": std, // of red, green, blue on [0, 1]
		"sample_rate_hz": v.SampleRateHz, "seconds": v.Seconds, "resize": v.Resize,
		"n_fft": mel.NFFT, "hop": mel.Hop, "mel_max_hz": mel.FMax,
		"mel_mean_db": v.MelMean, "mel_std_db": v.MelStd,
	}
}

// metadata is own as the texts that safetensors and ONNX take.
func (t *Trained) metadata() map[string]string {
	o := t.own()
	out := map[string]string{"avjepa": o.Format, "step": strconv.Itoa(o.Step), "config": o.Config}
	js := func(key string, v any) {
		text, err := json.Marshal(v)
		if err != nil {
			panic("exchange: " + key + ": " + err.Error()) // a NaN: Validate refuses those
		}
		out[key] = string(text)
	}
	js("geometry", o.Geometry)
	js("normalisation", o.Normalisation)
	if len(o.Classes) > 0 {
		js("classes", o.Classes)
	}
	return out
}
