package jepa

import (
	"fmt"

	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// report is everything a step reports: parts of one tensor, so that it is read
// at once.
type report struct {
	all        engine.Tensor // the following, one after the other
	gradSquare engine.Tensor // (1)
	invariance engine.Tensor // (towers)
	sigreg     engine.Tensor // (tests) of tower after tower
	deviation  engine.Tensor // (E, K)
	means      engine.Tensor // (E, K) of the projections; nil without a group

	tests       []int // of every tower
	deviationAt int   // place of the deviations
	stds        int   // their number
	host        []float32
}

func (m *Model) newReport(means bool) (report, error) {
	r := report{stds: m.encoded * m.Proj}
	at := 1 + len(m.Towers)
	for _, t := range m.Towers {
		r.tests = append(r.tests, m.regular.Losses(t.views))
		at += m.regular.Losses(t.views)
	}
	r.deviationAt = at
	n := at + r.stds
	if means {
		n += r.stds
	}
	buf, err := m.engine.NewBuffer(engine.F32, n)
	if err != nil {
		return r, fmt.Errorf("jepa: report: %w", err)
	}
	r.all = engine.NewTensor(buf, 0, tensor.Of(n))
	r.gradSquare, r.invariance = r.all.Slice(0, 1), r.all.Slice(1, 1+len(m.Towers))
	r.sigreg = r.all.Slice(1+len(m.Towers), at)
	r.deviation = r.all.Slice(at, at+r.stds).Reshape(m.encoded, m.Proj)
	if means {
		r.means = r.all.Slice(at+r.stds, n).Reshape(m.encoded, m.Proj)
	}
	r.host = make([]float32, n)
	return r, nil
}

// invarianceOf returns the mean over towers, from the numbers of a report.
func (r *report) invarianceOf(host []float32) float64 { return mean(host[1 : 1+len(r.tests)]) }

// sigregOf returns the mean over towers of the mean over a tower's tests.
func (r *report) sigregOf(host []float32) float64 {
	sum, at := 0.0, 1+len(r.tests)
	for _, n := range r.tests {
		sum += mean(host[at : at+n])
		at += n
	}
	return sum / float64(len(r.tests))
}
