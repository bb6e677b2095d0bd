package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/media"
	"avjepa/internal/report"
	"avjepa/internal/scenes"
	"avjepa/internal/train"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	data    string
	work    string
	runs    string
	name    string
	seed    int64
	minutes float64
	fresh   bool
	train   int // scenes
	heldOut int // scenes
	preset  string
	set     []string
}

func newDemoCommand(g *globals) *cobra.Command {
	o := &demoOptions{}
	c := &cobra.Command{
		Use:   "demo",
		Short: "From nothing to a trained encoder and a report, in one command",
		Long: `Makes a small set of sounding scenes (real MP4 files), ingests it, pretrains a tiny
encoder on it without labels, measures retrieval and linear probes on held-out
scenes, and writes a report with pictures. With --data it does the same on your
own videos. Interrupted, it goes on where it was.`,
		Example: `  avjepa demo
  avjepa demo --seed 1 --name demo-1
  avjepa demo --data ~/Videos`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkName(o.name); err != nil {
				return err
			}
			p := g.progress()
			sum, err := runDemo(cmd.Context(), o, p)
			p.wait()
			if errors.Is(err, errInterrupted) && o.fresh {
				return fmt.Errorf("%w; the same command without --fresh goes on from here", err)
			}
			if errors.Is(err, errInterrupted) {
				return sameAgain(err)
			}
			if err != nil {
				return err
			}
			return showDemo(cmd.OutOrStdout(), sum, g.json)
		},
	}
	f := c.Flags()
	made := scenes.Default()
	f.IntVar(&o.train, "scenes", made.Train, "scenes to make and train on")
	f.IntVar(&o.heldOut, "held-out", made.HeldOut, "scenes to make and measure on")
	f.StringVar(&o.data, "data", "", "your own videos: a folder, a file or a CSV")
	f.StringVar(&o.work, "work", "data/demo", "folder for scenes and shards")
	f.StringVar(&o.runs, "runs", "runs", "folder of runs")
	f.StringVar(&o.name, "name", "demo", "name of the run")
	f.Int64Var(&o.seed, "seed", 0, "seed of the model and its training")
	f.Float64Var(&o.minutes, "minutes", 8, "most minutes in all; training is shortened to fit")
	f.BoolVar(&o.fresh, "fresh", false, "train again from the start when the run exists")
	f.StringVar(&o.preset, "preset", "", "preset: demo for the scenes, tiny for your own videos")
	f.StringArrayVar(&o.set, "set", nil, "one setting, as for pretrain")
	return c
}

// demo is a demo in progress.
type demo struct {
	*demoOptions
	p     *progress
	start time.Time
	sum   *demoSummary
	cfg   *config.Config
	own   bool // the user's own videos
}

func runDemo(ctx context.Context, o *demoOptions, p *progress) (*demoSummary, error) {
	d := &demo{demoOptions: o, p: p, start: time.Now(), own: o.data != "",
		sum: &demoSummary{Stages: map[string]float64{}, Seed: o.seed}}
	if o.preset == "" {
		o.preset = "demo"
		if d.own {
			o.preset = "tiny"
		}
	}
	cfg, err := (&settings{preset: o.preset, set: o.set}).resolve()
	if err != nil {
		return nil, err
	}
	d.cfg = cfg
	if err := d.choose("data.dir", d.folder("clips")); err != nil {
		return nil, err
	}
	if err := d.choose("seed", o.seed); err != nil {
		return nil, err
	}
	if err := validate(cfg); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"scenes", d.makeScenes}, {"ingest", d.ingest},
		{"pretrain", d.pretrain}, {"evaluate", d.evaluate},
	} {
		began := time.Now()
		if err := s.run(ctx); err != nil {
			return nil, err
		}
		d.sum.Stages[s.name] = time.Since(began).Seconds()
	}
	d.sum.Seconds = time.Since(d.start).Seconds()
	run, err := train.Open(d.dir())
	if err != nil {
		return nil, err
	}
	defer run.Close()
	return d.sum, run.WriteJSON("summary.json", d.sum)
}

func (d *demo) dir() string { return filepath.Join(d.runs, d.name) }

// choose sets a value that the demo decides on itself.
func (d *demo) choose(key string, value any) error {
	if err := d.cfg.Set(key, fmt.Sprint(value), "demo"); err != nil {
		return configError(err)
	}
	return nil
}

