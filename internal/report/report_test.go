package report

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"image"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"avjepa/internal/train"
)

// testLog is a run of n steps as it might have gone.
func testLog(n int) []train.Metrics {
	var log []train.Metrics
	for i := range n {
		x := float64(i+1) / float64(n)
		log = append(log, train.Metrics{Step: i + 1, Epoch: x, Total: 2 - x, Invariance: .1 * x,
			SIGReg: 3 - 1.9*x, Std: x, LR: 1e-3, GradNorm: .5 + .1*math.Sin(9*x), Seconds: .1})
	}
	return log
}

const evil = `<script>alert("1")</script><img src=http://evil.example/x onerror='x()'>`

// evilData has the same hostile text wherever a report has text.
func evilData(t *testing.T) Data {
	t.Helper()
	curves, err := Curves(testLog(50), .05)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewRGBA(image.Rect(0, 0, 64, 32))
	found := []Neighbour{{Key: evil, Label: evil, Score: .5, Own: true, Picture: PNG(img)},
		{Key: evil, Score: math.NaN(), Picture: JPEG(img)}}
	set := []Setting{{evil, evil, evil}}
	return Data{Title: evil, Verdict: evil, Health: evil, Curves: curves, Cut: evil,
		Tables: []Table{{Title: evil, Read: evil, Head: []string{evil}, Rows: [][]string{{evil}}}},
		Clips: []Clip{{Key: evil, Label: evil, Frames: JPEG(img), Mel: PNG(img),
			A2V: found, V2A: found}},
		Limits: []string{evil}, Config: set, Machine: set, Repeat: evil, Made: evil}
}

func render(t *testing.T, d Data) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// element is a start tag of a page.
type element struct {
	name  string
	attrs map[string]string
}

// void are the elements that have no end tag.
var void = regexp.MustCompile(`<(meta|img|source|br)((?:\s+[\w-]+="[^"]*")*)\s*>`)

// parse returns the elements of a page or picture; it fails when tags do not match.
func parse(t *testing.T, page string) []element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(void.ReplaceAllString(page, "<$1$2/>")))
	d.Entity = xml.HTMLEntity
	var out []element
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatalf("the page does not parse: %v", err)
		}
		if s, ok := tok.(xml.StartElement); ok {
			e := element{s.Name.Local, map[string]string{}}
			for _, a := range s.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			out = append(out, e)
		}
	}
}

// TestNothingFromOutside allows pictures as data alone, no script, and a policy
// that forbids all else, whatever the names of clips are.
func TestNothingFromOutside(t *testing.T) {
	page := render(t, evilData(t))
	policy, pictures := false, 0
	for _, e := range parse(t, page) {
		switch e.name {
		case "script", "link", "iframe", "object", "embed", "base", "form", "a", "video", "audio":
			t.Errorf("the page has an element %s", e.name)
		case "meta":
			policy = policy || e.attrs["http-equiv"] == "Content-Security-Policy" &&
				strings.HasPrefix(e.attrs["content"], "default-src 'none'; img-src data:;")
		}
		for k, v := range e.attrs {
			switch {
			case strings.HasPrefix(k, "on"):
				t.Errorf("%s has a handler %s", e.name, k)
			case k == "src" || k == "srcset" || k == "href":
				pictures++
				checkPicture(t, e.name+" "+k, v)
			case k == "style":
				t.Errorf("%s has a style", e.name)
			}
		}
	}
	if !policy {
		t.Error("no content security policy")
	}
	if want := 2*4 + 2 + 4; pictures != want {
		t.Errorf("%d pictures, want %d", pictures, want)
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "<img src=http") ||
		regexp.MustCompile(`(?i)url\(|@import`).MatchString(page) {
		t.Error("hostile text or a request is in the page")
	}
}

