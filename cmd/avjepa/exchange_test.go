package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/durable"
	"avjepa/internal/torchfile"
)

const officialCheckpoint = "../../testdata/golden/official.ckpt"

func official(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(officialCheckpoint)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A published checkpoint becomes a run, which goes out in every format and, from
// PyTorch's, comes back the same byte for byte.
func TestImportAndExport(t *testing.T) {
	dir := t.TempDir()
	o := run(t, dir, "import", official(t), "--out", "runs/official", "--json").wants(t, 0).object(t)
	checkpoint, _ := o["checkpoint"].(string)
	if checkpoint != "runs/official/checkpoints/step-00001234.safetensors" || o["step"] != 1234.0 {
		t.Errorf("result %v", o)
	}
	if heads, _ := o["heads"].([]any); len(heads) != 13 {
		t.Errorf("heads %v", heads)
	}
	text := string(readFile(t, dir, "runs/official/config.toml"))
	for _, line := range []string{"width = 48", "heads = 3", "seconds = 0.47", "side = 32", "out = 32"} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("config.toml lacks %q", line)
		}
	}
	for _, args := range []string{"--out m.safetensors", "--out m.pt", "--out m.onnx",
		"--out weights --format torch", "--out a.onnx --modality audio --external-data --tokens"} {
		args := append([]string{"export", "runs/official", "--json"}, strings.Fields(args)...)
		e := run(t, dir, args...).wants(t, 0).object(t)
		file, _ := e["file"].(string)
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || float64(info.Size()) != e["bytes"] || e["parameters"] != 153056.0 {
			t.Errorf("%v: %v, %v", args, e, err)
		}
	}
	if !bytes.Equal(readFile(t, dir, "m.pt"), readFile(t, dir, "weights")) {
		t.Error("m.pt is not what --format torch writes")
	}
	if len(readFile(t, dir, "a.onnx.data")) < len(readFile(t, dir, "a.onnx")) {
		t.Error("the weights are not in a.onnx.data")
	}
	run(t, dir, "import", "m.pt", "--out", "again.safetensors").wants(t, 0)
	if !bytes.Equal(readFile(t, dir, "again.safetensors"), readFile(t, dir, checkpoint)) {
		t.Error("export and import do not give the same checkpoint")
	}
	run(t, dir, "import", "m.pt", "--out", "again.safetensors").wants(t, 2, "again.safetensors", "already")
	run(t, dir, "import", "m.pt", "--out", "runs/official").wants(t, 2, "config.toml", "already")
	run(t, dir, "export", "runs/official", "--out", "m.onnx").wants(t, 2, "m.onnx", "already")
}

// An imported run is used as any other.
func TestImportedRunIsUsed(t *testing.T) {
	toy, dir := demoFolder(t), t.TempDir()
	data := filepath.Join(toy, toyClips)
	run(t, dir, "import", official(t), "--out", "r", "--set", "data.dir="+data,
		"--set", "eval.split=heldout").wants(t, 0)
	m := run(t, dir, "retrieve", "r", "--json", "--quiet").wants(t, 0).object(t)
	if number(t, m, "n") != 32 || !(number(t, m, "a2v.median") > 0) {
		t.Errorf("retrieval %v", m)
	}
	run(t, dir, "report", "r", "--quiet").wants(t, 0)
	if page := readFile(t, dir, "r/report.html"); !bytes.Contains(page, []byte("Retrieval")) {
		t.Error("no report")
	}
	run(t, dir, "export", filepath.Join(toy, "runs/demo"), "--out", "demo.onnx").wants(t, 0)
}

func TestImportNamesClasses(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, "dog\ncat\n\nsea, waves\nrain\nwind\ntrain\nbird\n", dir, "seven.txt")
	writeFile(t, "dog\n", dir, "one.txt")
	run(t, dir, "import", official(t), "--out", "x.safetensors", "--classes", "one.txt").
		wants(t, 2, "one.txt names 1", "has 7")
	run(t, dir, "import", official(t), "--out", "x.safetensors", "--classes", "seven.txt").wants(t, 0)
	run(t, dir, "export", "x.safetensors", "--out", "y.safetensors").wants(t, 0)
	text := readFile(t, dir, "y.safetensors")
	if !bytes.Contains(text, []byte(`"classes":"[\"dog\",\"cat\",\"sea, waves\"`)) {
		t.Error("the classes are not in the metadata")
	}
}

// What is no model for us ends with 13 and its reason, and leaves nothing behind.
func TestImportRefuses(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, e ...torchfile.Entry) {
		err := durable.WriteFile(filepath.Join(dir, name), func(w io.Writer) error {
			return torchfile.Write(w, e, nil)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	one := func(name string) torchfile.Entry {
		return torchfile.Entry{Name: name, Shape: []int{1}, Float32: []float32{1}}
	}
	save("dual.pt", one("encoder.audio_encoder.blocks.0.layernorm_1.weight"))
	save("other.pt", one("conv1.weight"))
	writeFile(t, "not a zip", dir, "text.ckpt")
	whole := readFile(t, officialCheckpoint)
	evil := bytes.Replace(whole, []byte("ccollections\nOrderedDict\n"),
		[]byte("cposix_____\nsystem_____\n"), 1)
	writeFile(t, string(evil), dir, "evil.ckpt")
	writeFile(t, string(whole[:len(whole)/2]), dir, "half.ckpt")
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		args string
		want []string
	}{
		{13, "dual.pt --out r", []string{"dual.pt", "dual encoder", "only models of one encoder"}},
		{13, "other.pt --out r", []string{"other.pt", "cls_token"}},
		{13, "text.ckpt --out r", []string{"text.ckpt", "no zip"}},
		{13, "evil.ckpt --out r", []string{"evil.ckpt"}},
		{13, "half.ckpt --out r", []string{"half.ckpt"}},
		{1, "nowhere.ckpt --out r", []string{"nowhere.ckpt"}},
		{2, "dual.pt", []string{"--out"}},
		{2, "", []string{"takes FILE"}},
		{11, official(t) + " --out r --set model.heads=5", []string{"heads 5"}},
		{13, official(t) + " --out r --set model.depth=3", []string{"blocks.2"}},
		{11, official(t) + " --out r --set trian.lr=1", []string{"trian.lr"}},
		{2, official(t) + " --out r --set x", []string{"key=value"}},
	} {
		o := run(t, dir, append([]string{"import"}, strings.Fields(c.args)...)...)
		o.wants(t, c.code, c.want...)
		if o.stdout != "" {
			t.Errorf("%s: stdout %q", c.args, o.stdout)
		}
	}
	after, err := os.ReadDir(dir)
	if err != nil || len(after) != len(before) {
		t.Errorf("left behind: %v, %v", after, err)
	}
	for _, c := range []struct {
		code int
		args string
		want []string
	}{
		{1, "nowhere --out m.pt", []string{"nowhere"}},
		{13, "text.ckpt --out m.pt", []string{"text.ckpt"}},
		{2, "nowhere", []string{"--out"}},
		{2, "nowhere --out m.bin", []string{"m.bin", "--format"}},
		{2, "nowhere --out m.bin --format gguf", []string{`"gguf"`, "safetensors, torch, onnx"}},
	} {
		run(t, dir, append([]string{"export"}, strings.Fields(c.args)...)...).wants(t, c.code, c.want...)
	}
}
