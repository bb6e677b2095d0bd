package report

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"

	"avjepa/internal/chart"
	"avjepa/internal/durable"
	"avjepa/internal/train"
)

// Curve is a chart with the name of its files and a line that says how to read it.
type Curve struct {
	Name  string
	Read  string
	Lines chart.Lines
}

// curves returns the charts of a log: the losses, their parts, the deviation of
// the embeddings and the gradient norm. Numbers that are not finite are left out,
// and charts without any.
func curves(log []train.Metrics, lambda float64) []Curve {
	pick := func(name string, f func(train.Metrics) float64) chart.Series {
		s := chart.Series{Name: name}
		for _, m := range log {
			s.X, s.Y = append(s.X, float64(m.Step)), append(s.Y, f(m))
		}
		return s
	}
	inv := pick("invariance", func(m train.Metrics) float64 { return m.Invariance })
	reg := pick("SIGReg", func(m train.Metrics) float64 { return m.SIGReg })
	weighted := func(s chart.Series, name string, w float64) chart.Series {
		out := chart.Series{Name: name, X: s.X}
		for _, y := range s.Y {
			out.Y = append(out.Y, w*y)
		}
		return out
	}
	all := []Curve{
		{"loss", "All three should fall; invariance at 0 from the start would be a collapse.",
			chart.Lines{Title: "Loss", YLabel: "loss", LogY: true, Series: []chart.Series{
				pick("total", func(m train.Metrics) float64 { return m.Total }),
				weighted(inv, "(1−λ) invariance", 1-lambda), weighted(reg, "λ SIGReg", lambda)}}},
		{"parts", "SIGReg falls sharply, then slowly towards its floor of 1.06.",
			chart.Lines{Title: "Unweighted parts", YLabel: "value", LogY: true,
				Series:     []chart.Series{inv, reg},
				References: []chart.Reference{{Name: "SIGReg of a true normal, 1.06", Y: 1.0594}}}},
		{"std", "It should rise to about 1 and stay; towards 0 means that all clips look alike to " +
			"the encoder.",
			chart.Lines{Title: "Deviation of the embeddings", YLabel: "std", LegendBelow: true,
				Series: []chart.Series{pick("std",
					func(m train.Metrics) float64 { return m.Std })},
				References: []chart.Reference{{Name: "target 1", Y: 1}}}},
		{"gradient", "Spikes above the clip bound are cut; a rising floor hints at too high a " +
			"learning rate.",
			chart.Lines{Title: "Gradient norm", YLabel: "norm", LogY: true,
				Series: []chart.Series{pick("before clipping",
					func(m train.Metrics) float64 { return m.GradNorm })}}},
	}
	for i := range all {
		all[i].Lines.XLabel = "step"
	}
	return Drawable(all)
}

// Drawable returns the charts that have a point to show.
func Drawable(all []Curve) []Curve {
	var out []Curve
	for _, c := range all {
		if drawable(c.Lines) {
			out = append(out, c)
		}
	}
	return out
}

// drawable reports whether a chart has a point that its axis can show.
func drawable(l chart.Lines) bool {
	for _, s := range l.Series {
		for _, y := range s.Y {
			if y-y == 0 && (y > 0 || !l.LogY) {
				return true
			}
		}
	}
	return false
}

// Curves draws the run's log for the page.
func Curves(log []train.Metrics, lambda float64) ([]Figure, error) {
	return Figures(curves(log, lambda))
}

// Figures draws charts for the page.
func Figures(all []Curve) ([]Figure, error) {
	var out []Figure
	for _, c := range all {
		light, err := svg(c.Lines, chart.Light)
		if err != nil {
			return nil, err
		}
		dark, err := svg(c.Lines, chart.Dark)
		if err != nil {
			return nil, err
		}
		out = append(out, Figure{Title: c.Lines.Title, Read: c.Read,
			Light: dataURI("image/svg+xml", light),
			Dark:  template.Srcset(dataURI("image/svg+xml", dark))})
	}
	return out, nil
}

// WriteCurves draws the run's log into dir: loss-light.svg, loss-dark.svg and so
// on. It makes the folder when it is not there.
func WriteCurves(dir string, log []train.Metrics, lambda float64) error {
	return WriteFigures(dir, curves(log, lambda))
}

// WriteFigures draws charts into dir, each as NAME-light.svg and NAME-dark.svg. It makes
// the folder when it is not there.
func WriteFigures(dir string, all []Curve) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, c := range all {
		for theme, colours := range map[string]chart.Theme{"light": chart.Light, "dark": chart.Dark} {
			picture, err := svg(c.Lines, colours)
			if err != nil {
				return err
			}
			path := filepath.Join(dir, c.Name+"-"+theme+".svg")
			err = durable.WriteFile(path, func(w io.Writer) error {
				_, err := w.Write(picture)
				return err
			})
			if err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
	}
	return nil
}

func svg(l chart.Lines, theme chart.Theme) ([]byte, error) {
	var b bytes.Buffer
	if err := l.WriteSVG(&b, theme); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b.Bytes(), nil
}