// checkPicture fails unless v is a data URI that a browser can show.
func checkPicture(t *testing.T, what, v string) {
	t.Helper()
	head, body, ok := strings.Cut(v, ";base64,")
	if !ok || !regexp.MustCompile(`^data:image/(png|jpeg|svg\+xml)$`).MatchString(head) {
		t.Errorf("%s is %.60q", what, v)
		return
	}
	b, err := base64.StdEncoding.DecodeString(body)
	if err != nil || len(b) < 20 {
		t.Errorf("%s: %d bytes, %v", what, len(b), err)
		return
	}
	if head != "data:image/svg+xml" {
		if _, _, err := image.Decode(bytes.NewReader(b)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	for _, e := range parse(t, string(b)) {
		if e.name == "script" || e.name == "image" {
			t.Errorf("%s has an element %s", what, e.name)
		}
		for k, v := range e.attrs {
			if strings.HasPrefix(k, "on") || k == "href" {
				t.Errorf("%s: %s %s = %q", what, e.name, k, v)
			}
			if strings.Contains(v, "NaN") || strings.Contains(v, "Inf") {
				t.Errorf("%s: %s %s = %q", what, e.name, k, v)
			}
		}
	}
}

func TestEmptyReport(t *testing.T) {
	page := render(t, Data{Title: "run"})
	for _, e := range parse(t, page) {
		if e.name == "h2" || e.name == "img" {
			t.Errorf("an empty report has an element %s", e.name)
		}
	}
}

// TestSize bounds the curves of a long run: points are thinned.
func TestSize(t *testing.T) {
	curves, err := Curves(testLog(200_000), .05)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(render(t, Data{Title: "long", Curves: curves})); n > 1<<20 {
		t.Errorf("the curves of a long run take %d bytes", n)
	}
}

// TestOddLogs draws logs of one step, flat ones, and ones with numbers that are not
// finite or not above 0.
func TestOddLogs(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	one := func(v float64) train.Metrics {
		return train.Metrics{Step: 1, Total: v, Invariance: v, SIGReg: v, Std: v, GradNorm: v}
	}
	holes := testLog(40)
	for i := range holes {
		if i%3 == 0 {
			holes[i].Total, holes[i].Std, holes[i].GradNorm = nan, inf, -inf
			holes[i].Invariance, holes[i].SIGReg = 0, -1
		}
	}
	flat := testLog(30)
	for i := range flat {
		flat[i] = one(.3)
		flat[i].Step = i + 1
	}
	for name, c := range map[string]struct {
		log  []train.Metrics
		want int // figures
	}{
		"none": {nil, 0}, "one": {testLog(1), 4}, "small": {[]train.Metrics{one(1e-9)}, 4},
		"large": {[]train.Metrics{one(1e30)}, 4}, "flat": {flat, 4}, "holes": {holes, 4},
		"zero": {[]train.Metrics{one(0)}, 1}, "NaN": {[]train.Metrics{one(nan), one(inf)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			curves, err := Curves(c.log, .05)
			if err != nil {
				t.Fatal(err)
			}
			if len(curves) != c.want {
				t.Errorf("%d figures, want %d", len(curves), c.want)
			}
			parse(t, render(t, Data{Title: name, Curves: curves}))
			for _, f := range curves {
				checkPicture(t, f.Title+", light", string(f.Light))
				checkPicture(t, f.Title+", dark", string(f.Dark))
			}
			if h := Health(c.log); h == "" {
				t.Error("no health")
			}
		})
	}
}

func TestHealth(t *testing.T) {
	for std, want := range map[float64]string{.05: "has collapsed", .5: "far from", 1: "no collapse",
		1.6: "far from", math.NaN(): "not finite"} {
		log := testLog(100)
		for i := range log {
			log[i].Std = std
		}
		if got := Health(log); !strings.Contains(got, want) {
			t.Errorf("deviation %v: %q, want %q", std, got, want)
		}
	}
	if got := Health(nil); !strings.Contains(got, "no log") {
		t.Errorf("no log: %q", got)
	}
}

func Example() {
	var page strings.Builder
	err := Write(&page, Data{Title: "demo", Verdict: "It works."})
	fmt.Println(strings.Contains(page.String(), "<h1>demo</h1>"), err)
	// Output: true <nil>
}
