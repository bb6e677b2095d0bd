package exchange

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/tensor"
	"avjepa/internal/torchfile"
	"avjepa/internal/view"
)

// readAll reads all tensors of a state dict.
func readAll(t *testing.T, path string) map[string]tensor.Array {
	t.Helper()
	f, err := torchfile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := &Official{Arrays: map[string]tensor.Array{}}
	tensors, err := m.rename(f.Root.(*torchfile.Dict))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.load(f, tensors); err != nil {
		t.Fatal(err)
	}
	return m.Arrays
}

func configView(t *testing.T, m *Official) view.Config {
	t.Helper()
	c, _ := configOf(t, m)
	return c.ViewConfig()
}

// python returns an interpreter that has a module.
func python(t *testing.T, tool, module string) string {
	t.Helper()
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import importlib.util, sys; "+
			"sys.exit(importlib.util.find_spec('"+module+"') is None)").Run() == nil {
			return p
		}
	}
	needs(t, tool, "no python3 with "+module)
	return ""
}

// script runs a program of Python and returns what it prints.
func script(t *testing.T, python, text string, args ...string) []byte {
	t.Helper()
	c := exec.Command(python, append([]string{"-B", "-c", text}, args...)...)
	out, err := c.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		t.Fatalf("%v: %s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return out
}

// The documented loader gives our numbers, and torch.load our arrays.
func TestPythonGivesOurNumbers(t *testing.T) {
	py := python(t, "pytorch", "torch")
	e, cfg := newEngine(t), tiny()
	cfg.Encoder.FinalNorm = true
	drop := cfg
	drop.Encoder.DropAbsent, drop.Encoder.EmbedNorm = true, false
	dir := t.TempDir()
	var want []result
	for i, c := range []*struct{ name string }{{"zero"}, {"drop"}} {
		if i == 1 {
			cfg = drop
		}
		m := random(t, e, cfg, 3)
		tr := trained(t, m)
		in := checkpoint.New(nil)
		for _, modality := range []string{Both, Audio, Video} {
			x := noise(cfg.Encoder, 3, modality)
			want = append(want, x.run(t, e, m))
			for name, a := range x.feed(cfg.Encoder, false) {
				in.AddFloat32(modality+"."+name, a.Dims, a.floats(t))
			}
		}
		base := filepath.Join(dir, c.name)
		for _, err := range []error{tr.WriteSafetensors(base + ".safetensors"), tr.WriteTorch(base + ".pt"),
			in.WriteFile(base + ".in")} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	loader, err := filepath.Abs("../../examples/python")
	if err != nil {
		t.Fatal(err)
	}
	out := script(t, py, `
import base64, json, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from load_avjepa import encode, load, project
results = []
def pack(x):
    data = base64.b64encode(x.contiguous().numpy().tobytes()).decode()
    return {"dims": list(x.shape), "data": data}
for base in sys.argv[2:]:
    weights, about = load(base + ".safetensors")
    state = torch.load(base + ".pt", weights_only=True)
    assert set(state) == set(weights)
    for k, v in state.items():
        assert torch.equal(v, weights[k]) and v.dtype == weights[k].dtype, k
    assert about["classes"] == ["a", "\u00fc"], about
    inputs, _ = load(base + ".in")
    for m in ("both", "audio", "video"):
        cls, tokens = encode(weights, about, inputs.get(m + ".video"), inputs.get(m + ".audio"))
        results.append({"cls": pack(cls), "projection": pack(project(weights, cls)),
                        "tokens": pack(tokens)})
print(json.dumps(results))
`, loader, filepath.Join(dir, "zero"), filepath.Join(dir, "drop"))
	var got []map[string]array
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		near(t, fmt.Sprintf("%d: cls", i), got[i]["cls"].floats(t), w.cls, 1e-5)
		near(t, fmt.Sprintf("%d: projection", i), got[i]["projection"].floats(t), w.projection, 1e-5)
		if len(got[i]["tokens"].floats(t)) < len(w.cls) {
			t.Errorf("%d: no tokens", i)
		}
	}
}

// What PyTorch itself writes is read, in every type and layout.
func TestReadsWhatPyTorchWrites(t *testing.T) {
	py := python(t, "pytorch", "torch")
	path := scratch(t, "p.pt")
	script(t, py, `
import collections, sys, torch
from torch import nn
w = torch.arange(6.).reshape(2, 3)
base = {"a.turned": w.t(), "a.part": w[:, 1:], "a.half": w.half(), "a.bf16": w.bfloat16(),
        "a.f64": w.double(), "a.i64": w.long(), "a.i32": w.int(), "a.u8": w.byte(), "a.bool": w.bool(),
        "a.parameter": nn.Parameter(w), "a.scalar": torch.tensor(2.5)}
torch.save(collections.OrderedDict(("projector." + k, v) for k, v in base.items()), sys.argv[1])
`, path)
	m, err := Read(path, Assume{})
	if m != nil || err == nil {
		t.Fatal("a model was found")
	}
	arrays := readAll(t, path)
	six := []float32{0, 1, 2, 3, 4, 5}
	for name, want := range map[string][]float32{
		"turned": {0, 3, 1, 4, 2, 5}, "part": {1, 2, 4, 5}, "half": six, "bf16": six, "f64": six,
		"i64": six, "i32": six, "u8": six, "bool": {0, 1, 1, 1, 1, 1}, "parameter": six, "scalar": {2.5},
	} {
		if got := arrays["projector.a."+name]; !slices.Equal(got.Data, want) {
			t.Errorf("%s is %v, want %v", name, got.Data, want)
		}
	}
}

// ONNX's own checker finds nothing to complain about.
func TestONNXCheckerIsContent(t *testing.T) {
	py := python(t, "onnx-checker", "onnx")
	tr := trained(t, random(t, newEngine(t), tiny(), 1))
	dir := t.TempDir()
	inside, beside := filepath.Join(dir, "a.onnx"), filepath.Join(dir, "b.onnx")
	if err := tr.WriteONNX(inside, ONNX{Tokens: true}); err != nil {
		t.Fatal(err)
	}
	if err := tr.WriteONNX(beside, ONNX{Modality: Audio, Beside: true}); err != nil {
		t.Fatal(err)
	}
	script(t, py, `
import sys, onnx
from onnx import numpy_helper
for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    assert {"cls", "projection"} <= {v.name for v in inferred.graph.output}
    assert all(numpy_helper.to_array(t).size for t in model.graph.initializer)
`, inside, beside)
}
