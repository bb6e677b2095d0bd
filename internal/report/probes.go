package report

import (
	"math"

	"avjepa/internal/chart"
	"avjepa/internal/train"
)

// probeCurves returns the charts of online probes: each head by what the encoder is
// given, the first five of both, and the losses.
func probeCurves(log []train.Metrics, evaluated []train.ProbeLog) []Curve {
	what := "top-1"
	if n := len(evaluated); n > 0 && evaluated[n-1].Both.LinearMAP != nil {
		what = "mAP"
	}
	pick := func(name string, f func(*train.ProbeLog) *float64) chart.Series {
		s := chart.Series{Name: name}
		for i := range evaluated {
			y := math.NaN()
			if v := f(&evaluated[i]); v != nil {
				y = 100 * *v
			}
			s.X, s.Y = append(s.X, float64(evaluated[i].Step)), append(s.Y, y)
		}
		return s
	}
	inputs := func(head func(train.ProbeScores) *float64) []chart.Series {
		return []chart.Series{
			pick("sound and picture", func(l *train.ProbeLog) *float64 { return head(l.Both) }),
			pick("sound alone", func(l *train.ProbeLog) *float64 { return head(l.Audio) }),
			pick("picture alone", func(l *train.ProbeLog) *float64 { return head(l.Video) })}
	}
	loss := func(name string, f func(*train.Metrics) float64) chart.Series {
		s := chart.Series{Name: name}
		for i := range log {
			if y := f(&log[i]); y > 0 { // else the step was without
				s.X, s.Y = append(s.X, float64(log[i].Step)), append(s.Y, y)
			}
		}
		return s
	}
	all := []Curve{
		{"probe-linear", "What a linear layer on the CLS tells of held-out clips; the encoder never " +
			"sees a label.", chart.Lines{Title: "Online linear probe, " + what, YLabel: what + " %",
			LegendBelow: true, Series: inputs(train.ProbeScores.Linear)}},
		{"probe-attentive", "The same of one learned query over the patch tokens.",
			chart.Lines{Title: "Online attentive probe, " + what, YLabel: what + " %",
				LegendBelow: true, Series: inputs(train.ProbeScores.Attentive)}},
		{"probe-heads", "Both heads on clips seen and heard; the attentive one reads more of the encoder, " +
			"so it should lie higher.",
			chart.Lines{Title: "Online probes, " + what, YLabel: what + " %", LegendBelow: true,
				Series: []chart.Series{
					pick("linear", func(l *train.ProbeLog) *float64 {
						if l.Both.Attentive() == nil { // one head is no comparison
							return nil
						}
						return l.Both.Linear()
					}),
					pick("attentive", func(l *train.ProbeLog) *float64 { return l.Both.Attentive() })}}},
		{"probe-top5", "The right class is among the first five, of clips seen and heard.",
			chart.Lines{Title: "Online probes, top-5", YLabel: "top-5 %", LegendBelow: true,
				Series: []chart.Series{
					pick("linear", func(l *train.ProbeLog) *float64 { return l.Both.LinearTop5 }),
					pick("attentive", func(l *train.ProbeLog) *float64 { return l.Both.AttentiveTop5 })}}},
		{"probe-loss", "Cross-entropies on the clips trained on, with the smoothing of training.",
			chart.Lines{Title: "Losses of the online probes", YLabel: "cross-entropy",
				Series: []chart.Series{
					loss("linear", func(m *train.Metrics) float64 { return m.ProbeLinear }),
					loss("linear, one modality", func(m *train.Metrics) float64 { return m.ProbeUnimodal }),
					loss("attentive", func(m *train.Metrics) float64 { return m.ProbeAttentive }),
					loss("linear and attentive together", func(m *train.Metrics) float64 {
						if m.ProbeAttentive == 0 {
							return 0
						}
						return m.ProbeLinear + m.ProbeAttentive
					})}}},
	}
	for i := range all {
		all[i].Lines.XLabel = "step"
	}
	return Drawable(all)
}

// ProbeCurves draws a run's online probes for the page: nothing for a run without.
func ProbeCurves(log []train.Metrics, evaluated []train.ProbeLog) ([]Figure, error) {
	return Figures(probeCurves(log, evaluated))
}

// WriteProbeCurves draws them into dir, as WriteCurves does the run's log:
// probe-linear-light.svg and so on.
func WriteProbeCurves(dir string, log []train.Metrics, evaluated []train.ProbeLog) error {
	return WriteFigures(dir, probeCurves(log, evaluated))
}
