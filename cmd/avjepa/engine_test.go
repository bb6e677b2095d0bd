package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/config"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	enginecpu "avjepa/internal/engine/cpu"
	"avjepa/internal/engine/torch/shim/shimtest"
)

// withCache runs the binary with a cache folder of its own.
func withCache(t *testing.T, cache string, args ...string) outcome {
	t.Helper()
	c := command(t.TempDir(), args...)
	c.Env = append(c.Env, "XDG_CACHE_HOME="+cache)
	return finish(t, c)
}

// Without libtorch, and before it is built, everything says so, with the command
// that mends it; doctor finds no fault in it.
func TestEngineMissing(t *testing.T) {
	cache, empty := t.TempDir(), t.TempDir()
	withCache(t, cache, "engine", "build", "--torch", empty).
		wants(t, 10, "no libtorch", filepath.Join(empty, "lib"), "libtorch-dev")
	withCache(t, cache, "engine", "build", "--python", "/nowhere/python").
		wants(t, 10, "/nowhere/python")
	m := withCache(t, cache, "engine", "info", "--torch", empty, "--json").wants(t, 0).object(t)
	if fault, _ := m["fault"].(string); !strings.Contains(fault, "avjepa engine build") ||
		m["current"] != nil {
		t.Errorf("info: %v", m)
	}
	if o := withCache(t, cache, "engine", "info", "--torch", empty).wants(t, 0); !strings.Contains(
		o.stdout, "no libtorch_cpu.so") {
		t.Errorf("info does not say what is missing:\n%s", o.stdout)
	}
	withCache(t, cache, "bench", "--engine", "torch").wants(t, 10, "avjepa engine build")
	if o := withCache(t, cache, "doctor"); !strings.Contains(o.stdout, "✓ torch") ||
		!strings.Contains(o.stdout, "avjepa engine build") {
		t.Errorf("doctor:\n%s", o.stdout)
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("the cache has %v, %v", left, err)
	}
}

func TestEngineRefuses(t *testing.T) {
	for _, c := range []struct {
		code int
		args string
		want []string
	}{
		{10, "--engine gpu", []string{`"gpu"`, `"cpu"`, `"torch"`}},
		{10, "--precision bf16", []string{"bf16", "float32 alone", "engine.name = torch"}},
		{11, "--precision f16", []string{"engine.precision", `"f16"`, "bf16"}},
		{11, "--device cuda", []string{"engine.device", `"cpu" has no GPU`}},
		{11, "--engine torch --device gpu0", []string{"engine.device", `"gpu0"`, "cuda:N"}},
	} {
		run(t, t.TempDir(), append([]string{"bench"}, strings.Fields(c.args)...)...).
			wants(t, c.code, c.want...)
	}
}

func TestTorchDevice(t *testing.T) {
	for _, o := range []struct {
		name string
		cuda bool
		rank string
		want string // "" for an error
	}{
		{"", true, "", "cpu"}, {"cpu", true, "1", "cpu"}, {"auto", false, "", "cpu"},
		{"auto", true, "", "cuda:0"}, {"auto", true, "3", "cuda:3"}, {"cuda", true, "", "cuda:0"},
		{"cuda", true, "7", "cuda:7"}, {"cuda:2", true, "7", "cuda:2"}, {"cuda", true, "x", ""},
		{"cuda", true, "-1", ""}, {"cuda", false, "", ""}, {"cuda:1", false, "", ""},
	} {
		t.Setenv(localRank, o.rank)
		got, err := torchDevice(o.name, o.cuda)
		if got != o.want || (err == nil) != (o.want != "") {
			t.Errorf("%+v: %q, %v", o, got, err)
		}
	}
}

// A run's checkpoint does not bring its engine along: environment and flags choose.
func TestLocalEngine(t *testing.T) {
	trained := config.Engine{Name: "torch", Device: "cuda:5", Precision: "bf16", Threads: 3}
	got, err := localEngine(trained, "", "")
	if want := (config.Engine{Name: "cpu", Precision: "f32", Threads: 3,
		GroupTimeout: config.New().Engine.GroupTimeout}); got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	t.Setenv("AVJEPA_ENGINE_NAME", "torch")
	t.Setenv("AVJEPA_ENGINE_THREADS", "2")
	got, err = localEngine(trained, "", "auto")
	if want := (config.Engine{Name: "torch", Device: "auto", Precision: "f32",
		Threads: 2, GroupTimeout: config.New().Engine.GroupTimeout}); got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err = localEngine(trained, "gpu", ""); exitCode(err) != exitEngine {
		t.Errorf("%+v, %v", got, err)
	}
}

// apart is an engine with memory of its own, which computes behind the caller's back.
type apart struct{ engine.Engine }

func (a apart) Info() engine.Info {
	i := a.Engine.Info()
	i.Async = true
	return i
}

func (apart) DeviceMemory() (free, total int64, ok bool) { return 3 << 30, 4 << 30, true }

