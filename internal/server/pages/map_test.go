package pages_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"avjepa/internal/server"
	"avjepa/internal/server/browsertest"
)

// cloud is a library of nothing but a map: points in groups, of which the first eleven have
// a label with a mark of its own.
type cloud struct {
	*library
	points int
}

func newCloud(points int) cloud {
	l := &library{vector: map[string][]float32{}, clips: []server.Clip{{ID: "c0", Name: "c0"}}}
	return cloud{l, points}
}

func (c cloud) Map(_ context.Context, space server.Modality) (*server.Map, error) {
	const groups = 14
	m := &server.Map{Space: space, Method: "made up", Model: "test-model", All: c.points}
	r := rand.New(rand.NewPCG(1, 2))
	var centre [groups][2]float64
	for i := range centre {
		centre[i] = [2]float64{.1 + .8*r.Float64(), .1 + .8*r.Float64()}
	}
	for i := range c.points {
		k := min(r.IntN(groups), r.IntN(groups))
		place := func(axis int) uint16 {
			return uint16(65535 * min(1, max(0, centre[k][axis]+.05*r.NormFloat64())))
		}
		m.IDs = append(m.IDs, fmt.Sprintf("c%d", i))
		m.Labels = append(m.Labels, fmt.Sprintf("group %02d", k))
		m.Points = append(m.Points, [2]uint16{place(0), place(1)})
	}
	return m, nil
}

func (c cloud) Clip(_ context.Context, id string) (server.Clip, error) {
	return server.Clip{ID: id, Name: id, HasAudio: true, Outcome: "ok",
		Labels: []string{}, Flags: []server.Flag{}}, nil
}

// before runs a script in a tab before those of its pages.
func before(x *browsertest.Tab, script string) {
	x.Do("a script before all", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument,
			page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

// noWebGL makes a browser as one without WebGL2.
const noWebGL = `{
	const get = HTMLCanvasElement.prototype.getContext;
	HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
		return kind === "webgl2" ? null : get.call(this, kind, ...rest);
	};
}`

// shot returns what a tab shows of the map.
func shot(x *browsertest.Tab) image.Image {
	x.Helper()
	var img image.Image
	x.Do("a picture of the map", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		data, err := chromedp.Screenshot(chromedp.CSS(".map"))(ctx, t)
		if err == nil {
			img, err = png.Decode(bytes.NewReader(data))
		}
		return err
	}))
	return img
}

// inked returns the share of pixels that are not those of the ground, the one in the corner,
// and the share that differ between two pictures.
func inked(a, b image.Image) (share, differ float64) {
	box := a.Bounds()
	far := func(p, q color.Color) bool {
		r, g, b, _ := p.RGBA()
		u, v, w, _ := q.RGBA()
		d := func(x, y uint32) int { return max(int(x)-int(y), int(y)-int(x)) >> 8 }
		return d(r, u)+d(g, v)+d(b, w) > 90
	}
	ground := a.At(box.Min.X+8, box.Max.Y-8)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			if far(a.At(x, y), ground) {
				share++
			}
			if far(a.At(x, y), b.At(x, y)) {
				differ++
			}
		}
	}
	all := float64(box.Dx() * box.Dy())
	return share / all, differ / all
}

const mapReady = `document.querySelectorAll("[data-slot=list] li").length > 5`

