package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"avjepa/internal/engine/timed"
)

// The parts of a step that ask an engine for operations, the inner ones first.
const (
	partSIGReg    = "SIGReg"
	partOptimiser = "optimiser"
)

var stepParts = []timed.Part{
	{Name: partSIGReg, In: "/sigreg."},
	{Name: partOptimiser, In: "/optim."},
	{Name: "projector", In: "/jepa.(*Projector)"},
	{Name: "encoder", In: "/vit."},
	{Name: "step", In: "/jepa."},
}

// Groups of operations in a profile.
const (
	groupProducts  = "matrix products"
	groupAttention = "attention"
)

// groupOf returns the line of a profile that an operation counts in. SIGReg's
// products with its directions count as SIGReg.
func groupOf(t timed.Total) string {
	if t.Part == partSIGReg || t.Part == partOptimiser {
		return t.Part
	}
	switch t.Operation {
	case "Linear", "LinearInput", "LinearWeight":
		return groupProducts
	case "Attention", "AttentionBackward", "AttentionWeights":
		return groupAttention
	case "LayerNorm", "LayerNormBackward":
		return "LayerNorm"
	case "GELU", "GELUBackward":
		return "GELU"
	case "Dropout":
		return "dropout"
	case "PatchifyVideo", "PatchifyAudio", "AssembleTokens", "AssembleTokensBackward":
		return "patches and tokens"
	case "BatchNorm", "BatchNormBackward", "Center", "PredictionLoss", "ColumnStats":
		return "objective"
	case "SquaredNorm":
		return partOptimiser
	case "Fill":
		return "zeroing"
	}
	return "copies and sums" // Copy, AddTo, Scale, Upload, Download and the rest
}

// stepProfile says where the time of a pass goes.
type stepProfile struct {
	Seconds float64      `json:"seconds"` // mean of the measured passes
	Rows    []profileRow `json:"rows"`    // groups, the longest first, and their operations

	OutsideShare float64 `json:"outside_share"` // in no operation of the engine
	// BesideShare is everything but matrix products, those of SIGReg among them,
	// and attention.
	BesideShare float64 `json:"beside_share"`
	SIGRegShare float64 `json:"sigreg_share"` // its products included
}

// profileRow is an operation, or with Operation "" the sum of a group.
type profileRow struct {
	Group     string  `json:"group"`
	Operation string  `json:"operation,omitempty"`
	Seconds   float64 `json:"seconds"` // a pass
	Share     float64 `json:"share"`   // of a pass
	Calls     float64 `json:"calls"`   // a pass
	GFLOPS    float64 `json:"gflops"`  // as computed, a second; 0 for other than products
}

// profile measures passes of the case, at least repeat and for a second, after one
// that is not measured.
func (c benchCase) profile(ctx context.Context, repeat int) (*stepProfile, error) {
	e, err := c.open()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	te := timed.New(e, stepParts...)
	pass, err := c.prepare(te)
	if err != nil {
		return nil, err
	}
	passes, wall := 0, time.Duration(0)
	_, err = medianSeconds(ctx, repeat, func(i int) {
		if i == 0 {
			pass(i)
			te.Reset()
			return
		}
		start := time.Now()
		pass(i)
		wall += time.Since(start)
		passes++
	})
	if err != nil {
		return nil, err
	}
	return newStepProfile(te.Totals(), wall, passes), nil
}

// newStepProfile sorts what passes that took wall in all spent in operations.
func newStepProfile(totals []timed.Total, wall time.Duration, passes int) *stepProfile {
	n, all := float64(passes), wall.Seconds()
	p := &stepProfile{Seconds: all / n, OutsideShare: 1, BesideShare: 1}
	rows := map[[2]string]*profileRow{}
	add := func(group, operation string, t timed.Total) {
		k := [2]string{group, operation}
		if rows[k] == nil {
			rows[k] = &profileRow{Group: group, Operation: operation}
		}
		r, s := rows[k], t.Time.Seconds()
		r.GFLOPS += float64(t.FLOPs) / 1e9 // by seconds below
		r.Seconds += s / n
		r.Share += s / all
		r.Calls += float64(t.Calls) / n
	}
	for _, t := range totals {
		group, share := groupOf(t), t.Time.Seconds()/all
		add(group, "", t)
		add(group, t.Operation, t)
		p.OutsideShare -= share
		if t.FLOPs > 0 {
			p.BesideShare -= share
		}
		if group == partSIGReg {
			p.SIGRegShare += share
		}
	}
	for _, r := range rows {
		r.GFLOPS /= r.Seconds * n
		if r.Operation == "" && r.Group == partSIGReg {
			r.GFLOPS = 0 // most of its time is no product
		}
		p.Rows = append(p.Rows, *r)
	}
	slices.SortFunc(p.Rows, func(a, b profileRow) int {
		return cmp.Or(
			cmp.Compare(rows[[2]string{b.Group}].Seconds, rows[[2]string{a.Group}].Seconds),
			cmp.Compare(a.Group, b.Group),
			cmp.Compare(min(len(a.Operation), 1), min(len(b.Operation), 1)), // the sum first
			cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Operation, b.Operation))
	})
	return p
}

// show prints the profile as a table with operations indented below their group.
func (p *stepProfile) show(out io.Writer) error {
	var err error
	printf := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(out, format, args...)
		}
	}
	printf("  %6s %9s %6s %8s  of %.4g s\n", "share", "ms", "calls", "GFLOP/s", p.Seconds)
	for _, r := range p.Rows {
		name, rate := r.Group, ""
		if r.Operation != "" {
			name = "  " + r.Operation
		}
		if r.GFLOPS > 0 {
			rate = fmt.Sprintf("%.0f", r.GFLOPS)
		}
		printf("  %5.1f%% %9.2f %6.0f %8s  %s\n", 100*r.Share, 1000*r.Seconds, r.Calls, rate, name)
	}
	printf("  %5.1f%% %25s  outside the engine\n", 100*p.OutsideShare, "")
	printf("  beside matrix products and attention: %.1f%%; SIGReg with its products: %.1f%%\n",
		100*p.BesideShare, 100*p.SIGRegShare)
	return err
}
