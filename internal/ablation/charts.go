package ablation

import (
	"fmt"
	"math"

	"avjepa/internal/chart"
	"avjepa/internal/report"
	"avjepa/internal/train"
)

// Curves are the logs of one run with one seed.
type Curves struct {
	Run    string
	Seed   int64
	Lambda float64
	Log    []train.Metrics
	Probes []train.ProbeLog
}

// maxBins is the most points of a curve; of more steps each point is a mean of some.
const maxBins = 120

// floorOfSIGReg is SIGReg of a batch that is normal indeed.
const floorOfSIGReg = 1.0594

// measure is one of the charts of a group: a value of every step, or of every evaluation of
// online probes.
type measure struct {
	name, title, label string
	step               func(m *train.Metrics, lambda float64) float64
	probe              func(p *train.ProbeLog) *float64
	log                bool
	reference          []chart.Reference
}

var measures = []measure{
	{name: "total", title: "total loss", label: "loss", log: true,
		step: func(m *train.Metrics, _ float64) float64 { return m.Total }},
	{name: "weighted-invariance", title: "(1−λ) invariance", label: "loss", log: true,
		step: func(m *train.Metrics, l float64) float64 { return (1 - l) * m.Invariance }},
	{name: "weighted-sigreg", title: "λ SIGReg", label: "loss", log: true,
		step: func(m *train.Metrics, l float64) float64 { return l * m.SIGReg }},
	{name: "invariance", title: "invariance, unweighted", label: "value", log: true,
		step: func(m *train.Metrics, _ float64) float64 { return m.Invariance }},
	{name: "sigreg", title: "SIGReg, unweighted", label: "value", log: true,
		step:      func(m *train.Metrics, _ float64) float64 { return m.SIGReg },
		reference: []chart.Reference{{Name: "floor 1.06", Y: floorOfSIGReg}}},
	{name: "std", title: "deviation of the embeddings", label: "std",
		step:      func(m *train.Metrics, _ float64) float64 { return m.Std },
		reference: []chart.Reference{{Name: "target 1", Y: 1}}},
	{name: "probe-linear", title: "online linear probe, sound and picture", label: "top-1 or mAP, %",
		probe: func(p *train.ProbeLog) *float64 { return p.Both.Linear() }},
	{name: "probe-attentive", title: "online attentive probe, sound and picture", label: "top-1 or mAP, %",
		probe: func(p *train.ProbeLog) *float64 { return p.Both.Attentive() }},
	{name: "probe-audio", title: "online linear probe, sound alone", label: "top-1 or mAP, %",
		probe: func(p *train.ProbeLog) *float64 { return p.Audio.Linear() }},
	{name: "probe-video", title: "online linear probe, picture alone", label: "top-1 or mAP, %",
		probe: func(p *train.ProbeLog) *float64 { return p.Video.Linear() }},
}

// Charts lays the curves of each of the plan's groups over each other, clipped to the
// shortest run of the group. Of several seeds there is the mean, in a band from the lowest
// to the highest. Groups without curves are left out, and charts without points.
func (p *Plan) Charts(all []Curves) []report.Curve {
	var out []report.Curve
	for _, g := range p.Compare {
		of := map[string][]Curves{}
		end := math.Inf(1)
		for _, c := range all {
			for _, name := range g.Runs {
				if c.Run == name && len(c.Log) > 0 {
					of[name] = append(of[name], c)
					end = math.Min(end, c.Log[len(c.Log)-1].Epoch)
				}
			}
		}
		for _, m := range measures {
			out = append(out, g.chart(m, of, end))
		}
	}
	return report.Drawable(out)
}

// chart is one measure of a group up to an epoch.
func (g *Group) chart(m measure, of map[string][]Curves, end float64) report.Curve {
	title := g.Title
	if title == "" {
		title = g.Name
	}
	c := report.Curve{Name: g.Name + "-" + m.name, Lines: chart.Lines{Title: title + ": " + m.title,
		XLabel: "epoch", YLabel: m.label, LogY: m.log, References: m.reference,
		LegendBeside: true}}
	each, seeds := 1, 0
	for _, name := range g.Runs { // a run keeps its colour where another has no curve
		s, steps := m.over(of[name], end)
		s.Name = name
		c.Lines.Series = append(c.Lines.Series, s)
		each, seeds = max(each, steps), max(seeds, len(of[name]))
	}
	if m.name == "std" && spread(c.Lines.Series) > 20 {
		c.Lines.LogY = true
	}
	c.Read = fmt.Sprintf("Clipped to the shortest run, %.4g epochs.", end)
	if each > 1 {
		c.Read += fmt.Sprintf(" A point is the mean of up to %d steps.", each)
	}
	if seeds > 1 {
		c.Read += " A line is the mean over the seeds, its band reaches from the lowest to the highest."
	}
	return c
}

// over returns the curve of a run's seeds up to an epoch, and how many steps make a point.
func (m *measure) over(seeds []Curves, end float64) (chart.Series, int) {
	var xs, ys [][]float64
	n := math.MaxInt
	for _, c := range seeds {
		x, y := m.values(&c, end)
		if len(x) == 0 {
			continue
		}
		xs, ys, n = append(xs, x), append(ys, y), min(n, len(x))
	}
	if len(ys) == 0 {
		return chart.Series{}, 1
	}
	each := 1
	if m.step != nil {
		each = (n + maxBins - 1) / maxBins
	}
	var s chart.Series
	for at := 0; at < n; at += each {
		to := min(at+each, n)
		low, high, sum := math.Inf(1), math.Inf(-1), 0.0
		for _, y := range ys {
			v := mean(y[at:to])
			low, high, sum = math.Min(low, v), math.Max(high, v), sum+v
		}
		s.X = append(s.X, mean(xs[0][at:to]))
		s.Y = append(s.Y, sum/float64(len(ys)))
		if len(ys) > 1 {
			s.Low, s.High = append(s.Low, low), append(s.High, high)
		}
	}
	return s, each
}

// values returns what a run measured up to an epoch.
func (m *measure) values(c *Curves, end float64) (x, y []float64) {
	if m.step != nil {
		for i := range c.Log {
			if c.Log[i].Epoch <= end {
				x, y = append(x, c.Log[i].Epoch), append(y, m.step(&c.Log[i], c.Lambda))
			}
		}
		return x, y
	}
	for i := range c.Probes {
		if v := m.probe(&c.Probes[i]); v != nil && c.Probes[i].Epoch <= end {
			x, y = append(x, c.Probes[i].Epoch), append(y, 100**v)
		}
	}
	return x, y
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// spread returns the largest of all values over the smallest that is above 0.
func spread(all []chart.Series) float64 {
	low, high := math.Inf(1), 0.0
	for _, s := range all {
		for _, v := range s.Y {
			if v > 0 {
				low, high = math.Min(low, v), math.Max(high, v)
			}
		}
	}
	return high / low
}