// TestLargeMap draws a map of more points than a 2D canvas is good at: by WebGL2, without
// it, and when it goes away.
func TestLargeMap(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := browsertest.Start(t)
	h := serve(t, server.Config{Library: newCloud(20_001)})
	open := func(script string) *browsertest.Tab {
		x := b.Open(t, h.URL)
		before(x, script)
		x.Screen(1280, false)
		x.Visit("/map?space=audio")
		x.Until("the map", mapReady)
		return x
	}
	with := func(x *browsertest.Tab, want string) {
		t.Helper()
		if got := browsertest.Eval[string](x, `document.querySelector("av-map").dataset.painter`); got != want {
			t.Errorf("drawn by %q, want %q", got, want)
		}
	}
	card, plain := open(""), open(noWebGL)
	with(card, "webgl2")
	with(plain, "2d")
	a, c := shot(card), shot(plain)
	share, differ := inked(a, c)
	if !(share > .05 && differ < share/3) {
		t.Errorf("%.1f %% of the map is drawn, and %.1f %% differ between the two ways", 100*share, 100*differ)
	}
	// Which point lies on top of others may differ, but one colour alone has no such choice.
	for _, x := range []*browsertest.Tab{card, plain} {
		x.Do("one label", chromedp.Click(chromedp.CSS("[data-slot=legend] li:nth-child(7) button")))
		x.Until("it is shown", `document.querySelector("[data-slot=legend] [aria-pressed=true]")`)
	}
	a, c = shot(card), shot(plain)
	if one, differ := inked(a, c); !(one > .001 && one < share/2 && differ < one/5) {
		t.Errorf("%.2f %% is drawn of one label, of all %.1f %%; %.2f %% differ", 100*one, 100*share, 100*differ)
	}
	// A graphics card may go away, and with it all that was on it.
	card.Do("lose it", discard(`document.querySelector("canvas.points").getContext("webgl2")
		.getExtension("WEBGL_lose_context").loseContext()`))
	card.Until("the canvas takes over", `document.querySelector("av-map").dataset.painter === "2d"`)
	if _, differ := inked(shot(card), c); differ > .001 {
		t.Errorf("without the card %.2f %% differ from a canvas", 100*differ)
	}
	// Choosing by the pointer and by the keys is as before.
	plain.Do("keys", chromedp.Focus(chromedp.CSS("av-map canvas[tabindex]")))
	plain.Keys("+", "n")
	plain.Until("a point is marked", `!document.querySelector(".tip").hidden`)
}

func discard(js string) chromedp.Action[chromedp.Void] {
	return browsertest.Discard(chromedp.Evaluate[any]("(() => {" + js + "; return 0})()"))
}

// BenchmarkMap moves a map of 100 000 points in a browser without a graphics card: the time
// of a frame while it moves and of one that shows all, and that until the page can be used.
func BenchmarkMap(b *testing.B) {
	browser := browsertest.Start(b)
	h := serve(b, server.Config{Library: newCloud(100_000)})
	for name, script := range map[string]string{"webgl2": "", "2d": noWebGL} {
		b.Run(name, func(b *testing.B) {
			x := browser.Open(b, h.URL)
			before(x, script+usable)
			x.Screen(1280, false)
			for b.Loop() {
				x.Visit("/map?space=audio")
				x.Until("the map", mapReady)
				b.ReportMetric(browsertest.Eval[float64](x, `usable`), "ms-until-usable")
				for _, m := range []struct{ metric, keys string }{{"ms/pan-frame", "ArrowLeft ArrowRight"},
					{"ms/zoom-frame", "+ -"}} {
					b.ReportMetric(browsertest.Eval[float64](x, fmt.Sprintf(frames, m.keys)), m.metric)
				}
				b.ReportMetric(browsertest.Eval[float64](x, atRest), "ms/still-frame")
			}
		})
	}
}

// usable notes when the list of what is in view is there and has been painted.
const usable = `
	var usable = 0;
	new MutationObserver((_, o) => {
		if (!document.querySelector("[data-slot=list] li")) return;
		o.disconnect();
		requestAnimationFrame(() => requestAnimationFrame(() => { usable = performance.now(); }));
	}).observe(document, { childList: true, subtree: true });`

// press begins the scripts below: the canvas that has a tab stop takes keys.
const press = `
	const canvas = document.querySelector("av-map canvas[tabindex]");
	const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
	const frame = () => new Promise((done) => requestAnimationFrame(done));
	press("0"); // all in view
	await new Promise((done) => setTimeout(done, 1000));`

// frames moves the map to and fro for 8 frames and returns the mean time of one, in ms.
const frames = `(async () => {` + press + `
	const keys = %q.split(" ");
	const begun = performance.now();
	for (let i = 0; i < 8; i++) { press(keys[i %% 8 < 4 ? 0 : 1]); await frame(); }
	return (performance.now() - begun) / 8;
})()`

// atRest draws the map at rest five times, all points each time.
const atRest = `(async () => {` + press + `
	const begun = performance.now();
	for (let i = 0; i < 5; i++) {
		document.dispatchEvent(new Event("themechange"));
		await frame();
	}
	await frame();
	return (performance.now() - begun) / 5;
})()`
