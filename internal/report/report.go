// Package report writes what a run did and what its encoder can do as one HTML
// file that needs nothing else: no network, no script, light and dark.
//
//	curves, err := report.Curves(metrics, lambda)
//	err = report.Write(w, report.Data{Title: "demo", Verdict: "…", Curves: curves})
package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"avjepa/internal/train"
)

//go:embed report.html
var page string

// Data is the content of a report, in the order of the page.
type Data struct {
	Title   string
	Verdict string // one sentence: what came out
	Health  string // one sentence: did the embeddings collapse
	Tables  []Table
	Curves  []Figure
	Clips   []Clip
	Panels  []Panel  // what the encoder attends to and how it groups clips
	Cut     string   // what was left out to keep the file small
	Limits  []string // what limits the result
	Config  []Setting
	Machine []Setting
	Repeat  string // commands that make the run again
	Made    string // date
}

// Table is a small table with a line that says how to read it.
type Table struct {
	Title, Read string
	Head        []string
	Rows        [][]string
	Text        bool   // words rather than numbers: columns begin on the left
	Fold        string // when there are many rows: what to press to see them
}

// Setting is a key, its value and where that is from.
type Setting struct{ Key, Value, Origin string }

// Figure is a picture in a light and a dark variant.
type Figure struct {
	Title, Read string
	Light       template.URL    // data: URI
	Dark        template.Srcset // likewise; as an URL its comma would be escaped
}

// Clip is a held-out clip with its nearest neighbours in both directions.
type Clip struct {
	Key, Label string
	Frames     template.URL // strip of frames
	Mel        template.URL // log-mel
	A2V, V2A   []Neighbour  // what it looks like to the ear; sounds like to the eye
	RankA2V    int
	RankV2A    int
}

// Neighbour is a clip that was found.
type Neighbour struct {
	Key, Label string
	Score      float64 // cosine
	Own        bool    // it is the clip itself: the pair
	Picture    template.URL
}

var funcs = template.FuncMap{
	"cos": func(v float64) string { return fmt.Sprintf("%.2f", v) },
}

// Write renders the report. What does not fit into Budget is left out, and the page says
// so.
func Write(w io.Writer, d Data) error {
	d.trim(Budget)
	t, err := template.New("report").Funcs(funcs).Parse(page)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := t.Execute(w, d); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// Health judges the end of a run in words.
func Health(log []train.Metrics) string {
	if len(log) == 0 {
		return "The run has no log."
	}
	tail := log[len(log)-max(1, len(log)/20):]
	var std, reg float64
	for _, m := range tail {
		std, reg = std+m.Std/float64(len(tail)), reg+m.SIGReg/float64(len(tail))
	}
	text := fmt.Sprintf("At the end the embeddings' deviation is %.2f and SIGReg %.2f "+
		"(floor 1.06): ", std, reg)
	switch {
	case std-std != 0 || reg-reg != 0:
		return text + "the run has diverged, its numbers are not finite."
	case std < 0.2:
		return text + "the encoder has collapsed, all clips look alike to it."
	case std < 0.8 || std > 1.2:
		return text + "not collapsed, but far from the unit normal it is pulled to; a longer run " +
			"or a larger λ helps."
	}
	return text + "no collapse."
}

// JPEG and PNG turn pictures into data URIs.
func JPEG(img image.Image) template.URL {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return dataURI("image/jpeg", b.Bytes())
}

func PNG(img image.Image) template.URL {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return dataURI("image/png", b.Bytes())
}

// SVG turns a drawing into a data URI.
func SVG(drawing []byte) template.URL { return dataURI("image/svg+xml", drawing) }

func dataURI(kind string, data []byte) template.URL {
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data))
}
