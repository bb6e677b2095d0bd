package pages_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"avjepa/internal/server"
	"avjepa/internal/server/browsertest"
	"avjepa/internal/server/pages"
	"avjepa/internal/server/servertest"
	"avjepa/internal/train"
)

// metricsLine returns a line of metrics.jsonl as a healthy run writes it.
func metricsLine(step int, slow float64) []byte {
	x := float64(step)
	m := train.Metrics{Step: step, Epoch: x / 40, Invariance: .05 + .3*math.Exp(-x/(80*slow)),
		SIGReg: 1.2 + 20*math.Exp(-x/(30*slow)) + .05*math.Sin(x/3), Std: 1 - .9*math.Exp(-x/(40*slow)),
		LR: .002 * math.Min(1, x/20), GradNorm: .5 + 4*math.Exp(-x/50) + .2*math.Abs(math.Sin(x)),
		Seconds: .12, ClipsPerS: 500 + 20*math.Sin(x/9), GFLOPS: 90 + 5*math.Cos(x/11), WaitShare: .02}
	m.Total = .95*m.Invariance + .05*m.SIGReg
	text, _ := json.Marshal(m)
	return append(text, '\n')
}

// writeRun makes the folder of a run.
func writeRun(t testing.TB, dir, name, config string, steps int, slow float64) string {
	t.Helper()
	run := filepath.Join(dir, name)
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for i := 1; i <= steps; i++ {
		log.Write(metricsLine(i, slow))
	}
	for file, text := range map[string][]byte{"config.toml": []byte(config), "metrics.jsonl": log.Bytes()} {
		if err := os.WriteFile(filepath.Join(run, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return run
}

// serve starts a server with the pages; what change leaves out is absent.
func serve(t testing.TB, cfg server.Config) *httptest.Server {
	t.Helper()
	site, err := pages.New()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Dir = t.TempDir()
	cfg.Version, cfg.Pages, cfg.ErrorPage, cfg.Public = "test", site.Register, site.ErrorPage, pages.Public
	cfg.Hosts = server.LoopbackHosts
	cfg.Limits.PreviewWait = 2 * browsertest.Patience
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
		s.Close()
	})
	return h
}

// whole starts a server that has everything.
func whole(t *testing.T) (h *httptest.Server, files *sources, live string) {
	t.Helper()
	tools := servertest.Tools(t)
	if files = realSources(t); files == nil {
		files = madeSources(t, tools)
	}
	m := newModel(t, tools)
	runs := t.TempDir()
	writeRun(t, runs, "demo-slow", "[train]\nlr = 0.0005\n", 300, 2)
	live = writeRun(t, runs, "demo", "[train]\nlr = 0.002\nbatch_size = 64\n", 200, 1)
	lib := newLibrary(tools, files)
	var names []string
	for _, c := range lib.clips {
		names = append(names, c.Name)
	}
	servertest.WriteSamples(t, runs, "demo", names[:min(12, len(names))], 50, 100, 150, 200)
	return serve(t, server.Config{Library: lib, Model: m, Explainer: m,
		Tools: tools, RunsDir: runs}), files, live
}

// TestBrowser uses the pages as people do, in one real browser.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := browsertest.Start(t)
	h, files, live := whole(t)

	t.Run("upload, results, play, why", func(t *testing.T) {
		x := b.Open(t, h.URL)
		x.Screen(1280, false)
		x.Visit("/")
		x.Do("choose a file", chromedp.SetUploadFiles(chromedp.CSS("#file"), files.films[len(files.films)-1:]))
		x.Until("results", `location.pathname.startsWith("/search/q/") && document.querySelector(".results .card")`)
		if n := browsertest.Eval[int](x, `document.querySelectorAll("main > .results .card").length`); n == 0 {
			x.Error("no result is better than chance")
		}
		if !browsertest.Eval[bool](x, `/score/.test(document.querySelector(".score").textContent) && !!document.querySelector("#chance")`) {
			x.Error("neither score nor chance line")
		}
		// One clock: the playhead is where the film is.
		x.Do("play", browsertest.Discard(chromedp.Evaluate[chromedp.Void](`void document.querySelector("av-player").toggle()`)))
		x.Until("the film plays", `document.querySelector("av-player video").currentTime > 0.5`)
		off := browsertest.Eval[float64](x, `(() => {
			const p = document.querySelector("av-player"), v = p.querySelector("video");
			v.pause();
			return new Promise((done) => setTimeout(() => done(Math.abs(parseFloat(
				p.querySelector(".playhead").style.left) / 100 * p.seconds - v.currentTime)), 100));
		})()`)
		if !(off <= .04) {
			x.Errorf("the playhead is %.3f s from the film", off)
		}
		x.Picture("results-light")
		x.Do("why", chromedp.Click(chromedp.CSS(".results .card [data-key=w]")))
		x.Until("the overlay", `document.querySelector("av-why .screen canvas") && !document.querySelector("[data-slot=state]")`)
		x.Until("the overlay is drawn", painted("av-why [data-part=picture] .screen canvas"))
		x.Until("the log-mel's overlay is drawn", painted("av-why [data-part=sound] .mel canvas"))
		before := browsertest.Eval[string](x, `document.querySelector("av-why [data-part=picture] canvas").toDataURL()`)
		x.Do("play", chromedp.Click(chromedp.CSS("[data-do=play]")))
		x.Until("it plays", `document.querySelector("[data-part=picture] video").currentTime > 1`)
		browsertest.Eval[any](x, `(document.querySelectorAll("video").forEach((v) => v.pause()), 0)`)
		if after := browsertest.Eval[string](x, `document.querySelector("av-why [data-part=picture] canvas").toDataURL()`); after == before {
			x.Error("the overlay did not follow the film")
		}
		x.Picture("why-light")
	})

	t.Run("a picture and a sound, a file that is none, without script", func(t *testing.T) {
		x := b.Open(t, h.URL)
		x.Visit("/")
		x.Do("choose a sound", chromedp.SetUploadFiles(chromedp.CSS("#file"), files.sounds[:1]))
		x.Until("results", `location.pathname.startsWith("/search/q/")`)
		x.Until("heading", `document.querySelector("h1")?.textContent === "Clips that look like this sounds"`)
		page := filepath.Join(t.TempDir(), "page.mp4")
		if err := os.WriteFile(page, []byte("<!doctype html><title>404</title>"), 0o644); err != nil {
			t.Fatal(err)
		}
		x.Visit("/")
		x.Allow = "415"
		x.Do("choose no medium", chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{page}))
		x.Until("what is wrong", `/no video, sound or picture/.test(document.querySelector("[role=alert]")?.textContent)`)
	})

	t.Run("microphone", func(t *testing.T) {
		x := b.Open(t, h.URL)
		x.Screen(1280, false)
		x.Visit("/")
		x.Do("record", chromedp.Click(chromedp.CSS("#record")))
		x.Until("level", `document.querySelector("av-recorder [role=meter]")`)
		x.Do("some sound", chromedp.Sleep(1200*time.Millisecond))
		x.Do("stop", chromedp.Click(chromedp.CSS("av-recorder button")))
		x.Until("listen first", `document.querySelector("av-recorder audio")?.src.startsWith("blob:")`)
		x.Do("send", chromedp.Click(chromedp.CSS("av-recorder .primary")))
		x.Until("results", `location.pathname.startsWith("/search/q/")`)
	})

	t.Run("a live run", func(t *testing.T) {
		x := b.Open(t, h.URL)
		x.Screen(1280, false)
		x.Visit("/runs")
		x.Picture("runs-light")
		x.Visit("/runs/demo")
		x.Until("curves", `document.querySelectorAll(".uplot canvas").length >= 6`)
		f, err := os.OpenFile(filepath.Join(live, "metrics.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			x.Fatal(err)
		}
		defer f.Close()
		for step := 201; step <= 210; step++ {
			if _, err := f.Write(metricsLine(step, 1)); err != nil {
				x.Fatal(err)
			}
		}
		begun := time.Now()
		x.Until("the new steps", `document.querySelector("[data-slot=step]").textContent === "210"`)
		if late := time.Since(begun); late > 3*time.Second {
			x.Errorf("the curves were %v behind", late)
		}
		x.Do("pause", chromedp.Click(chromedp.CSS("[data-do=pause]")))
		x.Picture("run-light")
		x.Visit("/runs/compare?run=demo&run=demo-slow")
		x.Until("curves", `document.querySelectorAll(".uplot canvas").length >= 6`)
		if !browsertest.Eval[bool](x, `/train\.lr/.test(document.querySelector("main").textContent)`) {
			x.Error("the keys that differ are not shown")
		}
		x.Picture("compare-light")
	})

	t.Run("samples by checkpoint", func(t *testing.T) {
		x := b.Open(t, h.URL)
		x.Screen(1280, false)
		x.Visit("/runs/demo")
		x.Until("the last step", `/After step 200/.test(document.querySelector("av-samples [data-slot=found]").textContent)`)
		x.Do("the slider", chromedp.Focus(chromedp.CSS("av-samples input[type=range]")))
		x.Keys(kb.Home)
		x.Until("the first step", `/After step 50 .*of 12 held-out clips 0 find/.test(document.querySelector("av-samples [data-slot=found]").textContent.replaceAll("\n", " "))`)
		x.Until("it is said", `/After step 50/.test(document.querySelector("#live").textContent)`)
		if got := browsertest.Eval[string](x, `document.querySelector("av-samples input").getAttribute("aria-valuetext")`); got != "step 50" {
			x.Errorf("the slider says %q", got)
		}
		x.Keys(kb.ArrowRight, kb.ArrowRight)
		x.Until("the third step", `/After step 150/.test(document.querySelector("av-samples [data-slot=found]").textContent)`)
		x.Until("pictures", `document.querySelector("av-samples img")?.naturalWidth > 0`)
		x.Picture("samples-light")
	})

	t.Run("map", func(t *testing.T) {
		x := b.Open(t, h.URL)
		x.Screen(1280, false)
		x.Visit("/map")
		x.Until("points", painted("av-map canvas"))
		x.Until("list", `document.querySelectorAll("[data-slot=list] li").length > 5`)
		x.Do("focus", chromedp.Focus(chromedp.CSS("av-map canvas[tabindex]")))
		x.Keys("+", "n", "n", kb.Enter)
		x.Until("panel", `document.querySelector("[data-slot=panel] video, [data-slot=panel] audio")`)
		x.Until("true neighbours", `document.querySelectorAll("[data-slot=panel] .list li").length > 2`)
		if browsertest.Eval[bool](x, `document.querySelector("[data-do=hover]").getAttribute("aria-pressed") === "true"`) {
			x.Error("points sound before anybody asked")
		}
		x.Picture("map-light")
	})

	t.Run("duplicates, tables to keep", func(t *testing.T) { duplicates(t, b, h) })
	t.Run("keys alone", func(t *testing.T) {
		x := b.Open(t, h.URL)
		x.Screen(1280, false)
		x.Visit("/library")
		x.Keys("j", "j", "n") // the second clip, more like it
		x.Until("results", `location.pathname === "/search" && document.querySelector(".results .card")`)
		x.Keys("a")
		x.Until("direction", `new URLSearchParams(location.search).get("find") === "look"`)
		x.Keys("j", " ")
		x.Until("the first result plays", `document.querySelector(".card video, .card audio")?.currentTime > 0.1`)
		x.Keys(kb.Escape, "w")
		x.Until("why", `location.pathname === "/why" && !document.querySelector("[data-slot=state]")`)
		x.Keys("]", " ")
		x.Until("it plays", `[...document.querySelectorAll("video, audio")].some((m) => m.currentTime > 0.1)`)
		x.Keys(kb.Escape, "?")
		x.Until("keys", `document.querySelector("dialog[open] dl")`)
		x.Keys(kb.Escape)
		x.Until("closed", `!document.querySelector("dialog[open]")`)
		x.Keys("g", "m")
		x.Until("map", `location.pathname === "/map" && document.querySelector("av-map canvas")`)
		x.Keys("/")
		x.Until("search", `location.pathname === "/"`)
		// The skip link comes first, and moves the focus into the page.
		x.Keys(kb.Tab)
		if got := browsertest.Eval[string](x, `document.activeElement.className`); got != "skip" {
			x.Errorf("the first stop is %q", got)
		}
	})

	t.Run("accessible", func(t *testing.T) { axe(t, b, h) })
}

