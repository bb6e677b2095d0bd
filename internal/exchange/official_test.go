package exchange

import (
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/config"
	"avjepa/internal/durable"
	"avjepa/internal/engine"
	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/tensor"
	"avjepa/internal/torchfile"
	"avjepa/internal/vit"
)

// configOf returns the configuration that the settings of an import make.
func configOf(t *testing.T, m *Official) (*config.Config, jepa.Config) {
	t.Helper()
	c := config.New()
	for _, s := range m.Settings {
		if err := c.Set(s.Key, s.Value, "file"); err != nil {
			t.Fatal(err)
		}
	}
	jc, err := c.JEPAConfig()
	if err = errors.Join(err, c.Validate()); err != nil {
		t.Fatal(err)
	}
	return c, jc
}

func TestImportsThePublishedCheckpoint(t *testing.T) {
	m, err := Read(officialPath, Assume{})
	if err != nil {
		t.Fatal(err)
	}
	c, jc := configOf(t, m)
	want := golden.Encoder()
	if jc.Encoder != want || jc.Hidden != golden.Hidden || jc.Proj != golden.Proj {
		t.Errorf("model %+v, projector %d, %d; want %+v", jc.Encoder, jc.Hidden, jc.Proj, want)
	}
	if m.Kind != "Lightning 2.6.0" || m.Step != 1234 || c.Loss.Lambda != .05 || c.Train.LR != 5e-4 {
		t.Errorf("%s, step %d, λ %g, lr %g", m.Kind, m.Step, c.Loss.Lambda, c.Train.LR)
	}
	if err := Fits(jc, m.Arrays); err != nil {
		t.Error(err)
	}
	weights := golden.Weights(t)
	for name, w := range weights {
		if a := m.Arrays[name]; a.Shape != w.Shape || !slices.Equal(a.Data, w.Data) {
			t.Errorf("%s differs", name)
		}
		delete(m.Arrays, name)
	}
	if len(m.Arrays) > 0 {
		t.Errorf("more than the weights: %v", slices.Sorted(maps.Keys(m.Arrays)))
	}
	if len(m.Heads) != 13 {
		t.Errorf("heads %v", m.Heads)
	}
	left := strings.Join(m.Skipped, "\n")
	for _, what := range []string{"optimizer_states (list of 1)", "epoch (3)", "sigreg.t", "sigreg.phi",
		"num_classes = 7"} {
		if !strings.Contains(left, what) {
			t.Errorf("%s is not listed as left out", what)
		}
	}
}

// goldenModel returns an embedder of the published checkpoint.
func goldenModel(t *testing.T, e engine.Engine, views int) *jepa.Model {
	t.Helper()
	imp, err := Read(officialPath, Assume{})
	if err != nil {
		t.Fatal(err)
	}
	_, jc := configOf(t, imp)
	m, err := jepa.NewEmbedder(e, jc, 1, views)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Params.Import(imp.Arrays); err != nil {
		t.Fatal(err)
	}
	return m
}

// The imported encoder gives the numbers of the published code.
func TestImportedEncoderGivesTheGoldenNumbers(t *testing.T) {
	e, g := newEngine(t), golden.Open(t, "encoder.safetensors")
	m := goldenModel(t, e, 2)
	in := inputs{2, g.Array("video").Data, g.Array("audio").Data}
	for name, in := range map[string]inputs{"joint": in, "audio": {2, nil, in.audio},
		"video": {2, in.video, nil}} {
		got := in.run(t, e, m)
		g.Check("CLS", name+".cls", got.cls...)
		g.Check("projector", name+".proj_eval", got.projection...)
	}
	g.Table("CLS", "projector")
}

