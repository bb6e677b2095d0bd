package ablation

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"avjepa/internal/config"
)

// Plan is the content of a file of ablations.
type Plan struct {
	Name     string   `toml:"name"`     // of the folder of results
	Title    string   `toml:"title"`    // of the report; the name if empty
	Data     string   `toml:"data"`     // folder or location of the clips
	Base     string   `toml:"base"`     // preset, or several with commas between
	Seeds    []int64  `toml:"seeds"`    // every run is made with each; 0 alone if empty
	Steps    int      `toml:"steps"`    // 0 for the base's
	Set      []string `toml:"set"`      // key=value for all runs
	Baseline string   `toml:"baseline"` // run that others are compared with; the first if empty
	Runs     []Run    `toml:"run"`
	Compare  []Group  `toml:"compare"` // all runs together if there is none

	file string
}

// Run is one of the runs: presets and settings over the base and the common settings.
type Run struct {
	Name   string   `toml:"name"`
	Preset string   `toml:"preset"`
	Set    []string `toml:"set"`
	Claims string   `toml:"claims"` // preset whose claims it is held to; its own if it changes no more
}

// claims returns the preset whose claims the run is held to, "" for none.
func (r *Run) claims() string {
	if r.Claims != "" {
		return r.Claims
	}
	for _, kv := range r.Set {
		if key, _, _ := strings.Cut(kv, "="); !isElsewhere(strings.TrimSpace(key)) {
			return ""
		}
	}
	return r.Preset
}

// Group are runs whose curves are laid over each other.
type Group struct {
	Name  string   `toml:"name"`  // of its files
	Title string   `toml:"title"` // the name if empty
	Runs  []string `toml:"runs"`
}

// Bounds on a plan.
const (
	maxRuns   = 64
	maxSeeds  = 16
	maxGroups = 32
	maxTitle  = 200
	maxSet    = 100
)

// plainName is a name of one folder on every file system.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// Read reads a plan and checks all that can be told without its data. All errors are
// reported, not only the first.
func Read(file string) (*Plan, error) {
	p := &Plan{file: file}
	if err := config.DecodeFile(file, p); err != nil {
		return nil, err
	}
	if p.Title == "" {
		p.Title = p.Name
	}
	if len(p.Seeds) == 0 {
		p.Seeds = []int64{0}
	}
	if p.Baseline == "" && len(p.Runs) > 0 {
		p.Baseline = p.Runs[0].Name
	}
	if len(p.Compare) == 0 {
		p.Compare = []Group{{Name: "all", Title: p.Title, Runs: p.names()}}
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("ablation: %s: %w", file, err)
	}
	return p, nil
}

// names returns the names of the runs.
func (p *Plan) names() []string {
	var out []string
	for _, r := range p.Runs {
		out = append(out, r.Name)
	}
	return out
}

// Run returns the run of a name, or an error that says which there are.
func (p *Plan) Run(name string) (Run, error) {
	for _, r := range p.Runs {
		if r.Name == name {
			return r, nil
		}
	}
	return Run{}, fmt.Errorf("no run %.80q: there are %s", name, strings.Join(p.names(), ", "))
}

// Folder returns the name of the folder of a run with a seed, in that of the results.
func Folder(run string, seed int64) string { return fmt.Sprintf("%s-seed%d", run, seed) }

// checker gathers what is wrong.
type checker struct{ errs []error }

