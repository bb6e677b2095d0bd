package server_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/server"
	"avjepa/internal/tensor"
	"avjepa/internal/train"
)

// saveCheckpoint writes a checkpoint of a model with 7 parameters.
func saveCheckpoint(t *testing.T, run string, step int) string {
	t.Helper()
	cfg := config.New()
	if err := cfg.ApplyPreset("demo"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(run, "checkpoints", "step-"+strings.Repeat("0", 5)+string(rune('0'+step/100))+"00.safetensors")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	err := train.SaveArrays(path, map[string]tensor.Array{"encoder.a": tensor.From(make([]float32, 6), 2, 3),
		"projector.b": tensor.From(make([]float32, 1), 1), "moments.c": tensor.From(make([]float32, 9), 9)},
		train.State{Step: step, Config: cfg.TOML()})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestModels lists the checkpoints of runs beside the model that is loaded, by their heads;
// what is damaged or made up is shown with its reason.
func TestModels(t *testing.T) {
	var runs string
	_, web := open(t, func(c *server.Config) { runs = c.RunsDir })
	first := filepath.Join(runs, "first")
	good := saveCheckpoint(t, first, 200)
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	huge := binary.LittleEndian.AppendUint64(nil, 1<<40)
	w := checkpoint.New(map[string]string{"format": "avjepa-1", "step": "1", "seed": "0", "config": "[model]\nsize = 12\n"})
	odd := filepath.Join(first, "checkpoints", "step-00000004.safetensors")
	if err := w.WriteFile(odd); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"step-00000001.safetensors": []byte("garbage that is no file"),
		"step-00000002.safetensors": huge, "step-00000003.safetensors": text[:len(text)-9]} {
		if err := os.WriteFile(filepath.Join(first, "checkpoints", name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(first, "checkpoints", "step-00000005.safetensors")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(first, "checkpoints", "step-00000006.safetensors"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, body := get(t, web, "/v1/models")
	all := parse[struct{ Items []server.ModelInfo }](t, body).Items
	if len(all) != 6 || !all[0].Loaded {
		t.Fatalf("%d models: %.600s", len(all), body)
	}
	m := all[1]
	if m.ID != "first@200" || m.Parameters != 7 || m.Step != 200 || m.Side != 32 || m.Unreadable != "" || len(m.Settings) < 50 {
		t.Errorf("%+v", m)
	}
	names := map[string]bool{}
	for _, f := range m.Measured {
		names[f.Name] = true
		if f.Made.IsZero() || !(f.Value >= 0 && f.Value <= 1) {
			t.Errorf("%+v", f)
		}
	}
	if !names["A→V R@1 among 6 samples"] {
		t.Errorf("measured %v", m.Measured)
	}
	for _, m := range all[2:] {
		if m.Unreadable == "" || strings.Contains(m.Unreadable, runs) {
			t.Errorf("%s is unreadable because %q", m.ID, m.Unreadable)
		}
	}
	_, body = get(t, web, "/v1/models/first@200")
	sum := sha256.Sum256(text)
	if one := parse[server.ModelInfo](t, body); one.Files[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("checksum %+v", one.Files)
	}
	for _, id := range []string{"first@301", "first@5", "first@6", "@", "..@300", "first@../300", "none@1", "x"} {
		if res, body := get(t, web, "/v1/models/"+strings.ReplaceAll(id, "/", "%2f")); res.StatusCode != 404 {
			t.Errorf("%s: %s %.200s", id, res.Status, body)
		}
	}
	if !json.Valid(body) {
		t.Error("no JSON")
	}
}
