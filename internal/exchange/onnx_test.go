package exchange

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/golden"
	"avjepa/internal/jepa"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// runtime is ONNX Runtime as scripts/onnx.sh installs it.
func onnxRuntime(t *testing.T) (node, pack string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	pack = filepath.Join(cache, "avjepa", "onnx", "node_modules", "onnxruntime-node")
	node, err = exec.LookPath("node")
	lacks := ""
	if _, e := os.Stat(pack); err != nil || e != nil {
		lacks = "no ONNX Runtime: scripts/onnx.sh installs it"
	}
	needs(t, "onnx", lacks)
	return node, pack
}

// array is an input or output of a case.
type array struct {
	Dims []int  `json:"dims"`
	Data string `json:"data"` // little-endian float32 in base64
}

func pack(x []float32, dims ...int) array {
	var b []byte
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return array{dims, base64.StdEncoding.EncodeToString(b)}
}

func (a array) floats(t *testing.T) []float32 {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(a.Data)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, len(b)/4)
	for i := range x {
		x[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return x
}

// onnxCase is one run of a graph.
type onnxCase struct {
	Model  string           `json:"model"`
	Inputs map[string]array `json:"inputs"`
}

// feed are a graph's inputs: those of in, and where zeros is set also absent ones.
func (in inputs) feed(c vit.Config, zeros bool) map[string]array {
	out := map[string]array{}
	if v := in.video; v != nil || zeros {
		if v == nil {
			v = make([]float32, in.views*3*c.Frames*c.Side*c.Side)
		}
		out["video"] = pack(v, in.views, 3, c.Frames, c.Side, c.Side)
	}
	if a := in.audio; a != nil || zeros {
		if a == nil {
			a = make([]float32, in.views*c.MelBands*c.MelFrames)
		}
		out["audio"] = pack(a, in.views, 1, c.MelBands, c.MelFrames)
	}
	return out
}

// runONNX runs all cases in one process.
func runONNX(t *testing.T, cases []onnxCase) []map[string]array {
	t.Helper()
	node, pack := onnxRuntime(t)
	text, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(node, "testdata/run.js", pack)
	c.Stdin = bytes.NewReader(text)
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var results []map[string]array
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

// The graph gives what our own encoder gives, for all modalities, options and batches.
func TestONNXGivesOurNumbers(t *testing.T) {
	onnxRuntime(t)
	e, dir := newEngine(t), t.TempDir()
	drop, last := tiny(), tiny()
	drop.Encoder.DropAbsent, drop.Encoder.EmbedNorm = true, false
	last.Encoder.FinalNorm, last.Encoder.MelFrames = true, 21
	type want struct {
		name string
		cfg  jepa.Config
		in   inputs
		out  result
	}
	var cases []onnxCase
	var wants []want
	models := map[string]*jepa.Model{"golden": goldenModel(t, e, 3)}
	for name, cfg := range map[string]jepa.Config{"zero": tiny(), "drop": drop, "final norm": last} {
		models[name] = random(t, e, cfg, 3)
	}
	for name, m := range models {
		cfg, tr := m.Config, trained(t, m)
		for _, modality := range []string{Both, Audio, Video} {
			path := filepath.Join(dir, name+modality+".onnx")
			o := ONNX{Modality: modality, Tokens: true, Beside: modality == Audio}
			if err := tr.WriteONNX(path, o); err != nil {
				t.Fatal(err)
			}
			for _, views := range []int{1, 3} {
				in := noise(cfg.Encoder, views, modality)
				what := want{fmt.Sprintf("%s, %s, %d views", name, modality, views), cfg, in,
					in.run(t, e, m)}
				cases = append(cases, onnxCase{path, in.feed(cfg.Encoder, false)})
				wants = append(wants, what)
				if modality != Both && !cfg.Encoder.DropAbsent { // zeros are an absent modality
					what.name += ", the other zeros"
					both := filepath.Join(dir, name+Both+".onnx")
					cases = append(cases, onnxCase{both, in.feed(cfg.Encoder, true)})
					wants = append(wants, what)
				}
			}
		}
	}
	for i, got := range runONNX(t, cases) {
		w := wants[i]
		tokens, cls := got["tokens"].floats(t), got["cls"].floats(t)
		near(t, w.name+": cls", cls, w.out.cls, 1e-4)
		near(t, w.name+": projection", got["projection"].floats(t), w.out.projection, 1e-4)
		near(t, w.name+": mean of tokens", w.in.meanTokens(w.cfg.Encoder, tokens), w.out.mean, 1e-4)
		near(t, w.name+": first token", tokens[:w.cfg.Encoder.Width], cls[:w.cfg.Encoder.Width], 0)
	}
}

// The graph of the published code's weights gives the published code's numbers.
func TestONNXGivesTheGoldenNumbers(t *testing.T) {
	onnxRuntime(t)
	imp, err := Read(officialPath, Assume{})
	if err != nil {
		t.Fatal(err)
	}
	_, jc := configOf(t, imp)
	tr := &Trained{Config: jc, arrays: imp.Arrays, About: About{View: configView(t, imp)}}
	path := scratch(t, "golden.onnx")
	if err := tr.WriteONNX(path, ONNX{}); err != nil {
		t.Fatal(err)
	}
	g := golden.Open(t, "encoder.safetensors")
	in := inputs{2, g.Array("video").Data, g.Array("audio").Data}
	names := []string{"joint", "audio", "video"}
	got := runONNX(t, []onnxCase{{path, in.feed(jc.Encoder, false)},
		{path, inputs{2, nil, in.audio}.feed(jc.Encoder, true)},
		{path, inputs{2, in.video, nil}.feed(jc.Encoder, true)}})
	for i, name := range names {
		g.Check("CLS", name+".cls", got[i]["cls"].floats(t)...)
		g.Check("projector", name+".proj_eval", got[i]["projection"].floats(t)...)
	}
	g.Table("CLS", "projector")
}

// Positions of a few bytes may stand for more tokens than there is memory.
func TestONNXRefusesManyTokens(t *testing.T) {
	cfg := tiny()
	cfg.Encoder.Frames, cfg.Encoder.Side = 600, 240
	layout, err := jepa.Layout(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tr := &Trained{Config: cfg, arrays: map[string]tensor.Array{}}
	for _, p := range layout.List() {
		tr.arrays[p.Name] = tensor.New(p.Shape.Dims()...)
	}
	err = tr.WriteONNX(scratch(t, "m.onnx"), ONNX{})
	if err == nil || !strings.Contains(err.Error(), "720007") {
		t.Errorf("error %v", err)
	}
}

func TestONNXRefusesAnUnknownModality(t *testing.T) {
	tr := trained(t, random(t, newEngine(t), tiny(), 1))
	path := scratch(t, "m.onnx")
	if err := tr.WriteONNX(path, ONNX{Modality: "smell"}); !errors.Is(err, ErrModality) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was written")
	}
}

// A graph says its inputs, outputs and weights by name, in a file that two runs write
// alike.
func TestONNXIsTheSameAgain(t *testing.T) {
	tr := trained(t, random(t, newEngine(t), tiny(), 1))
	var files [2][]byte
	for i := range files {
		path := scratch(t, "m.onnx")
		if err := tr.WriteONNX(path, ONNX{}); err != nil {
			t.Fatal(err)
		}
		var err error
		if files[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(files[0], files[1]) {
		t.Error("two files differ")
	}
	for _, name := range []string{"video", "audio", "cls", "projection",
		"encoder.encoder.blocks.2.mlp.dense_1.weight_t"} {
		if !bytes.Contains(files[0], []byte(name)) {
			t.Errorf("no %s", name)
		}
	}
}
