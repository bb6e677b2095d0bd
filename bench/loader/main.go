// Command loader makes batches as training does, without a model, and watches what
// that takes: clips a second, waiting, memory. It fails when memory grows.
//
//	loader -data data/mine -minutes 60 -order shards
//
// A batch is thrown away as soon as it is there, so the loader is always behind.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/loader"
	"avjepa/internal/view"
)

// options are the flags.
type options struct {
	data, order, preset       string
	minutes                   float64
	workers, shuffleMB, cache int
	json                      bool
	every                     time.Duration // between samples
}

func main() {
	o := options{every: 10 * time.Second}
	flag.StringVar(&o.data, "data", "", "folder written by avjepa ingest, or by bench/shards")
	flag.StringVar(&o.order, "order", config.OrderClips, "clips or shards")
	flag.StringVar(&o.preset, "preset", "paper", "preset: views, batch size")
	flag.Float64Var(&o.minutes, "minutes", 60, "how long")
	flag.IntVar(&o.workers, "workers", 0, "goroutines that make views, 0 for one per core")
	flag.IntVar(&o.shuffleMB, "shuffle-mb", config.New().Data.ShuffleMB, "data.shuffle_mb")
	flag.IntVar(&o.cache, "cache-mb", 0, "data.cache_mb")
	flag.BoolVar(&o.json, "json", false, "a line of JSON for each sample")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "loader: "+err.Error())
		os.Exit(1)
	}
}

// sample is what was measured in the time since the one before.
type sample struct {
	Seconds  float64 `json:"seconds"` // since the start
	Clips    int     `json:"clips"`
	PerS     float64 `json:"clips_per_s"`
	PerCore  float64 `json:"clips_per_core_s"` // a second of processor time
	Wait     float64 `json:"wait_share"`
	RSSBytes int64   `json:"rss_bytes"`
	Skipped  int     `json:"skipped"` // clips that could not be read, since the start
}

func run(ctx context.Context, o options, out io.Writer) error {
	// As in cmd/avjepa: the heap is mostly clips that stay.
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	l, batch, err := open(o)
	if err != nil {
		return err
	}
	defer l.Close()
	samples, err := measure(ctx, o, l, batch, out)
	if err != nil {
		return err
	}
	return grown(samples)
}

// open begins to make batches as avjepa pretrain would.
func open(o options) (l *loader.Loader, batch int, err error) {
	c := config.New()
	if err := c.ApplyPreset(o.preset); err != nil {
		return nil, 0, err
	}
	for key, value := range map[string]string{"data.dir": o.data, "data.order": o.order,
		"data.shuffle_mb": strconv.Itoa(o.shuffleMB), "data.cache_mb": strconv.Itoa(o.cache)} {
		if err := c.Set(key, value, "flag"); err != nil {
			return nil, 0, err
		}
	}
	set, err := dataset.Open(o.data)
	if err != nil {
		return nil, 0, err
	}
	set = set.Where(func(f *dataset.Info) bool { return f.HasVideo() && f.HasAudio() })
	c.Train.BatchSize = max(2, min(c.Train.BatchSize, set.Len())) // few clips will do
	if err := errors.Join(c.Validate(), c.ResolveOrder(1)); err != nil {
		return nil, 0, err
	}
	maker, err := view.NewMaker(c.ViewConfig())
	if err != nil {
		return nil, 0, err
	}
	workers := o.workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	t := c.TrainConfig(set.Len())
	l, err = loader.New(loader.NewClips(set, maker, int64(o.cache)<<20), loader.Config{
		BatchSize: t.BatchSize, Seed: t.Seed, Workers: workers, Lanes: t.Lanes,
		ShuffleBytes: t.ShuffleBytes}, 0)
	return l, t.BatchSize, err
}

// measure takes batches and a sample now and then.
func measure(ctx context.Context, o options, l *loader.Loader, batch int, out io.Writer) (
	samples []sample, err error) {
	start := time.Now()
	end := start.Add(time.Duration(o.minutes * float64(time.Minute)))
	last, clips, waited := start, 0, time.Duration(0)
	_, busy, err := usage()
	for err == nil && time.Now().Before(end) {
		var w time.Duration
		if _, w, err = l.Next(ctx); err != nil {
			break
		}
		clips, waited = clips+batch, waited+w
		took := time.Since(last)
		if took < o.every {
			continue
		}
		var rss int64
		var now time.Duration
		if rss, now, err = usage(); err != nil {
			break
		}
		s := sample{Seconds: time.Since(start).Seconds(), Clips: clips,
			PerS: float64(clips) / took.Seconds(), PerCore: float64(clips) / (now - busy).Seconds(),
			Wait: waited.Seconds() / took.Seconds(), RSSBytes: rss, Skipped: len(l.Skipped())}
		samples = append(samples, s)
		if err = show(out, s, o.json); err != nil {
			break
		}
		last, busy, clips, waited = time.Now(), now, 0, 0
	}
	if errors.Is(err, context.Canceled) {
		err = nil // what there is is judged
	}
	return samples, err
}

func show(out io.Writer, s sample, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	_, err := fmt.Fprintf(out, "%6.0f s  %7.1f clips/s  %7.1f clips/s a core  waits %3.0f %%  RSS %.1f MB\n",
		s.Seconds, s.PerS, s.PerCore, 100*s.Wait, float64(s.RSSBytes)/(1<<20))
	return err
}

// mostGrowth is by how much memory may grow from the second third of the time to the
// last.
const mostGrowth = 0.05

// grown returns an error when memory grew, by the means of the thirds: the first has
// the caches' filling.
func grown(samples []sample) error {
	n := len(samples) / 3
	if n == 0 {
		return fmt.Errorf("%d samples are too few to tell whether memory grows: run it for longer (-minutes)",
			len(samples))
	}
	mean := func(s []sample) (sum float64) {
		for _, x := range s {
			sum += float64(x.RSSBytes) / float64(len(s))
		}
		return sum
	}
	second, third := mean(samples[n:2*n]), mean(samples[len(samples)-n:])
	if !(third <= second*(1+mostGrowth)) {
		return fmt.Errorf("memory grew from %.1f MB in the second third of the time to %.1f MB in the last: "+
			"%.0f %% are allowed", second/(1<<20), third/(1<<20), 100*mostGrowth)
	}
	return nil
}
