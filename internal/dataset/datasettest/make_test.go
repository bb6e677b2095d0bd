package datasettest

import (
	"context"
	"testing"

	"avjepa/internal/dataset"
	"avjepa/internal/view"
)

func TestMake(t *testing.T) {
	set := Make(t, Config{Clips: 4})
	m, err := view.NewMaker(view.Default())
	if err != nil {
		t.Fatal(err)
	}
	var c dataset.Clip
	for i := range set.Len() {
		if err := set.Read(context.Background(), i, &c); err != nil {
			t.Fatal(err)
		}
		if c.Key != Key(i) || len(c.Frames) != 8 || len(c.Samples) != 16000 {
			t.Errorf("clip %d is %s with %d frames and %d samples",
				i, c.Key, len(c.Frames), len(c.Samples))
		}
		if _, err := m.Decode(c.Frames, c.FPS, c.Samples); err != nil {
			t.Error(err)
		}
	}
}
