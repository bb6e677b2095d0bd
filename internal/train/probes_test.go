package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/probe"
)

// probed is a trial with probes, evaluated every 4 steps.
func probed(r *trial, attentive bool) *trial {
	classes, several, err := Labels(r.set)
	if err != nil {
		r.t.Fatal(err)
	}
	p := &Probes{OnlineConfig: probe.DefaultOnline(classes), LR: 1e-2, Every: 4}
	p.Attentive, p.MultiLabel = attentive, several
	other := *r
	other.model.KeepTokens, other.probes = attentive, p
	return &other
}

// evaluations returns the text of probes.jsonl.
func (r *trial) evaluations() string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, probesName))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// sameEncoder fails unless both runs ended with the same bits of everything but probes,
// and logged the same losses of the objective.
func (r *trial) sameEncoder(other *trial, what string) {
	r.t.Helper()
	a, b := r.arrays(), other.arrays()
	for name, want := range b {
		if strings.Contains(name, "probe") {
			continue
		}
		got := a[name]
		for i, v := range want {
			if len(got) != len(want) || math.Float32bits(got[i]) != math.Float32bits(v) {
				r.t.Errorf("%s: %s[%d] differs", what, name, i)
				break
			}
		}
	}
	x, y := r.metrics(), other.metrics()
	for _, log := range [][]Metrics{x, y} {
		for i := range log {
			log[i].ProbeLinear, log[i].ProbeAttentive, log[i].ProbeUnimodal = 0, 0, 0
		}
	}
	if !slices.Equal(x, y) {
		r.t.Errorf("%s: other losses", what)
	}
}

// TestProbesChangeNothing: with a linear probe, and evaluations between the steps, every
// parameter, moment and loss of a run is that of one without, bit for bit. An attentive
// probe makes the last block compute all tokens, which sums in another order: there the
// run is that of a model that keeps its tokens and has no probes.
func TestProbesChangeNothing(t *testing.T) {
	for _, c := range []struct {
		what      string
		attentive bool
		alter     func(*trial)
	}{
		{"shared", false, func(*trial) {}},
		{"dual", false, func(r *trial) { r.model.Dual = true }},
		{"parts", false, func(r *trial) { r.model.MicroBatch, r.model.Recompute = 3, true }},
		{"attentive", true, func(*trial) {}},
		{"attentive and dual", true, func(r *trial) { r.model.Dual = true }},
	} {
		t.Run(c.what, func(t *testing.T) {
			r := newTrial(t)
			r.threads = 2
			r.model.Encoder.Dropout, r.model.Encoder.AttentionDropout = .2, .1
			c.alter(r)
			beside := probed(r, c.attentive).in("beside")
			alone := beside.in("alone")
			alone.probes = nil
			alone.mustRun(tinyConfig(10))
			beside.mustRun(tinyConfig(10))
			beside.sameEncoder(alone, "with and without probes")
			if _, err := os.Stat(filepath.Join(alone.dir, probesName)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a run without probes has a log of them: %v", err)
			}
			for i, m := range beside.metrics() {
				if !(m.ProbeLinear > 0 && m.ProbeUnimodal > 0) || m.ProbeAttentive > 0 != c.attentive {
					t.Errorf("step %d: %+v", i+1, m)
				}
			}
			if text := string(firstLine(t, alone.dir)); strings.Contains(text, "probe") {
				t.Errorf("a run without probes logs %s", text)
			}
			log, err := ReadProbes(beside.dir)
			if err != nil || len(log) != 3 {
				t.Fatalf("%d evaluations, %v; want those of steps 4, 8 and 10", len(log), err)
			}
			for i, l := range log {
				checkScores(t, l, []int{4, 8, 10}[i], c.attentive)
			}
		})
	}
}

func firstLine(t *testing.T, dir string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, metricsName))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return line
}

// checkScores fails unless an evaluation of ten clips of three classes has all numbers.
func checkScores(t *testing.T, l ProbeLog, step int, attentive bool) {
	t.Helper()
	if l.Step != step || l.Epoch != float64(step)/2 || l.Clips != 10 || l.Classes != 3 {
		t.Errorf("evaluation %+v, want step %d", l, step)
	}
	for what, s := range map[string]ProbeScores{"both": l.Both, "audio": l.Audio, "video": l.Video} {
		if s.LinearMAP != nil || s.AttentiveMAP != nil || (s.AttentiveTop1 != nil) != attentive {
			t.Errorf("%s: %+v", what, s)
		}
		if s.LinearTop1 == nil || !(*s.LinearTop1 >= 0 && *s.LinearTop1 <= 1) ||
			s.LinearTop5 == nil || *s.LinearTop5 != 1 { // there are but three classes
			t.Errorf("%s: linear %+v", what, s)
		}
	}
}