// stateDict writes a state dict of arrays, each of the given shape.
func stateDict(t *testing.T, shapes map[string][]int) string {
	t.Helper()
	var entries []torchfile.Entry
	for _, name := range sortedNames(shapes) {
		n := 1
		for _, d := range shapes[name] {
			n *= d
		}
		entries = append(entries, torchfile.Entry{Name: name, Shape: shapes[name],
			Float32: make([]float32, n)})
	}
	path := scratch(t, "state.pt")
	err := durable.WriteFile(path, func(w io.Writer) error { return torchfile.Write(w, entries, nil) })
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// shapesOf are those of a model's parameters and running statistics.
func shapesOf(t *testing.T, cfg jepa.Config) map[string][]int {
	t.Helper()
	layout, err := jepa.Layout(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]int{}
	for _, p := range layout.List() {
		out[p.Name] = p.Shape.Dims()
	}
	for _, b := range layout.Buffers() {
		out[b.Name] = b.Shape.Dims()
	}
	return out
}

// A state dict tells its sizes by shapes; the number of heads is assumed or given.
func TestDerivesTheModelOfAStateDict(t *testing.T) {
	want := tiny()
	want.Encoder = vit.Config{Width: 128, Depth: 2, Heads: 2, MLPRatio: 3,
		Frames: 6, Side: 24, PatchT: 3, Patch: 8, MelBands: 10, MelFrames: 81, PatchMel: 5, PatchMelT: 8,
		FinalNorm: true, InitStd: .02, Dropout: .1, AttentionDropout: .1}
	renamed := map[string][]int{}
	for name, s := range shapesOf(t, want) { // as of a compiled model in DistributedDataParallel
		module, rest, _ := strings.Cut(name, ".")
		renamed["module."+module+"._orig_mod."+rest] = s
	}
	path := stateDict(t, renamed)
	m, err := Read(path, Assume{})
	if err != nil {
		t.Fatal(err)
	}
	_, got := configOf(t, m)
	if got.Encoder != want.Encoder || got.Hidden != want.Hidden || got.Proj != want.Proj {
		t.Errorf("model %+v, want %+v", got, want)
	}
	if err := Fits(got, m.Arrays); err != nil {
		t.Error(err)
	}
	if notes := strings.Join(m.Notes, "\n"); !strings.Contains(notes, "--heads") || m.Kind != "state dict" {
		t.Errorf("%s: %s", m.Kind, notes)
	}
	if m, err = Read(path, Assume{Heads: 8}); err != nil {
		t.Fatal(err)
	}
	if _, got = configOf(t, m); got.Encoder.Heads != 8 {
		t.Errorf("%d heads, want 8", got.Encoder.Heads)
	}
}

// A fine-tuned model has no projector: its CLS can be used.
func TestImportsAModelWithoutProjector(t *testing.T) {
	shapes := shapesOf(t, tiny())
	for name := range shapes {
		if strings.HasPrefix(name, "projector.") {
			delete(shapes, name)
		}
	}
	shapes["norm.weight"], shapes["head.weight"] = []int{24}, []int{7, 24}
	m, err := Read(stateDict(t, shapes), Assume{Heads: 4})
	if err != nil {
		t.Fatal(err)
	}
	c, jc := configOf(t, m)
	if err := Fits(jc, m.Arrays); err != nil {
		t.Error(err)
	}
	if c.Eval.Embedding != "cls" || !slices.Equal(m.Heads, []string{"head.weight", "norm.weight"}) {
		t.Errorf("embedding %s, heads %v", c.Eval.Embedding, m.Heads)
	}
	e := newEngine(t)
	model, err := jepa.NewEmbedder(e, jc, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Params.Import(m.Arrays); err != nil {
		t.Fatal(err)
	}
	near(t, "projection", noise(jc.Encoder, 1, Both).run(t, e, model).projection, []float32{0}, 0)
}

func TestRefusesForeignModels(t *testing.T) {
	change := func(f func(s map[string][]int)) string {
		s := shapesOf(t, tiny())
		f(s)
		return stateDict(t, s)
	}
	set := func(name string, dims ...int) string {
		return change(func(s map[string][]int) { s[name] = dims })
	}
	without := func(name string) string {
		return change(func(s map[string][]int) { delete(s, name) })
	}
	const e, blocks = "encoder.embedding.", "encoder.encoder.blocks."
	for name, c := range map[string]struct {
		path string
		want error
		text string
	}{
		"dual": {set("encoder.audio_encoder._orig_mod.blocks.0.layernorm_1.weight", 24), ErrDual,
			"one encoder for both"},
		"dual's embedding": {set("encoder.video_embedding.cls_token", 1, 1, 24), ErrDual, "dual"},
		"another model": {stateDict(t, map[string][]int{"conv1.weight": {3, 3}}), ErrForeign,
			"cls_token"},
		"no audio":       {without(e + "audio_patch_embed.projection.weight"), ErrForeign, "audio_patch"},
		"a missing bias": {without(blocks + "1.attention.key.bias"), ErrForeign, "key.bias"},
		"a gate":         {set(blocks+"1.attention.gate.weight", 24), ErrForeign, "gate.weight"},
		"an oblong grid": {set(e+"video_spatial_embed", 1, 1, 8, 24), ErrForeign, "square"},
		"an odd MLP":     {set(blocks+"0.mlp.dense_1.weight", 50, 24), ErrForeign, "50"},
		"a flat token":   {set(e+"cls_token", 24), ErrForeign, "rank 3"},
		"another width":  {set(blocks+"2.layernorm_1.bias", 25), ErrForeign, "25"},
		"an escape":      {set("head.\x1b]0;x\a", 1), ErrForeign, `"head.\x1b]0;x\a"`},
		"two of a name":  {set("module."+e+"cls_token", 1, 1, 24), ErrForeign, "two tensors"},
	} {
		m, err := Read(c.path, Assume{Heads: 4})
		if err == nil {
			_, jc := configOf(t, m)
			err = Fits(jc, m.Arrays)
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %v, want %v and %q", name, err, c.want, c.text)
		}
	}
}

// Options that would make the encoder another function are refused, not ignored.
func TestRefusesOtherFunctions(t *testing.T) {
	for name, set := range map[string]func(hyper *torchfile.Dict){
		"gated_attention": func(h *torchfile.Dict) { replace(h.Dict("t_config"), "gated_attention", "head") },
		"qkv_bias":        func(h *torchfile.Dict) { replace(h.Dict("t_config"), "qkv_bias", false) },
		"mean_pool":       func(h *torchfile.Dict) { replace(h, "mean_pool", true) },
		"patch_stride":    func(h *torchfile.Dict) { replace(h.Dict("a_config"), "patch_stride", int64(8)) },
		"spectrogram_size": func(h *torchfile.Dict) {
			size := &torchfile.Tuple{Items: []any{int64(32), int64(64)}}
			replace(h.Dict("a_config"), "spectrogram_size", size)
		},
		"dual_encoder": func(h *torchfile.Dict) { replace(h, "dual_encoder", true) },
	} {
		f, err := torchfile.Open(officialPath)
		if err != nil {
			t.Fatal(err)
		}
		set(f.Root.(*torchfile.Dict).Dict("hyper_parameters"))
		if _, err := read(f, Assume{}); !errors.Is(err, ErrForeign) && !errors.Is(err, ErrDual) {
			t.Errorf("%s: error %v", name, err)
		}
		f.Close()
	}
}

func replace(d *torchfile.Dict, key string, v any) {
	for i := range d.Items {
		if d.Items[i].Key == key {
			d.Items[i].Value = v
		}
	}
}

// What export writes for PyTorch is read again bit for bit.
func TestTorchRoundTrip(t *testing.T) {
	cfg := tiny()
	tr := trained(t, random(t, newEngine(t), cfg, 1))
	path := scratch(t, "m.pt")
	if err := tr.WriteTorch(path); err != nil {
		t.Fatal(err)
	}
	m, err := Read(path, Assume{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Fits(cfg, m.Arrays); err != nil {
		t.Error(err)
	}
	same := func(a, b tensor.Array) bool { return a.Shape == b.Shape && slices.Equal(a.Data, b.Data) }
	if !maps.EqualFunc(m.Arrays, tr.arrays, same) {
		t.Error("arrays differ")
	}
	if m.Config != tr.About.Config || m.Step != 12 || m.Seed != 3 ||
		!slices.Equal(m.Classes, tr.About.Classes) || m.Kind != "avjepa" || len(m.Heads) != 1 {
		t.Errorf("read %+v", m)
	}
}

// Arrays of any shape make a model, or an error: never a panic.
func TestAnyShapesAreDescribedOrRefused(t *testing.T) {
	base := map[string]tensor.Array{}
	for name, dims := range shapesOf(t, tiny()) {
		base[name] = tensor.New(dims...)
	}
	names, r, fit := sortedNames(base), rand.New(rand.NewPCG(1, 2)), 0
	for range 600 {
		m := &Official{Arrays: maps.Clone(base)}
		for range r.IntN(3) {
			dims := make([]int, r.IntN(6))
			for i := range dims {
				dims[i] = r.IntN(9)
			}
			m.Arrays[names[r.IntN(len(names))]] = tensor.New(dims...)
		}
		if m.describe(nil, Assume{Heads: r.IntN(6)}) != nil {
			continue
		}
		c := config.New()
		var err error
		for _, s := range m.Settings {
			err = errors.Join(err, c.Set(s.Key, s.Value, "file"))
		}
		if errors.Join(err, c.Validate()) != nil {
			continue
		}
		jc, err := c.JEPAConfig()
		if err == nil && Fits(jc, m.Arrays) == nil {
			fit++
		}
	}
	if fit < 20 {
		t.Errorf("%d models fit: the test does not reach the end", fit)
	}
}

// A model of two encoders is refused in the other direction too: no reader would know
// what to do with it.
func TestDualIsNotExported(t *testing.T) {
	cfg := jepa.Default()
	cfg.Dual = true
	if _, err := Of(nil, cfg, About{}); !errors.Is(err, ErrDual) {
		t.Errorf("%v", err)
	}
}
