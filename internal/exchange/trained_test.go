package exchange

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
)

func TestWritesSafetensors(t *testing.T) {
	cfg := tiny()
	m := random(t, newEngine(t), cfg, 1)
	tr := trained(t, m)
	path := scratch(t, "m.safetensors")
	if err := tr.WriteSafetensors(path); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := m.Params.Export()
	for name, a := range want {
		if isCounter(name) {
			if n, err := f.Int64(name); err != nil || n[0] != 37 {
				t.Errorf("%s = %v, %v", name, n, err)
			}
		} else if got, err := f.Float32(name); err != nil || got.Shape != a.Shape ||
			!slices.Equal(got.Data, a.Data) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
	if n := len(f.Names()); n != len(want)+1 || !f.Has("head.weight") {
		t.Errorf("%d arrays, want %d and the head", n, len(want))
	}
	var geometry struct {
		Width, Heads int
		MelFrames    int `json:"mel_frames"`
		Absent       string
	}
	var classes []string
	err = errors.Join(json.Unmarshal([]byte(f.Metadata["geometry"]), &geometry),
		json.Unmarshal([]byte(f.Metadata["classes"]), &classes))
	if err != nil || geometry.Width != 24 || geometry.Heads != 4 || geometry.MelFrames != 23 ||
		geometry.Absent != "zero" || classes[1] != "ü" || f.Metadata["format"] != "pt" {
		t.Errorf("%v: %+v, %v", err, geometry, f.Metadata)
	}
	if !strings.Contains(f.Metadata["normalisation"], `"mel_mean_db":-20.437003`) {
		t.Errorf("normalisation %s", f.Metadata["normalisation"])
	}
}

// A checkpoint that lacks an array of its model is refused.
func TestRefusesAnotherModelsCheckpoint(t *testing.T) {
	f := checkpointOf(t, random(t, newEngine(t), tiny(), 1))
	other := tiny()
	other.Encoder.Depth++
	_, err := Of(f, other, About{})
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "blocks.3") {
		t.Errorf("error %v", err)
	}
}
