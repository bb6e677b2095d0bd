package jepa

import (
	"fmt"
	"math"

	"avjepa/internal/engine"
	"avjepa/internal/nn"
)

// NewInGroup returns a model that trains on steps of batch clips together with the
// other processes of g, or alone when g is nil or has no other. Process r of W has clips r·batch/W
// to (r+1)·batch/W − 1 of every batch, and memory for those alone. All processes
// must be given the same configuration, seed and batch.
//
// Losses and gradients are those of the whole batch: the characteristic functions
// of SIGReg are averaged before they are compared, gradients after (spec: exactly
// the gradient of the global loss), and masks of dropout and directions do not know
// how the batch is dealt. So W processes take the step of one to rounding with
// Config.GlobalNorm. Without it every process's BatchNorm uses the moments of its
// own rows, as the published code does, which is another function of the batch for
// every W; running statistics are then process 0's.
func NewInGroup(e engine.Engine, cfg Config, seed uint64, batch int, g engine.Group) (*Model, error) {
	processes := 1
	if g != nil {
		processes = g.Size()
	}
	if processes == 1 {
		g = nil
	}
	plan, err := PlanProcess(cfg, batch, processes)
	if err != nil {
		return nil, err
	}
	m, err := newTrainer(e, cfg, seed, batch/processes, plan.arena, g)
	if err != nil {
		return nil, err
	}
	m.Params.Init(seed)
	return m, nil
}

// divide returns an error unless a batch can be dealt evenly to processes.
func divide(batch, processes int) error {
	rest := batch % processes
	if rest == 0 {
		return nil
	}
	above := fmt.Sprint(batch - rest + processes)
	if batch > processes {
		above = fmt.Sprintf("%d or %s", batch-rest, above)
	}
	return fmt.Errorf("jepa: a batch of %d clips (train.batch_size) cannot be dealt evenly to "+
		"%d processes: take %s clips, or another number of processes", batch, processes, above)
}

// join makes the model one of a group's.
func (m *Model) join(g engine.Group) {
	m.total = m.batch
	if g == nil {
		return
	}
	m.total, m.first = m.batch*g.Size(), m.batch*g.Rank()
	m.cx.Group, m.reducer = g, nn.NewReducer(m.Params, g)
	if m.GlobalNorm {
		m.cx.NormGroup = g
	}
}

// Group returns the processes that train together, nil for this one alone.
func (m *Model) Group() engine.Group { return m.cx.Group }

// Clips returns which clips of every batch are this process's: n from first on.
func (m *Model) Clips() (first, n int) { return m.first, m.batch }

// Numbers waits for the last Step and returns what this process alone knows of it,
// for Combine. The slice is the model's own until the next call.
func (m *Model) Numbers() []float32 {
	m.engine.Download(m.report.host, m.report.all)
	return m.report.host
}

// Combine returns the numbers of the last Step over all processes from the Numbers
// of each, by rank: the same in every process. Deviations are those over the clips
// of the whole batch, exactly.
func (m *Model) Combine(all [][]float32) (Losses, error) {
	r, w := &m.report, float64(len(all))
	var l Losses
	for rank, host := range all {
		if len(host) != len(r.host) {
			return l, fmt.Errorf("jepa: process %d reports %d numbers, want %d: all processes must "+
				"run the same program with the same configuration", rank, len(host), len(r.host))
		}
		l.Invariance += r.invarianceOf(host) / w
	}
	// These are the same everywhere: they were made of averages.
	l.GradNorm = math.Sqrt(float64(all[0][0]))
	l.SIGReg = r.sigregOf(all[0])
	for i := range r.stds {
		l.EmbedStd += m.deviation(all, r.deviationAt+i) / float64(r.stds)
	}
	l.Total = (1-m.Lambda)*l.Invariance + m.Lambda*l.SIGReg
	return l, nil
}

// deviation returns the unbiased deviation of one dimension of a view over all
// clips, from that of every process, at place at of its numbers, and its mean.
func (m *Model) deviation(all [][]float32, at int) float64 {
	center, squares, b := 0.0, 0.0, float64(m.batch)
	for _, host := range all {
		center += float64(host[at+m.report.stds]) / float64(len(all))
	}
	for _, host := range all {
		std, off := float64(host[at]), float64(host[at+m.report.stds])-center
		squares += (b-1)*std*std + b*off*off
	}
	return math.Sqrt(squares / (b*float64(len(all)) - 1))
}
