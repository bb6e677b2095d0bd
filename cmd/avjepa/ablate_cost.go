package main

import (
	"context"
	"fmt"
	"io"

	"avjepa/internal/ablation"
	"avjepa/internal/train"
)

// ablationCost is what a run of an ablation would take: --dry-run.
type ablationCost struct {
	Run     string  `json:"run"`
	Seed    int64   `json:"seed"`
	Dir     string  `json:"dir"`
	Preset  string  `json:"preset"`
	Done    bool    `json:"done"`
	Wanted  bool    `json:"wanted"` // by --only
	At      int     `json:"at"`     // steps taken so far
	Plan    runPlan `json:"plan"`
	Seconds float64 `json:"seconds"` // of the steps left
}

// costs lists the runs with what each takes, in the order in which they are made. It
// writes nothing.
func (a *ablate) costs(ctx context.Context) ([]ablationCost, error) {
	plans := map[string]*runPlan{}
	var out []ablationCost
	st := a.p.stage(ctx, "plan", int64(len(a.all)), "runs")
	for i, j := range a.all {
		c, err := a.cost(ctx, j, plans)
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			st.stop()
			return nil, fmt.Errorf("run %s: %w", j.name(), err)
		}
		out = append(out, c)
		st.set(int64(i+1), int64(len(a.all)), "")
	}
	st.done()
	return out, nil
}

// cost is that of one run; plans has those of runs that differ in their seed alone.
func (a *ablate) cost(ctx context.Context, j *ablationRun, plans map[string]*runPlan) (ablationCost, error) {
	c := ablationCost{Run: j.run.Name, Seed: j.seed, Dir: j.dir, Preset: j.run.Preset, Wanted: a.wanted(j)}
	if err := j.fits(); err != nil {
		return c, err
	}
	res, err := j.result()
	if err != nil {
		return c, err
	}
	c.Done = res != nil
	if log, err := train.ReadMetrics(j.dir); err == nil {
		c.At = len(log)
	}
	plan := plans[j.run.Name]
	if plan == nil {
		if plan, err = runDryRun(ctx, j.cfg); err != nil {
			return c, err
		}
		plans[j.run.Name] = plan
	}
	c.Plan = *plan
	if !c.Done && c.Wanted {
		left := max(0, plan.Steps-c.At)
		c.Seconds = plan.RunSeconds * float64(left) / float64(max(plan.Steps, 1))
	}
	return c, nil
}

func (c *ablationCost) state() string {
	switch {
	case c.Done:
		return "finished"
	case !c.Wanted:
		return "left out"
	case c.At > 0:
		return fmt.Sprintf("at step %d", c.At)
	}
	return "to do"
}

func showCosts(out io.Writer, costs []ablationCost, asJSON bool) error {
	if asJSON {
		return writeJSON(out, costs)
	}
	rows := [][]string{{"run", "state", "parameters", "steps", "GFLOP a step", "memory MB", "time left"}}
	total, todo := 0.0, 0
	for _, c := range costs {
		rows = append(rows, []string{ablation.Folder(c.Run, c.Seed), c.state(), fmt.Sprint(c.Plan.Parameters),
			fmt.Sprint(c.Plan.Steps), fmt.Sprintf("%.1f", float64(c.Plan.StepFLOPs+c.Plan.AgainFLOPs)/1e9),
			fmt.Sprintf("%.0f", float64(c.Plan.TotalBytes)/(1<<20)), spanOf(c.Seconds)})
		total += c.Seconds
		if !c.Done && c.Wanted {
			todo++
		}
	}
	wideTable(out, "llrrrrr", rows, tableWidth(out))
	_, err := fmt.Fprintf(out, "\n%d of %d runs to make: %s of steps, without measuring what was learned\n",
		todo, len(costs), spanOf(total))
	return err
}