func (c *checker) want(ok bool, format string, args ...any) {
	if !ok {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

// name wants a name for a folder or file, unlike those before, whose letters may differ
// in case alone where the file system tells no difference.
func (c *checker) name(what, name string, before map[string]bool) {
	c.want(plainName.MatchString(name) && !strings.HasSuffix(name, "."), "%s %.80q: want letters, digits, "+
		"dots, dashes and underscores, at most 64, beginning with a letter or digit", what, name)
	low := strings.ToLower(name)
	c.want(!before[low], "%s %.80q: there are two of this name", what, name)
	before[low] = true
}

func (p *Plan) check() error {
	c := &checker{}
	c.name("name =", p.Name, map[string]bool{"latest": true})
	c.want(len(p.Title) <= maxTitle, "title has more than %d bytes", maxTitle)
	c.want(p.Data != "", `data is missing: want a folder written by avjepa ingest, as in data = "data/demo"`)
	c.want(p.Base != "", `base is missing: want a preset, as in base = "demo"`)
	c.want(p.Steps >= 0, "steps = %d: must not be negative", p.Steps)
	c.want(len(p.Seeds) <= maxSeeds, "more than %d seeds", maxSeeds)
	for i, s := range p.Seeds[:min(len(p.Seeds), maxSeeds)] {
		c.want(s >= 0, "seeds: %d must not be negative", s)
		c.want(!slices.Contains(p.Seeds[:i], s), "seeds: %d is there twice", s)
	}
	c.want(len(p.Runs) > 0, "no run: want at least one [[run]]")
	if len(p.Runs) > maxRuns || len(p.Compare) > maxGroups {
		c.want(false, "%d runs and %d comparisons: at most %d and %d", len(p.Runs), len(p.Compare),
			maxRuns, maxGroups)
		return errors.Join(c.errs...)
	}
	c.set("set", p.Set, "seed", "data.dir")
	runs := map[string]bool{}
	for _, r := range p.Runs {
		c.name("run", r.Name, runs)
		c.set("run "+r.Name, r.Set, "seed", "data.dir", "data.split", "eval.split")
		c.want(r.Claims == "" || slices.ContainsFunc(claims, func(of claim) bool {
			return of.preset == r.Claims
		}), "run %.80q: claims = %.80q: the paper claims nothing of that preset", r.Name, r.Claims)
	}
	groups := map[string]bool{}
	for _, g := range p.Compare {
		c.name("compare", g.Name, groups)
		c.want(len(g.Title) <= maxTitle, "compare %.80q: its title has more than %d bytes", g.Name, maxTitle)
		c.want(len(g.Runs) > 0 && len(g.Runs) <= maxRuns, "compare %.80q: want 1 to %d runs", g.Name, maxRuns)
		for i, name := range g.Runs {
			_, err := p.Run(name)
			c.want(err == nil, "compare %.80q: %v", g.Name, err)
			c.want(!slices.Contains(g.Runs[:i], name), "compare %.80q has %.80q twice", g.Name, name)
		}
	}
	if len(p.Runs) > 0 {
		_, err := p.Run(p.Baseline)
		c.want(err == nil, "baseline: %v", err)
	}
	return errors.Join(c.errs...)
}

// set wants key=value each, and none of the keys that all runs must have in common.
func (c *checker) set(what string, all []string, never ...string) {
	c.want(len(all) <= maxSet, "%.80s: more than %d settings", what, maxSet)
	for _, kv := range all[:min(len(all), maxSet)] {
		key, _, ok := strings.Cut(kv, "=")
		c.want(ok, "%.80s: set %.80q: want key=value", what, kv)
		c.want(!slices.Contains(never, strings.TrimSpace(key)),
			"%.80s: set %.80q: all runs have the same data and seeds, which stand at the top of the file "+
				"(data, seeds)", what, kv)
	}
}

// Config returns the configuration of a run with a seed: presets, then the settings of all,
// the run's own, and what over, unless it is nil, lays over them. Data and seed are the
// plan's whatever these say.
func (p *Plan) Config(r Run, seed int64, over func(*config.Config) error) (*config.Config, error) {
	c := config.New()
	presets := p.Base
	if r.Preset != "" {
		presets += "," + r.Preset
	}
	if err := c.ApplyPreset(presets); err != nil {
		return nil, p.of(r, err)
	}
	origin := "file " + p.file
	if p.Steps > 0 {
		if err := c.Set("train.steps", fmt.Sprint(p.Steps), origin); err != nil {
			return nil, p.of(r, err)
		}
	}
	for _, kv := range slices.Concat(p.Set, r.Set) {
		key, value, _ := strings.Cut(kv, "=")
		if err := c.Set(strings.TrimSpace(key), strings.TrimSpace(value), origin); err != nil {
			return nil, p.of(r, err)
		}
	}
	if over != nil {
		if err := over(c); err != nil {
			return nil, err
		}
	}
	for key, value := range map[string]string{"data.dir": p.Data, "seed": fmt.Sprint(seed)} {
		if err := c.Set(key, value, origin); err != nil {
			return nil, p.of(r, err)
		}
	}
	return c, nil
}

// of says which run of which file an error is about.
func (p *Plan) of(r Run, err error) error {
	return fmt.Errorf("%s: run %s: %w", filepath.ToSlash(p.file), r.Name, err)
}

// elsewhere are settings that say where and how a run is computed and kept, not what comes
// out: another value of them makes no other run.
var elsewhere = []string{"engine.", "data.cache_mb", "data.workers", "train.checkpoint_every",
	"train.keep", "eval."}

func isElsewhere(key string) bool {
	return slices.ContainsFunc(elsewhere, func(e string) bool {
		return key == e || strings.HasSuffix(e, ".") && strings.HasPrefix(key, e)
	})
}

// chosen are settings that a run may complete by itself when nobody has set them.
var chosen = []string{"view.mel_mean", "view.mel_std", "data.order", "data.lanes"}

// Differences returns the settings in which a run that was begun differs from the planned
// one, each as "key = old, now new": nil when it can go on, or is what is wanted.
func Differences(begun, planned *config.Config) []string {
	var out []string
	was := begun.Settings()
	for i, s := range planned.Settings() {
		if s.Value == was[i].Value || isElsewhere(s.Key) ||
			slices.Contains(chosen, s.Key) && s.Origin == "default" {
			continue
		}
		out = append(out, fmt.Sprintf("%s = %v, now %v", s.Key, was[i].Value, s.Value))
	}
	return out
}