// TestProbesLearn: what the tiny encoder gives tells the ten clips apart, with few
// mistakes, and the losses fall.
func TestProbesLearn(t *testing.T) {
	r := probed(newTrial(t), true)
	r.model.Encoder.InitStd = .3 // else the CLS of all clips are much alike
	r.probes.LR, r.probes.Every = 5e-2, 0
	var seen []ProbeLog
	r.probes.Observe = func(l ProbeLog) { seen = append(seen, l) }
	r.mustRun(tinyConfig(160))
	log, err := ReadProbes(r.dir)
	if err != nil || len(log) != 80 || len(seen) != 80 {
		t.Fatalf("%d evaluations, %d seen, %v; want one of every epoch", len(log), len(seen), err)
	}
	last, m := log[len(log)-1], r.metrics()
	if !(*last.Both.LinearTop1 >= .6 && *last.Both.AttentiveTop1 >= .9) {
		t.Errorf("top-1 %v and %v of clips that were trained on, the commonest class is that of 4",
			*last.Both.LinearTop1, *last.Both.AttentiveTop1)
	}
	if first, end := m[0], m[len(m)-1]; !(end.ProbeLinear < .85*first.ProbeLinear &&
		end.ProbeAttentive < .5*first.ProbeAttentive) {
		t.Errorf("losses from %+v to %+v", first, end)
	}
}

// TestResumeProbes: 10 + 10 steps are 20 bit for bit with probes, checkpoint, log and
// evaluations, also after a crash whose log was ahead, and after an interrupt just
// before an evaluation.
func TestResumeProbes(t *testing.T) {
	whole := probed(newTrial(t), true)
	whole.threads, whole.probes.Clips = 2, 7
	whole.mustRun(tinyConfig(20))
	if n := strings.Count(whole.evaluations(), `"clips":7,"classes":3,"both":{"linear_top1":`); n != 5 {
		t.Fatalf("evaluations:\n%s", whole.evaluations())
	}
	parts, cfg := whole.in("parts"), tinyConfig(20)
	cfg.StopAfter, cfg.Resume = 10, true
	parts.mustRun(cfg)
	later := parts.evaluations() + `{"step":12,"clips":7}` + "\n" + `{"step":16,"cli`
	if err := os.WriteFile(filepath.Join(parts.dir, probesName), []byte(later), 0o644); err != nil {
		t.Fatal(err)
	}
	parts.mustRun(cfg)
	parts.same(whole, "10 + 10 and 20 steps")
	if parts.evaluations() != whole.evaluations() {
		t.Errorf("evaluations\n%s, want\n%s", parts.evaluations(), whole.evaluations())
	}

	cut := whole.in("cut")
	ctx, cancel := context.WithCancel(context.Background())
	cut.observe = func(m Metrics) {
		if m.Step == 8 {
			cancel()
		}
	}
	cfg.StopAfter = 0
	if _, err := cut.run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := strings.Count(cut.evaluations(), "\n"); n != 1 {
		t.Errorf("%d evaluations before the interrupt", n)
	}
	cut.observe = nil
	cut.mustRun(cfg)
	cut.same(whole, "after an interrupt")
	if cut.evaluations() != whole.evaluations() {
		t.Errorf("evaluations\n%s, want\n%s", cut.evaluations(), whole.evaluations())
	}
}

