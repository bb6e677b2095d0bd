package main

import (
	"math"
	"syscall"
	"testing"

	"avjepa/internal/dataset/datasettest"
)

// What --dry-run says a run takes is what it took at most, within a tenth: one
// that is mostly activations, one with probes, one in parts that is mostly clips, with views of floats,
// and one that holds the records of clips to come.
func TestDryRunTellsTheMemoryOfTheRun(t *testing.T) {
	data := t.TempDir()
	datasettest.Make(t, datasettest.Config{Dir: data, Clips: 64, Seconds: 3, FPS: 12.5,
		Width: 96, Height: 96})
	for name, set := range map[string][]string{
		"activations": {"model.width=192", "train.batch_size=32"},
		"clips in parts": {"mask.enabled=true", "view.local_crop=true", "train.batch_size=48",
			"train.micro_batch=12"},
		"online probes": {"train.batch_size=32", "probe.online=true", "probe.split=train"},
		"order shards":  {"train.batch_size=16", "data.cache_mb=0", "data.order=shards", "data.shuffle_mb=16"},
	} {
		args := []string{"pretrain", "--preset", "demo", "--data", data, "--runs", t.TempDir(),
			"--steps", "4", "--json", "--quiet"}
		for _, kv := range set {
			args = append(args, "--set", kv)
		}
		m := run(t, data, append(args, "--dry-run")...).wants(t, 0).object(t)
		said := number(t, m, "total_bytes")
		c := command(data, args...)
		finish(t, c).wants(t, 0)
		took := float64(c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) * 1024
		if took == 0 {
			t.Skip("this system does not tell the memory of a process")
		}
		if diff := took/said - 1; !(math.Abs(diff) <= .1) {
			t.Errorf("%s: %.1f MB, %.1f said (%+.0f %%): %v", name, took/(1<<20), said/(1<<20),
				100*diff, m)
		}
	}
}
