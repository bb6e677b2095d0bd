package pages

import (
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"avjepa/internal/server"
)

func (s *Site) runs(w http.ResponseWriter, r *http.Request) error {
	all, err := s.src.Runs(r.Context())
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "runs", "Runs", struct{ Runs []server.RunInfo }{all})
}

// latest leads to the run that changed last: an address to keep.
func (s *Site) latest(w http.ResponseWriter, r *http.Request) error {
	run, err := s.src.Run(r.Context(), "latest")
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/runs/"+url.PathEscape(run.ID), http.StatusFound)
	return nil
}

func (s *Site) run(w http.ResponseWriter, r *http.Request) error {
	run, err := s.src.Run(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	body := struct {
		Run       *server.RunDetail
		Live      bool
		ProbeHead []string
		Probes    [][]string
		Samples   *samplesBody // nil: the run has none
	}{Run: run, Live: run.State != server.RunDone}
	lines, err := s.src.Probes(run.ID)
	if err != nil {
		return err
	}
	body.ProbeHead, body.Probes = probeTable(lines)
	body.Samples, _ = s.samples(r.Context(), run.ID, -1) // a run may have none
	return s.show(w, r, http.StatusOK, "run", run.ID, body)
}

// maxCompared bounds the runs beside each other: more lines nobody can tell apart.
const maxCompared = 6

// compared is a run among others, with the number of its colour.
type compared struct {
	server.RunInfo
	Colour int
}

// diffRow is a key that runs do not agree on.
type diffRow struct {
	Key   string
	Cells []server.Setting
}

func (s *Site) compare(w http.ResponseWriter, r *http.Request) error {
	var ids []string
	for _, id := range r.URL.Query()["run"] {
		if !slices.Contains(ids, id) && len(ids) < maxCompared {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		http.Redirect(w, r, "/runs", http.StatusSeeOther)
		return nil
	}
	body := struct {
		Runs  []compared
		Names string
		Diff  []diffRow
		Live  bool
	}{}
	var details []*server.RunDetail
	for i, id := range ids {
		run, err := s.src.Run(r.Context(), id)
		if err != nil {
			return err
		}
		details = append(details, run)
		body.Runs = append(body.Runs, compared{run.RunInfo, i%5 + 1})
		body.Live = body.Live || run.State == server.RunTraining
	}
	body.Names, body.Diff = strings.Join(ids, " "), differing(details)
	return s.show(w, r, http.StatusOK, "compare", "Compare runs", body)
}

// differing returns the keys that do not have the same value in all runs, in the
// order of the first that has them.
func differing(runs []*server.RunDetail) []diffRow {
	var order []string
	cells := map[string][]server.Setting{}
	for i, run := range runs {
		for _, set := range run.Settings {
			if cells[set.Key] == nil {
				order = append(order, set.Key)
				cells[set.Key] = make([]server.Setting, len(runs))
			}
			cells[set.Key][i] = set
		}
	}
	var out []diffRow
	for _, key := range order {
		row := cells[key]
		if slices.ContainsFunc(row, func(x server.Setting) bool { return x.Value != row[0].Value }) {
			out = append(out, diffRow{key, row})
		}
	}
	return out
}

// spark draws a small curve.
func spark(values []float64) template.HTML {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v-v == 0 {
			lo, hi = math.Min(lo, v), math.Max(hi, v)
		}
	}
	if len(values) < 2 || !(hi > lo) {
		return ""
	}
	var b strings.Builder
	b.WriteString(`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">` +
		`<polyline points="`)
	for i, v := range values {
		if v-v != 0 {
			continue
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", 100*float64(i)/float64(len(values)-1), 22-20*(v-lo)/(hi-lo))
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) // numbers alone
}