// TestProbesStartAnew: a checkpoint without probes, with others or with those of other
// classes begins them anew and says so; one with probes goes on without.
func TestProbesStartAnew(t *testing.T) {
	bare := newTrial(t)
	cfg := tinyConfig(12)
	cfg.StopAfter, cfg.Resume = 4, true
	bare.mustRun(cfg)
	var said []string
	r := probed(bare, false)
	r.probes.Say = func(text string) { said = append(said, text) }
	r.mustRun(cfg)
	if len(said) != 1 || !strings.Contains(said[0], "step 4 has none") {
		t.Fatalf("said %q", said)
	}
	r.mustRun(cfg)
	if len(said) != 1 {
		t.Errorf("said %q", said[1:])
	}
	path, err := Latest(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	state, _, err := ReadState(path)
	if err != nil || state.Step != 12 || state.Probes == nil || state.Probes.Taken != 8 ||
		!strings.HasPrefix(state.Probes.Classes, "3 classes ") {
		t.Fatalf("state %+v, %v", state.Probes, err)
	}
	cfg.Schedule.Steps, cfg.StopAfter = 20, 2
	r.model.KeepTokens, r.probes.Attentive = true, true
	r.mustRun(cfg)
	if len(said) != 2 || !strings.Contains(said[1], "step 12 has others") {
		t.Errorf("said %q", said[1:])
	}
	without := *r
	without.probes = nil
	without.mustRun(cfg)
	for name := range without.arrays() {
		if strings.Contains(name, "probe") {
			t.Errorf("%s is still saved", name)
		}
	}
	renamed := *r
	renamed.set = datasettest.Make(t, datasettest.Config{Clips: 10, Labels: func(i int) []string {
		return []string{fmt.Sprintf("kind%d", i%3)}
	}})
	r.mustRun(cfg)
	renamed.mustRun(cfg)
	if len(said) != 4 || !strings.Contains(said[3], "of other classes") {
		t.Errorf("said %q", said[2:])
	}
}

// TestProbeNames: the arrays of probes in a checkpoint have the published code's names,
// with their moments.
func TestProbeNames(t *testing.T) {
	r := probed(newTrial(t), true)
	r.mustRun(tinyConfig(2))
	path, err := Latest(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := checkpoint.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"probe_norm.weight", "probe_head.bias", "att_probe.query",
		"att_probe.cross_attn.in_proj_weight", "att_probe.cross_attn.out_proj.bias",
		"att_probe.norm.bias", "att_probe.head.weight"} {
		for _, prefix := range []string{"", "adamw.m.", "adamw.v."} {
			if !f.Has(prefix + name) {
				t.Errorf("no %s%s", prefix, name)
			}
		}
	}
}

// TestSeveralLabels trains and evaluates probes of clips with one or two labels each.
func TestSeveralLabels(t *testing.T) {
	r := newTrial(t)
	r.set = datasettest.Make(t, datasettest.Config{Clips: 10, Labels: func(i int) []string {
		all := []string{fmt.Sprintf("class%d", i%3), "other"}
		return all[:1+i%2]
	}})
	r = probed(r, true)
	if !r.probes.MultiLabel || r.probes.Classes != 4 {
		t.Fatalf("%+v", r.probes)
	}
	r.mustRun(tinyConfig(8))
	log, err := ReadProbes(r.dir)
	if err != nil || len(log) != 2 {
		t.Fatalf("%d evaluations, %v", len(log), err)
	}
	for what, s := range map[string]ProbeScores{"both": log[1].Both, "audio": log[1].Audio,
		"video": log[1].Video} {
		if s.LinearTop1 != nil || s.AttentiveTop5 != nil || s.LinearMAP == nil || s.AttentiveMAP == nil ||
			!(*s.LinearMAP > 0 && *s.LinearMAP <= 1 && *s.AttentiveMAP > 0 && *s.AttentiveMAP <= 1) ||
			s.Linear() != s.LinearMAP || s.Attentive() != s.AttentiveMAP {
			t.Errorf("%s: %+v", what, s)
		}
	}
	if m := r.metrics()[0]; !(math.Abs(m.ProbeLinear-math.Ln2) < .4) {
		t.Errorf("binary cross-entropy %v at first, ln 2 is that of no knowledge", m.ProbeLinear)
	}
}

// TestLabels: sets that probes cannot learn from are refused with what to do.
func TestLabels(t *testing.T) {
	for want, labels := range map[string]func(int) []string{
		"none of the 8 clips":  func(int) []string { return nil },
		"3 of 8 clips have no": func(i int) []string { return []string{"a", "b"}[:i%3] },
		"all clips have":       func(int) []string { return []string{"a"} },
	} {
		_, _, err := Labels(datasettest.Make(t, datasettest.Config{Labels: labels}))
		if err == nil || !strings.Contains(err.Error(), want) ||
			!strings.Contains(err.Error(), "probe.online") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	r := probed(newTrial(t), false)
	held := r.in("held")
	held.set = datasettest.Make(t, datasettest.Config{Labels: func(int) []string { return []string{"x"} }})
	p := *r.probes
	p.HeldOut = held.clips()
	e, model := r.open(tinyConfig(4))
	defer e.Close()
	folder, err := Open(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	cfg := tinyConfig(4)
	cfg.Probes = &p
	if _, err := Pretrain(context.Background(), folder, e, model, r.clips(), cfg, nil); err == nil ||
		!strings.Contains(err.Error(), "probe.split") {
		t.Errorf("held-out clips of other classes: %v", err)
	}
}

// TestProbesBehind holds a run on an engine that computes behind the caller's back, and
// records steps, to one that does not: a step sees the labels of its own batch.
func TestProbesBehind(t *testing.T) {
	r := probed(newTrial(t), true)
	r.mustRun(tinyConfig(10))
	behind := r.in("behind")
	behind.wrap = func(e engine.Engine) engine.Engine { return &recorded{Engine: e} }
	behind.mustRun(tinyConfig(10))
	behind.same(r, "a recorded run")
	if behind.evaluations() != r.evaluations() {
		t.Errorf("evaluations\n%s, want\n%s", behind.evaluations(), r.evaluations())
	}
}

// recorded is an engine that lets no upload or download be part of a step that it is
// told to record, but for those before the first operation.
type recorded struct {
	engine.Engine
	within, on bool
}

func (e *recorded) Info() engine.Info {
	i := e.Engine.Info()
	i.Async = true
	return i
}

func (e *recorded) Record(step func()) {
	e.within = true
	step()
	e.within, e.on = false, false
}

func (e *recorded) Fill(dst engine.Tensor, v float32) { // the first of a step
	e.on = e.within
	e.Engine.Fill(dst, v)
}

func (e *recorded) Upload(dst engine.Tensor, src []float32) {
	if e.on {
		panic("an upload within a recorded step")
	}
	e.Engine.Upload(dst, src)
}

func (e *recorded) Download(dst []float32, src engine.Tensor) {
	if e.on {
		panic("a download within a recorded step")
	}
	e.Engine.Download(dst, src)
}

// TestProbesInProcesses holds the probes of 2 processes, and of 2 that go on as one, to
// those of one: gradients are averaged, and each evaluates a share of the clips.
func TestProbesInProcesses(t *testing.T) {
	one, cfg := exactly(t, 8)
	one = probed(one, true)
	one.probes.Clips = 9
	reference := func(m *member) { m.ref = true }
	one.mustGroup(1, cfg, reference)
	two := one.in("two")
	two.mustGroup(2, cfg, reference)
	parts := one.in("parts")
	cfg.StopAfter, cfg.Resume = 4, true
	parts.mustGroup(2, cfg, reference)
	parts.mustGroup(1, cfg, reference)
	for what, r := range map[string]*trial{"2 processes": two, "2 and 1 processes": parts} {
		r.near(one, what, 1e-5)
		x, y := r.metrics(), one.metrics()
		for i := range x {
			for _, d := range []float64{x[i].ProbeLinear - y[i].ProbeLinear,
				x[i].ProbeAttentive - y[i].ProbeAttentive, x[i].ProbeUnimodal - y[i].ProbeUnimodal} {
				if !(math.Abs(d) <= 1e-5) {
					t.Errorf("%s, step %d: losses %+v, want %+v", what, i+1, x[i], y[i])
				}
			}
		}
		if r.evaluations() != one.evaluations() {
			t.Errorf("%s: evaluations\n%s, want\n%s", what, r.evaluations(), one.evaluations())
		}
	}
	other := one.in("other")
	_, errs := other.group(2, cfg, func(m *member) {
		p := *m.probes
		if m.probes = &p; m.Rank == 1 {
			p.LR = 5
		}
	})
	if errs[0] == nil || !strings.Contains(errs[0].Error(), "online probes") {
		t.Errorf("processes with other probes: %v", errs)
	}
}

// TestProbesFitBeside: evaluation fits into the memory of a step whatever saves that, and
// clips that cannot be read are left out.
func TestProbesFitBeside(t *testing.T) {
	for _, dual := range []bool{false, true} {
		r := newTrial(t)
		r.model.Dual, r.model.MicroBatch, r.model.Recompute = dual, 1, true
		r.model.Encoder.DropAbsent, r.model.Encoder.FinalNorm = true, true
		r = probed(r, false)
		r.mustRun(tinyConfig(2))
	}
	r := probed(newTrial(t), true)
	cfg := tinyConfig(2)
	p := r.heldOut()
	cfg.Probes = p
	e, model := r.open(cfg)
	defer e.Close()
	pr, err := newProber(&cfg, e, model, r.set)
	if err != nil {
		t.Fatal(err)
	}
	s := pr.score(context.Background())
	s.Logits[1][0][4] = float32(math.NaN())
	if _, err := pr.measure([]*scores{s}); !errors.Is(err, ErrNotFinite) {
		t.Errorf("a score that is not finite: %v", err)
	}
	if _, err := pr.measure([]*scores{{}}); err == nil || !strings.Contains(err.Error(), "can be read") {
		t.Errorf("no clip: %v", err)
	}
}

// TestProbeLine: a line of the log has the keys that figures of several runs read.
func TestProbeLine(t *testing.T) {
	x := .25
	text, err := json.Marshal(ProbeLog{Step: 4, Epoch: 2, Clips: 10, Classes: 3,
		Both:  ProbeScores{LinearTop1: &x, LinearTop5: &x, AttentiveTop1: &x, AttentiveTop5: &x},
		Audio: ProbeScores{LinearMAP: &x, AttentiveMAP: &x}})
	want := `{"step":4,"epoch":2,"clips":10,"classes":3,` +
		`"both":{"linear_top1":0.25,"linear_top5":0.25,"attentive_top1":0.25,"attentive_top5":0.25},` +
		`"audio":{"linear_map":0.25,"attentive_map":0.25},"video":{}}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}