// folder returns where scenes or clips lie: other scenes or videos, another
// folder.
func (d *demo) folder(what string) string {
	if d.own {
		h := fnv.New32a()
		io.WriteString(h, d.data)
		what = fmt.Sprintf("own-%08x", h.Sum32())
	} else if def := scenes.Default(); d.train != def.Train || d.heldOut != def.HeldOut {
		what = fmt.Sprintf("%s-%d-%d", what, d.train, d.heldOut)
	}
	return filepath.Join(d.work, what)
}

// makeScenes writes the sounding scenes, unless there are videos already.
func (d *demo) makeScenes(ctx context.Context) error {
	if d.own {
		return nil
	}
	tools, err := media.Find()
	if err != nil {
		return err
	}
	cfg := scenes.Default()
	cfg.Train, cfg.HeldOut, cfg.Workers = d.train, d.heldOut, runtime.NumCPU()
	if err := cfg.Validate(); err != nil {
		return usageError(err)
	}
	st := d.p.stage(ctx, "scenes", int64(cfg.Train+cfg.HeldOut), "scenes")
	err = scenes.Write(ctx, tools, d.folder("scenes"), cfg,
		func(done, total int) { st.set(int64(done), int64(total), "") })
	st.endWith(err)
	return err
}

// ingest turns the videos into shards.
func (d *demo) ingest(ctx context.Context) error {
	def := dataset.DefaultIngestConfig().Settings
	o := &ingestOptions{sources: []string{d.data}, out: d.cfg.Data.Dir,
		shortSide: d.cfg.View.Resize, fps: def.FPS, clipSeconds: 10, valFraction: 0.2}
	if !d.own {
		o.sources = []string{filepath.Join(d.folder("scenes"), scenes.ManifestName)}
		o.fps = scenes.Default().FPS
	}
	sum, _, err := runIngest(ctx, o, d.p)
	if err != nil {
		return err
	}
	d.sum.Clips = sum.Splits
	if n := len(sum.LeftOut); n > 0 {
		d.p.say("%s left out, with reasons in %s", amount(n, "clips"), filepath.Join(o.out, "left-out.csv"))
	}
	return nil
}

// evaluate measures retrieval and probes on held-out clips and writes the report.
func (d *demo) evaluate(ctx context.Context) error {
	ev, err := evaluate(ctx, d.dir(), &evalOptions{}, d.p)
	if err != nil {
		return err
	}
	d.sum.Retrieval, d.sum.Run = ev.metrics, d.dir()
	if !d.own {
		shifted, err := evaluate(ctx, d.dir(), &evalOptions{shift: demoShift}, d.p)
		if err != nil {
			return err
		}
		d.sum.Shifted = &shifted.metrics
	}
	if d.sum.Probe, err = fitProbes(ctx, ev, d.p); err != nil {
		return err
	}
	data, err := reportData(ctx, d.dir(), ev, 8)
	if err != nil {
		return err
	}
	if data.Panels, err = ev.panels(ctx, d.p); err != nil {
		return err
	}
	if t := d.probeTable(); t != nil {
		data.Tables = append(data.Tables, *t)
	}
	if m := d.sum.Shifted; m != nil {
		rows := retrievalRows(*m)
		data.Tables = append(data.Tables, report.Table{Title: "Does it use the moments?",
			Read: fmt.Sprintf("The same with every picture %.2f s later than its sound: by what the "+
				"figures fall, the encoder relies on moments; the rest is what a thing is.", demoShift),
			Head: rows[0], Rows: rows[1:]})
	}
	data.Limits = d.limits(ev.n)
	data.Repeat = fmt.Sprintf("avjepa demo --fresh --seed %d --name %s", d.seed, d.name)
	if d.own {
		data.Repeat += fmt.Sprintf(" --data %q", d.data)
	}
	d.sum.Report, err = writeReport(d.dir(), data)
	return err
}

// demoShift is by how many seconds pictures come late in the shift test: as much
// as a scene is longer than a view.
const demoShift = 0.64

// limits says what to think of figures from n held-out clips.
func (d *demo) limits(n int) []string {
	one := fmt.Sprintf("Among %d clips one clip is %.1f percentage points, and chance finds 1 in %d.",
		n, 100/float64(n), n)
	if d.own {
		return []string{"Minutes of training on a CPU show that everything works, not how good the " +
			"method is: the paper trained for days on eight GPUs.", one}
	}
	return []string{
		"The scenes are a toy: one thing each, eight kinds, seen at 32 pixels. What the encoder " +
			"matches is above all their kind and size.",
		one,
		"The run is short: SIGReg ends above its floor of 1.06.",
	}
}
