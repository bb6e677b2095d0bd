package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/config"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/train"
	"avjepa/internal/view"
)

const steps = 3

// tiny is a run of moments over some clips.
func tiny(t *testing.T, more ...string) (file string, c *config.Config) {
	t.Helper()
	dir := t.TempDir()
	datasettest.Make(t, datasettest.Config{Dir: dir, Clips: 12, Seconds: 3})
	c = config.New()
	if err := c.ApplyPreset("demo"); err != nil {
		t.Fatal(err)
	}
	for _, kv := range append([]string{"data.split=", "train.batch_size=4", "model.depth=1", "projector.hidden=16",
		"loss.directions=8", "engine.threads=1", fmt.Sprintf("train.steps=%d", steps),
		"data.dir=" + dir}, more...) {
		key, value, _ := strings.Cut(kv, "=")
		if err := c.Set(key, value, "test"); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(c.TOML()), 0o644); err != nil {
		t.Fatal(err)
	}
	return file, c
}

// TestViewsAreThoseOfTheRun: a model that has the weights written, and is given the views
// written, measures in its first step what the run itself logs.
func TestViewsAreThoseOfTheRun(t *testing.T) {
	file, c := tiny(t)
	initial := filepath.Join(t.TempDir(), "init.safetensors")
	var out bytes.Buffer
	if err := run(context.Background(), file, initial, &out); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(&out)
	line, err := r.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var h Header
	if err := json.Unmarshal(line, &h); err != nil {
		t.Fatal(err)
	}
	if h.Steps != steps || h.Batch != 4 || h.Globals != 2 || h.AudioLocals != 1 || h.VideoLocals != 1 ||
		h.PatchMel != 64 || h.DecayAll {
		t.Errorf("%+v", h)
	}
	video, audio := h.Frames*h.Side*h.Side*3, h.Bands*h.MelFrames
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	jc, err := c.JEPAConfig()
	if err != nil {
		t.Fatal(err)
	}
	model, err := jepa.New(e, jc, uint64(c.Seed+1), h.Batch) // other weights, until they are read
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Read(initial)
	if err != nil {
		t.Fatal(err)
	}
	if err := train.Load(f, model, nil, 0); err != nil {
		t.Fatal(err)
	}
	in, err := model.NewBatch(engine.U8)
	if err != nil {
		t.Fatal(err)
	}
	want := logged(t, c)
	for step := range steps {
		b := &view.Batch{GlobalVideo: make([]byte, 2*4*video), GlobalAudio: make([]float32, 2*4*audio),
			LocalVideo: make([]byte, 4*video), LocalAudio: make([]float32, 4*audio)}
		for _, part := range []any{b.GlobalVideo, b.GlobalAudio, b.LocalVideo, b.LocalAudio} {
			if err := binary.Read(r, binary.LittleEndian, part); err != nil {
				t.Fatalf("step %d: %v", step+1, err)
			}
		}
		if step > 0 {
			continue
		}
		e.UploadBytes(in.GlobalVideo, b.GlobalVideo)
		e.UploadBytes(in.LocalVideo, b.LocalVideo)
		e.Upload(in.GlobalAudio, b.GlobalAudio)
		e.Upload(in.LocalAudio, b.LocalAudio)
		model.Step(in, 0)
		l := model.Losses()
		if !(math.Abs(l.Invariance-want.Invariance) <= 1e-7 && math.Abs(l.EmbedStd-want.Std) <= 1e-7) {
			t.Errorf("invariance %v, deviation %v; the run's first step has %v, %v", l.Invariance, l.EmbedStd,
				want.Invariance, want.Std)
		}
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%d bytes behind the last step, %v", len(rest), err)
	}
}

// logged is the first step of the run itself.
func logged(t *testing.T, c *config.Config) train.Metrics {
	t.Helper()
	folder, err := train.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	jc, err := c.JEPAConfig()
	if err != nil {
		t.Fatal(err)
	}
	model, err := jepa.New(e, jc, uint64(c.Seed), c.Train.BatchSize)
	if err != nil {
		t.Fatal(err)
	}
	maker, err := view.NewMaker(c.ViewConfig())
	if err != nil {
		t.Fatal(err)
	}
	set, err := opened(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	var first train.Metrics
	_, err = train.Pretrain(context.Background(), folder, e, model, loader.NewClips(set, maker, 1<<20),
		c.TrainConfig(set.Len()), func(m train.Metrics) {
			if m.Step == 1 {
				first = m
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	return first
}

// TestViewsRefuse: what the reader does not do is refused, and a broken pipe ends it.
func TestViewsRefuse(t *testing.T) {
	initial := filepath.Join(t.TempDir(), "init.safetensors")
	for _, more := range []string{"model.encoder=dual", "model.dropout=0.1", "loss.half=true", "mask.enabled=true"} {
		file, _ := tiny(t, more)
		if err := run(context.Background(), file, initial, io.Discard); err == nil ||
			!strings.Contains(err.Error(), "does none of it") {
			t.Errorf("%s: %v", more, err)
		}
	}
	file, _ := tiny(t)
	r, w := io.Pipe()
	r.Close()
	if err := run(context.Background(), file, initial, w); err == nil {
		t.Error("a reader that is gone is no error")
	}
	if err := run(context.Background(), "", initial, io.Discard); err == nil {
		t.Error("no configuration is no error")
	}
}
