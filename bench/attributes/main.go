// Command attributes asks what a linear probe can read of clips from a frozen encoder,
// beside what it reads from an untrained encoder and from plain statistics of the sound:
//
//	attributes -model runs/grid -data data/grid -table words.csv -train train -test val
//	attributes -model runs/demo -data data/esc10 -folds
//
// The table names attributes of clips: its first column is the clip's key, each of the
// others an attribute. Without a table the only attribute is the clip's first label. With
// -folds every split is the test once and the others train. Clips without picture are
// heard alone. Classes that the training clips lack count as errors.
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"avjepa/internal/dataset"
	"avjepa/internal/encoder"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/metrics"
	"avjepa/internal/probe"
	"avjepa/internal/tensor"
	"avjepa/internal/train"
)

// options are the flags.
type options struct {
	model, data, table, train, test, embedding string
	folds                                      bool
	windows                                    int
	seed                                       uint64
}

func main() {
	var o options
	flag.StringVar(&o.model, "model", "", "run or checkpoint")
	flag.StringVar(&o.data, "data", "", "folder written by avjepa ingest")
	flag.StringVar(&o.table, "table", "", "CSV of key and attributes; the labels if not given")
	flag.StringVar(&o.train, "train", "train", "split that trains the probe")
	flag.StringVar(&o.test, "test", "val", "split that it is measured on")
	flag.StringVar(&o.embedding, "embedding", "cls", "cls, projected or patches")
	flag.BoolVar(&o.folds, "folds", false, "every split is the test once")
	flag.IntVar(&o.windows, "windows", 3, "windows of a clip, averaged")
	flag.Uint64Var(&o.seed, "seed", 0, "of the probe and the untrained encoder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "attributes: "+err.Error())
		os.Exit(1)
	}
}

// features are what clips are described by: one row each, by the name of the input.
type features struct {
	name string
	of   map[string]tensor.Array // "A+V", "A", "V", or "log-mel statistics"
}

// inputs are the names of modalities, in the order of the table.
var inputs = []struct {
	name string
	m    encoder.Modality
}{{"A+V", encoder.Both}, {"A", encoder.Audio}, {"V", encoder.Video}}

func run(ctx context.Context, o options, out io.Writer) error {
	set, err := dataset.Open(o.data)
	if err != nil {
		return err
	}
	e, err := cpu.New(cpu.Config{})
	if err != nil {
		return err
	}
	defer e.Close()
	attributes, names, err := readAttributes(o.table, set)
	if err != nil {
		return err
	}
	trained, err := encoder.Open(o.model, e, encoder.Options{})
	if err != nil {
		return err
	}
	defer trained.Close()
	untrained, err := openUntrained(trained, e, o.seed)
	if err != nil {
		return err
	}
	defer untrained.Close()
	var all []features
	for _, x := range []struct {
		name string
		x    *encoder.Encoder
	}{{"trained", trained}, {"untrained", untrained}} {
		f, err := embed(ctx, x.x, set, o)
		if err != nil {
			return err
		}
		statistics := f["log-mel statistics"]
		delete(f, "log-mel statistics")
		all = append(all, features{x.name, f})
		if x.name == "untrained" {
			all = append(all, features{"log-mel statistics", map[string]tensor.Array{"A": statistics}})
		}
	}
	fmt.Fprintf(out, "%s, step %d, %s embedding, %d windows, clips: %d\n\n", o.model, trained.Step(),
		o.embedding, o.windows, set.Len())
	fmt.Fprintln(out, "| attribute | classes | chance % | features | input | top-1 % |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|")
	for _, name := range names {
		if err := measure(e, out, set, o, name, attributes[name], all); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// measure prints the rows of one attribute: value of each clip, "" for none.
func measure(e engine.Engine, out io.Writer, set *dataset.Set, o options, name string,
	values []string, all []features) error {
	classes := slices.Compact(slices.Sorted(slices.Values(values)))
	if len(classes) > 0 && classes[0] == "" {
		classes = classes[1:]
	}
	counts := map[string]int{}
	for _, v := range values {
		if v != "" {
			counts[v]++
		}
	}
	most, n := 0, 0
	for _, c := range counts {
		most, n = max(most, c), n+c
	}
	for _, f := range all {
		for _, in := range inputs {
			x, ok := f.of[in.name]
			if !ok {
				continue
			}
			var scores []float64
			tested := 0
			for _, held := range heldOut(set, o) {
				score, n, err := fit(e, o, set, x, values, classes, held)
				if err != nil {
					return err
				}
				scores, tested = append(scores, score), tested+n
			}
			mean, spread := meanStd(scores)
			text := fmt.Sprintf("%.1f ± %.1f (standard error, %d clips)", 100*mean,
				100*math.Sqrt(mean*(1-mean)/float64(tested)), tested)
			if len(scores) > 1 {
				text = fmt.Sprintf("%.1f ± %.1f (deviation over %d folds)", 100*mean, 100*spread, len(scores))
			}
			fmt.Fprintf(out, "| %s | %d | %.1f | %s | %s | %s |\n", name, len(classes),
				100*float64(most)/float64(n), f.name, in.name, text)
		}
	}
	return nil
}

// fold says which clips a probe is measured on, and which train it.
type fold struct{ train, test func(split string) bool }

func heldOut(set *dataset.Set, o options) []fold {
	if !o.folds {
		return []fold{{func(s string) bool { return s == o.train }, func(s string) bool { return s == o.test }}}
	}
	var out []fold
	for _, held := range set.Splits() {
		out = append(out, fold{func(s string) bool { return s != held }, func(s string) bool { return s == held }})
	}
	return out
}

// fit trains a probe and returns its top-1 accuracy and the clips it was measured on.
func fit(e engine.Engine, o options, set *dataset.Set, x tensor.Array, values, classes []string,
	f fold) (top1 float64, n int, err error) {
	pick := func(in func(string) bool) (tensor.Array, []int) {
		d := x.Shape.Cols()
		var rows []float32
		var labels []int
		for i, v := range values {
			if label, ok := slices.BinarySearch(classes, v); ok && in(set.Info(i).Split) {
				rows, labels = append(rows, x.Data[i*d:(i+1)*d]...), append(labels, label)
			}
		}
		return tensor.From(rows, len(labels), d), labels
	}
	seen, labels := pick(f.train)
	held, want := pick(f.test)
	if len(want) == 0 || len(labels) == 0 {
		return 0, 0, errors.New("no clip to train on, or none to measure on: -train, -test or -folds")
	}
	cfg := probe.Default()
	cfg.Seed = o.seed
	p, err := probe.Fit(e, cfg, seen, labels, len(classes))
	if err != nil {
		return 0, 0, err
	}
	return metrics.TopK(p.Scores(held), want, len(classes), 1), len(want), nil
}

// embed returns the features of every clip of the set, in its order.
func embed(ctx context.Context, x *encoder.Encoder, set *dataset.Set, o options) (map[string]tensor.Array, error) {
	out := map[string]tensor.Array{}
	add := func(name string, row []float32) {
		a := out[name]
		data := append(a.Data, row...)
		out[name] = tensor.From(data, len(data)/len(row), len(row))
	}
	for i := range set.Len() {
		var stored dataset.Clip
		if err := set.Read(ctx, i, &stored); err != nil {
			return nil, err
		}
		c, err := x.ReadStored(&stored, encoder.ReadOptions{Windows: o.windows})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", set.Key(i), err)
		}
		for _, in := range inputs {
			if c.Modality()&in.m != in.m {
				continue
			}
			v, err := x.Embed(ctx, c.Windows, in.m)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", set.Key(i), err)
			}
			row, err := v.Mean().Pick(o.embedding)
			if err != nil {
				return nil, err
			}
			add(in.name, row.Data)
		}
		if c.HasAudio {
			add("log-mel statistics", statistics(c.Windows, x.Maker().Config().Bands))
		}
	}
	for name, a := range out {
		if a.Shape.Dim(0) != set.Len() {
			delete(out, name) // not all clips have it
		}
	}
	return out, nil
}