// painted is an expression that is true once something is drawn on a canvas.
func painted(css string) string {
	return fmt.Sprintf(`(() => {
		const c = document.querySelector(%q);
		if (!c || !c.width || !c.height) return false;
		const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		for (let i = 3; i < d.length; i += 4) if (d[i]) return true;
		return false;
	})()`, css)
}

// axe checks every page in both themes and at three widths.
func axe(t *testing.T, b *browsertest.Browser, h *httptest.Server) {
	script, err := os.ReadFile(filepath.Join("testdata", "axe", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	ready := map[string]string{
		"/map":                                 painted("av-map canvas"),
		"/runs/demo":                           `document.querySelectorAll(".uplot canvas").length >= 6`,
		"/runs/compare?run=demo&run=demo-slow": `document.querySelectorAll(".uplot canvas").length >= 6`,
		"/why?sound=c:clip01&picture=c:clip01": `!document.querySelector("[data-slot=state]")`,
	}
	// The clips of a label are enough of the library: a grid is the same card again.
	for _, path := range []string{"/", "/library?has=video&text=1", "/library/duplicates", "/clips/clip01", "/search?clip=clip03",
		"/why?sound=c:clip01&picture=c:clip01", "/map", "/runs", "/runs/demo",
		"/runs/compare?run=demo&run=demo-slow", "/runs/demo/samples", "/start", "/docs/errors", "/phone", "/models", "/models/current", "/jobs", "/keys", "/nowhere"} {
		t.Run(path, func(t *testing.T) {
			x := b.Open(t, h.URL)
			x.Allow = map[string]string{"/nowhere": "404"}[path]
			x.Screen(1280, false)
			x.Visit(path)
			if ready[path] != "" {
				x.Until("ready", ready[path])
			}
			x.Do("axe", browsertest.Discard(chromedp.Evaluate[any]("(() => {"+string(script)+"; return 0})()")))
			for _, dark := range []bool{false, true} {
				// Beside contrast nothing depends on the colours.
				rules, widths := `{resultTypes: ["violations"], preload: false`, []int64{1280, 390, 320}
				if dark {
					rules += `, runOnly: ["color-contrast", "link-in-text-block"]`
					widths = []int64{1280, 320} // 390 px has the colours of 320
				}
				for _, width := range widths {
					x.Screen(width, dark)
					found := browsertest.Eval[string](x, `axe.run(document, `+rules+`}).then((r) =>
						r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target + " " +
						(n.any[0] ?? n.all[0] ?? n.none[0])?.message).join("; ")).join("\n"))`)
					if found != "" {
						x.Errorf("at %d px, dark %v:\n%s", width, dark, found)
					}
					if wide := browsertest.Eval[int](x, `document.documentElement.scrollWidth`); wide > int(width) {
						x.Errorf("%d px wide at %d px", wide, width)
					}
					if theme := map[bool]string{false: "light", true: "dark"}[dark]; width == 1280 {
						x.Picture(pictureName(path) + "-" + theme)
					} else if width == 390 && !dark {
						x.Picture(pictureName(path) + "-phone")
					}
				}
			}
		})
	}
}

// pictureName makes a file's name of a page's address.
func pictureName(path string) string {
	if path == "/" {
		return "search"
	}
	return strings.Trim(strings.Map(func(c rune) rune {
		if strings.ContainsRune("/?=:&", c) {
			return '-'
		}
		return c
	}, path), "-")
}