// On a GPU the dry run tells its memory and the host's apart: their sum is what one
// memory would hold, and the clips ahead are the host's.
func TestDryRunTellsTheMemoryOfTheDevice(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 16, Seconds: 3, FPS: 12.5})
	c := config.New()
	if err := c.ApplyPreset("demo"); err != nil {
		t.Fatal(err)
	}
	c.Train.BatchSize = 16
	e, err := enginecpu.New(enginecpu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	one, err := planRun(t.Context(), c, e, set)
	if err != nil {
		t.Fatal(err)
	}
	two, err := planRun(t.Context(), c, apart{e}, set)
	if err != nil {
		t.Fatal(err)
	}
	if one.Device != nil || two.Device == nil {
		t.Fatalf("devices %+v, %+v", one.Device, two.Device)
	}
	inputs := one.BatchBytes / (1 + batchesAhead)
	if d := two.Device; d.FreeBytes != 3<<30 || d.AllBytes != 4<<30 ||
		d.TotalBytes < one.TrainedBytes+one.ActiveBytes+2*inputs {
		t.Errorf("device %+v, run %+v", d, one)
	}
	if host := two.BatchBytes - 2*inputs + two.CacheBytes + two.WorkBytes; two.TotalBytes != host {
		t.Errorf("%d bytes on the host, want %d", two.TotalBytes, host)
	}
	var out strings.Builder
	if err := showPlan(&out, two, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"memory of the host", "memory of the GPU", "of 3072.0 MB free"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// torchCache returns a cache folder with the shim that tests have built.
func torchCache(t *testing.T) string {
	t.Helper()
	built := filepath.Dir(shimtest.Library(t))
	cache := t.TempDir()
	err := os.CopyFS(filepath.Join(cache, "avjepa", "torch", filepath.Base(built)), os.DirFS(built))
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// The torch engine is found built, chosen, and gives the figures of the CPU's.
func TestEngineTorch(t *testing.T) {
	cache := torchCache(t)
	m := withCache(t, cache, "engine", "build", "--json").wants(t, 0).object(t)
	path, _ := m["library"].(map[string]any)["path"].(string)
	if !strings.HasPrefix(path, cache) || m["device"] == "" {
		t.Errorf("built %v", m)
	}
	m = withCache(t, cache, "engine", "info", "--json").wants(t, 0).object(t)
	if m["fault"] != nil || m["current"].(map[string]any)["path"] != path {
		t.Errorf("info %v", m)
	}
	if o := withCache(t, cache, "doctor"); !strings.Contains(o.stdout, "✓ torch    libtorch") {
		t.Errorf("doctor:\n%s", o.stdout)
	}
	m = withCache(t, cache, "bench", "--presets", "tiny", "--modes", "forward", "--repeat", "1",
		"--engine", "torch", "--threads", "1", "--json").wants(t, 0).object(t)
	if m["engine"] != "torch" || m["precision"] != "f32" || !(number(t, m, "gflops") > 0) {
		t.Errorf("bench %v", m)
	}
	withCache(t, cache, "bench", "--engine", "torch", "--modes", "forward-int8").wants(t, 10)
}

// A trained model's embeddings rank on the torch engine as on the CPU's, and a run
// begins with the same loss.
func TestTorchTrainsAndRetrieves(t *testing.T) {
	dir, cache := demoFolder(t), torchCache(t)
	on := func(args ...string) map[string]any {
		c := command(dir, append(args, "--json", "--quiet")...)
		c.Env = append(c.Env, "XDG_CACHE_HOME="+cache)
		return finish(t, c).wants(t, 0).object(t)
	}
	a, b := on("retrieve", "runs/demo"), on("retrieve", "runs/demo", "--engine", "torch")
	for _, key := range []string{"a2v.mean", "v2a.mean", "a2v.r10", "v2a.r10"} {
		if x, y := number(t, a, key), number(t, b, key); !(math.Abs(x-y) <= 0.05*math.Abs(x)) {
			t.Errorf("%s is %v on the CPU's engine, %v on torch", key, x, y)
		}
	}
	losses := map[string]string{}
	for _, name := range []string{"cpu", "torch"} {
		runs := t.TempDir()
		on(pretrainArgs(runs, "--steps", "2", "--engine", name)...)
		losses[name] = string(readFile(t, runs, "r", "metrics.jsonl"))
	}
	if x, y := firstLoss(t, losses["cpu"]), firstLoss(t, losses["torch"]); !(math.Abs(x-y) <= 1e-4*math.Abs(x)) {
		t.Errorf("the first loss is %v on the CPU's engine, %v on torch", x, y)
	}
}

// firstLoss is the total of the first line of a log.
func firstLoss(t *testing.T, log string) float64 {
	t.Helper()
	line, _, _ := strings.Cut(log, "\n")
	return number(t, parse(t, []byte(line)), "total")
}

// What a GPU does in a faster way is shown, a line for each.
func TestEngineInfoShowsPaths(t *testing.T) {
	i := engineInfo{Compiler: "g++", tried: tried{Device: "a GPU",
		Paths: []string{"dropout kernel: used", "fused attention: not used: no cuDNN"}}}
	var out strings.Builder
	if err := i.show(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"device    a GPU\n", "          dropout kernel: used\n", "no cuDNN\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := i.show(&out, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"device": "a GPU"`) || !strings.Contains(out.String(), "no cuDNN") {
		t.Errorf("as JSON: %s", out.String())
	}
}
