package ablation

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"avjepa/internal/config"
)

const goodPlan = `name = "p"
data = "data/x"
base = "demo"
seeds = [0, 3]
steps = 7
set = ["train.batch_size=8", "engine.threads=1"]
[[run]]
name = "a"
[[run]]
name = "b"
preset = "lambda-0,locals-4"
set = ["model.width=48"]
`

func writePlan(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func readPlan(t *testing.T, text string) *Plan {
	t.Helper()
	p, err := Read(writePlan(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlanMakesConfigurations(t *testing.T) {
	p := readPlan(t, goodPlan)
	if p.Baseline != "a" || len(p.Compare) != 1 || !slices.Equal(p.Compare[0].Runs, []string{"a", "b"}) {
		t.Errorf("baseline %q, groups %v", p.Baseline, p.Compare)
	}
	c, err := p.Config(p.Runs[1], 3, func(c *config.Config) error {
		return c.Set("seed", "99", "flag") // has no say in seeds and data
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Loss.Lambda != 0 || c.View.Locals != 4 || c.Model.Width != 48 || c.Model.Depth != 3 ||
		c.Train.Steps != 7 || c.Train.BatchSize != 8 || c.Seed != 3 || c.Data.Dir != "data/x" {
		t.Errorf("run b is\n%s", c.TOML())
	}
}

func TestExamplesCanBeUsed(t *testing.T) {
	files, err := filepath.Glob("../../examples/ablations/*.toml")
	if err != nil || len(files) != 2 {
		t.Fatalf("examples %v, %v", files, err)
	}
	for _, file := range files {
		p, err := Read(file)
		if err != nil {
			t.Error(err)
			continue
		}
		claimed := map[string]bool{}
		for _, r := range p.Runs {
			c, err := p.Config(r, 0, nil)
			if err != nil {
				t.Error(err)
			} else if err := c.Validate(); err != nil {
				t.Errorf("%s: run %s: %v", file, r.Name, err)
			}
			claimed[r.claims()] = true
		}
		for _, c := range claims {
			if !claimed[c.preset] {
				t.Errorf("%s has no run for the claims about %s", file, c.preset)
			}
		}
	}
}

// TestHostilePlans: what is wrong is said, whatever a file has, and soon.
func TestHostilePlans(t *testing.T) {
	edit := func(old, new string) string { return strings.Replace(goodPlan, old, new, 1) }
	for name, c := range map[string]struct{ text, want string }{
		"empty":           {"", "name ="},
		"no toml":         {"name = \x00", "plan.toml"},
		"unknown key":     {"sets = []\n" + goodPlan, `"sets"`},
		"unknown in run":  {goodPlan + "presets = \"x\"\n", "run.presets"},
		"name escapes":    {edit(`"p"`, `"../p"`), "name ="},
		"name absolute":   {edit(`"p"`, `"/tmp/p"`), "name ="},
		"name is dots":    {edit(`"p"`, `".."`), "name ="},
		"name is latest":  {edit(`"p"`, `"latest"`), "two of this name"},
		"run escapes":     {edit(`"a"`, `"a/../../b"`), "run"},
		"run with \\":     {edit(`"a"`, `"a\\b"`), "run"},
		"run hidden":      {edit(`"a"`, `".lock"`), "run"},
		"run too long":    {edit(`"a"`, `"`+strings.Repeat("a", 65)+`"`), "at most 64"},
		"duplicate":       {edit(`"a"`, `"b"`), "two of this name"},
		"duplicate case":  {edit(`"a"`, `"B"`), "two of this name"},
		"no runs":         {goodPlan[:strings.Index(goodPlan, "[[run]]")], "at least one"},
		"no data":         {edit(`data = "data/x"`, ""), "data"},
		"no base":         {edit(`base = "demo"`, ""), "base"},
		"seed negative":   {edit("[0, 3]", "[-1]"), "-1"},
		"seed twice":      {edit("[0, 3]", "[3, 3]"), "twice"},
		"seed a word":     {edit("[0, 3]", `["x"]`), "plan.toml"},
		"seeds many":      {edit("[0, 3]", "["+strings.Repeat("1,", 999)+"]"), "seeds"},
		"steps negative":  {edit("steps = 7", "steps = -7"), "-7"},
		"set no value":    {edit(`"train.batch_size=8"`, `"train.batch_size"`), "key=value"},
		"run sets seed":   {edit(`"model.width=48"`, `"seed=4"`), "seeds"},
		"run sets data":   {edit(`"model.width=48"`, `" data.dir = /etc"`), "same data"},
		"baseline":        {"baseline = \"z\"\n" + goodPlan, "baseline"},
		"claims":          {goodPlan + "claims = \"demo\"\n", "claims"},
		"group":           {goodPlan + "[[compare]]\nname=\"g\"\nruns=[\"a\",\"zz\"]\n", `"zz"`},
		"group escapes":   {goodPlan + "[[compare]]\nname=\"../g\"\nruns=[\"a\"]\n", "compare"},
		"group empty":     {goodPlan + "[[compare]]\nname=\"g\"\n", "1 to"},
		"group twice":     {goodPlan + "[[compare]]\nname=\"g\"\nruns=[\"a\",\"a\"]\n", "twice"},
		"many runs":       {goodPlan + strings.Repeat("[[run]]\nname=\"a\"\n", 999), "at most"},
		"large":           {goodPlan + strings.Repeat("#\n", 1<<20), "larger"},
		"dots":            {goodPlan + strings.Repeat("a.", 20000) + "b = 1\n", "dots"},
		"nested":          {goodPlan + "x = " + strings.Repeat("[", 30000) + "\n", "plan.toml"},
		"run is no table": {"run = 3\n", "plan.toml"},
	} {
		began := time.Now()
		p, err := Read(writePlan(t, c.text))
		if err == nil {
			t.Errorf("%s: no error, %v", name, p)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q lacks %q", name, err, c.want)
		} else if len(err.Error()) > 20_000 {
			t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.toml")); err == nil {
		t.Error("a file that is not there can be read")
	}
	for _, bad := range []string{`"nope"`, `"demo,"`, `"../demo"`} {
		p := readPlan(t, edit(`"demo"`, bad))
		if _, err := p.Config(p.Runs[0], 0, nil); err == nil {
			t.Errorf("base %s can be used", bad)
		}
	}
}

// TestDifferences: what makes another run is told, what only makes it elsewhere is not.
func TestDifferences(t *testing.T) {
	p := readPlan(t, goodPlan)
	begun, err := p.Config(p.Runs[0], 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for kv, want := range map[string]int{"engine.threads=2": 0, "data.workers=3": 0, "eval.windows=3": 0,
		"train.keep=9": 0, "train.steps=8": 1, "loss.lambda=0.5": 1, "view.mel_mean=-3": 1, "data.split=val": 1} {
		key, value, _ := strings.Cut(kv, "=")
		now, err := p.Config(p.Runs[0], 0, func(c *config.Config) error { return c.Set(key, value, "flag") })
		if err != nil {
			t.Fatal(err)
		}
		if got := Differences(begun, now); len(got) != want || want == 1 && !strings.Contains(got[0], key) {
			t.Errorf("%s: %v", kv, got)
		}
	}
	measured := *begun // what a run completes by itself
	measured.View.MelMean, measured.Data.Order = -5, "clips"
	if got := Differences(&measured, begun); len(got) > 0 {
		t.Errorf("a run that measured its statistics differs: %v", got)
	}
}