// statistics are mean and deviation over time of every mel band.
func statistics(windows []encoder.Window, bands int) []float32 {
	row := make([]float32, 2*bands)
	for b := range bands {
		var n, sum, squares float64
		for _, w := range windows {
			m := len(w.Audio) / bands
			for _, v := range w.Audio[b*m : (b+1)*m] {
				n, sum, squares = n+1, sum+float64(v), squares+float64(v)*float64(v)
			}
		}
		mean := sum / n
		row[b], row[bands+b] = float32(mean), float32(math.Sqrt(max(0, squares/n-mean*mean)))
	}
	return row
}

// openUntrained opens a model like another with its initial values.
func openUntrained(like *encoder.Encoder, e engine.Engine, seed uint64) (*encoder.Encoder, error) {
	cfg, err := like.Config().JEPAConfig()
	if err != nil {
		return nil, err
	}
	model, err := jepa.NewEmbedder(e, cfg, seed, like.Views())
	if err != nil {
		return nil, err
	}
	defer model.Free()
	dir, err := os.MkdirTemp("", "attributes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "untrained.safetensors")
	err = train.Save(path, model, nil, train.State{Seed: seed, Config: like.Config().TOML()})
	if err != nil {
		return nil, err
	}
	return encoder.Open(path, e, encoder.Options{})
}

// readAttributes returns each attribute's value for every clip of the set.
func readAttributes(path string, set *dataset.Set) (map[string][]string, []string, error) {
	values := map[string][]string{}
	if path == "" {
		for i := range set.Len() {
			label := ""
			if all := set.Info(i).Labels; len(all) > 0 {
				label = all[0]
			}
			values["label"] = append(values["label"], label)
		}
		return values, []string{"label"}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(rows) < 2 || len(rows[0]) < 2 {
		return nil, nil, fmt.Errorf("%s: want a head line, key and attributes, and a line for each clip", path)
	}
	at := map[string]int{}
	for i := range set.Len() {
		at[set.Key(i)] = i
	}
	known := 0
	for _, r := range rows[1:] {
		i, ok := at[strings.TrimSpace(r[0])]
		if !ok {
			continue
		}
		known++
		for j, name := range rows[0][1:] {
			if values[name] == nil {
				values[name] = make([]string, set.Len())
			}
			values[name][i] = r[j+1]
		}
	}
	if known == 0 {
		return nil, nil, fmt.Errorf("%s: none of its %d keys is a clip of the set, whose first is %q",
			path, len(rows)-1, set.Key(0))
	}
	names := slices.Clone(rows[0][1:])
	sort.Strings(names)
	return values, names, nil
}

// meanStd returns mean and sample deviation.
func meanStd(x []float64) (mean, std float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		std += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(std / float64(max(1, len(x)-1)))
}
