package ablation

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Over is a value over the seeds of a run.
type Over struct {
	Mean float64 `json:"mean"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	N    int     `json:"n"` // seeds
}

// overSeeds returns a value of all results that have one.
func overSeeds(results []*Result, of func(*Result) (float64, bool)) Over {
	o := Over{Min: math.Inf(1), Max: math.Inf(-1)}
	for _, r := range results {
		if v, ok := of(r); ok {
			o.N++
			o.Mean += v
			o.Min, o.Max = math.Min(o.Min, v), math.Max(o.Max, v)
		}
	}
	if o.N == 0 {
		return Over{}
	}
	o.Mean /= float64(o.N)
	return o
}

// text writes the mean, and of several seeds in brackets the lowest and the highest.
func (o Over) text(write func(float64) string) string {
	switch o.N {
	case 0:
		return "–"
	case 1:
		return write(o.Mean)
	}
	return fmt.Sprintf("%s (%s–%s)", write(o.Mean), write(o.Min), write(o.Max))
}

// short writes a number in three digits.
func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

// share writes a share as a percentage.
func share(v float64) string { return strconv.FormatFloat(100*v, 'f', 1, 64) }

// column is one of the table: its head, its name in CSV, and its value of a result.
type column struct {
	head, name string
	write      func(float64) string
	of         func(*Result) (float64, bool)
}

func always(f func(*Result) float64) func(*Result) (float64, bool) {
	return func(r *Result) (float64, bool) { return f(r), true }
}

func probed(f func(*Probe) float64) func(*Result) (float64, bool) {
	return func(r *Result) (float64, bool) {
		if r.Probe == nil {
			return 0, false
		}
		return f(r.Probe), true
	}
}

var columns = []column{
	{"std", "std", short, always(func(r *Result) float64 { return r.End.Std })},
	{"invariance", "invariance", short, always(func(r *Result) float64 { return r.End.Invariance })},
	{"SIGReg", "sigreg", short, always(func(r *Result) float64 { return r.End.SIGReg })},
	{"A→V R@1 %", "a2v_r1", share, always(func(r *Result) float64 { return r.Retrieval.A2V.R1 })},
	{"A→V R@10 %", "a2v_r10", share, always(func(r *Result) float64 { return r.Retrieval.A2V.R10 })},
	{"V→A R@1 %", "v2a_r1", share, always(func(r *Result) float64 { return r.Retrieval.V2A.R1 })},
	{"V→A R@10 %", "v2a_r10", share, always(func(r *Result) float64 { return r.Retrieval.V2A.R10 })},
	{"of n", "n", whole, always(func(r *Result) float64 { return float64(r.Retrieval.N) })},
	{"probe A+V %", "probe_both", share, probed(func(p *Probe) float64 { return p.Both })},
	{"probe A %", "probe_audio", share, probed(func(p *Probe) float64 { return p.Audio })},
	{"probe V %", "probe_video", share, probed(func(p *Probe) float64 { return p.Video })},
	{"steps", "steps", whole, always(func(r *Result) float64 { return float64(r.Steps) })},
	{"seconds", "seconds", whole, always(func(r *Result) float64 { return r.Seconds })},
}

func whole(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }

// of returns the results of a run, one a seed.
func of(results []*Result, run string) []*Result {
	var out []*Result
	for _, r := range results {
		if r.Run == run {
			out = append(out, r)
		}
	}
	return out
}

// Table returns the results as rows below a head, a line a run in the plan's order: means
// over the seeds, with ranges also the lowest and highest of several. Runs without a result
// are left out.
func (p *Plan) Table(results []*Result, ranges bool) [][]string {
	head := []string{"run", "seeds"}
	for _, c := range columns {
		head = append(head, c.head)
	}
	rows := [][]string{head}
	for _, run := range p.Runs {
		mine := of(results, run.Name)
		if len(mine) == 0 {
			continue
		}
		row := []string{run.Name, strconv.Itoa(len(mine))}
		for _, c := range columns {
			o := overSeeds(mine, c.of)
			if !ranges || o.Min == o.Max || c.name == "seconds" {
				o.N = min(o.N, 1)
			}
			row = append(row, o.text(c.write))
		}
		rows = append(rows, row)
	}
	return rows
}

// WriteMarkdown writes the table as Markdown.
func (p *Plan) WriteMarkdown(w io.Writer, results []*Result) error {
	rows := p.Table(results, true)
	line := "|---|---" + strings.Repeat("|---:", len(rows[0])-2) + "|"
	for i, row := range rows {
		if _, err := fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | ")); err != nil {
			return err
		}
		if i == 0 {
			fmt.Fprintln(w, line)
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", TableNote)
	return err
}

// TableNote says how to read the table.
const TableNote = "Deviation, invariance and SIGReg (unweighted) are means over the last twentieth " +
	"of the steps. R@k: share of held-out clips whose own other half is among the first k of n. Probe: a " +
	"linear layer fitted on frozen embeddings of training clips, its top-1 on the held-out ones, by what " +
	"the encoder is given (A sound, V picture). Of several seeds: mean (lowest–highest)."

// WriteCSV writes a line a result, numbers in full.
func (p *Plan) WriteCSV(w io.Writer, results []*Result) error {
	out := csv.NewWriter(w)
	head := []string{"run", "preset", "seed", "lambda", "parameters", "epochs", "total"}
	for _, c := range columns {
		head = append(head, c.name)
	}
	full := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	lines := [][]string{head}
	for _, run := range p.Runs {
		for _, r := range of(results, run.Name) {
			line := []string{r.Run, r.Preset, strconv.FormatInt(r.Seed, 10), full(r.Lambda),
				strconv.Itoa(r.Parameters), full(r.Epochs), full(r.End.Total)}
			for _, c := range columns {
				text := ""
				if v, ok := c.of(r); ok {
					text = full(v)
				}
				line = append(line, text)
			}
			lines = append(lines, line)
		}
	}
	return out.WriteAll(lines)
}
