package main

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/train"
)

// TestInit begins with the weights of another run, of the same geometry and of
// another, whose positions are interpolated; and evaluates at another geometry.
func TestInit(t *testing.T) {
	dir, runs := demoFolder(t), t.TempDir()
	args := []string{"pretrain", "--runs", runs, "--preset", "demo", "--data", toyClips,
		"--threads", "1", "--init", "runs/demo", "--set", "train.batch_size=8", "--set", "train.lr=1e-12",
		"--set", "train.min_lr=0"}
	begin := func(name string, more ...string) outcome {
		return run(t, dir, append(append(args[:len(args):len(args)], "--name", name), more...)...)
	}
	o := begin("r", "--steps", "1").wants(t, 0, "weights of runs/demo/checkpoints/step-", "step 12")
	if strings.Contains(o.stderr, "interpolated") || strings.Contains(o.stderr, "left at") {
		t.Errorf("the same geometry is not taken as it is:\n%s", o.stderr)
	}
	// A step of a rate of nothing leaves the weights.
	want, got := weights(t, filepath.Join(dir, "runs/demo")), weights(t, filepath.Join(runs, "r"))
	for _, name := range []string{"encoder.encoder.blocks.2.mlp.dense_1.weight",
		"encoder.embedding.video_spatial_embed", "projector.net.6.weight"} {
		a, b := want(name), got(name)
		for i := range a {
			if !(math.Abs(float64(a[i]-b[i])) <= 1e-9) {
				t.Fatalf("%s[%d] = %g, in the run of --init %g", name, i, b[i], a[i])
			}
		}
	}
	o = run(t, dir, "pretrain", "--runs", runs, "--name", "r", "--resume", "--steps", "2").wants(t, 0)
	if strings.Contains(o.stderr, "weights of") {
		t.Errorf("a resumed run began anew from --init:\n%s", o.stderr)
	}

	larger := []string{"--set", "view.side=64", "--set", "view.resize=64", "--set", "view.frames=32"}
	begin("large", append(larger, "--steps", "1")...).wants(t, 0,
		"interpolated: encoder.embedding.video_spatial_embed 2×2 to 4×4 places",
		"interpolated: encoder.embedding.video_time_embed 4 to 8 places")
	begin("wide", "--steps", "1", "--set", "projector.out=32").wants(t, 0,
		"left at its initial values: projector: ")
	begin("dual", "--steps", "1", "--set", "model.encoder=dual").wants(t, 13, "model.encoder",
		"audio_embedding")
	run(t, dir, append(args, "--name", "none", "--init", "runs/none")...).wants(t, 1, "train.init")

	o = run(t, dir, append([]string{"retrieve", "runs/demo", "--json"}, larger...)...).
		wants(t, 0, "4 to 8 places")
	if n := number(t, o.object(t), "n"); n != 32 {
		t.Errorf("retrieval of %v clips at another geometry, want 32", n)
	}
	run(t, dir, "retrieve", "runs/demo", "--set", "model.width=48").wants(t, 13, "wanted")
	run(t, dir, "retrieve", "runs/demo", "--set", "model.patch=32").wants(t, 13, "video_patch_embed")
	run(t, dir, "retrieve", "runs/demo", "--set", "view.side=33").wants(t, 11, "33")
}

// weights returns what reads arrays of a run's last checkpoint by name.
func weights(t *testing.T, run string) func(name string) []float32 {
	t.Helper()
	path, err := train.Latest(run)
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) []float32 {
		a, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		return a.Data
	}
}
