package pages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"avjepa/internal/server/browsertest"
)

// TestPhone plays a clip on a small screen and scrolls away from it: it goes along, above
// the bar, and hides nothing that has the focus.
func TestPhone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := browsertest.Start(t)
	h, _, _ := whole(t)
	script, err := os.ReadFile(filepath.Join("testdata", "axe", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{390, 320} {
		x := b.Open(t, h.URL)
		x.Screen(width, width == 320)
		x.Visit("/clips/clip01")
		x.Until("a player", `document.querySelector("av-player .dock")`)
		long := browsertest.Eval[float64](x, `document.querySelector("av-player").offsetHeight`)
		x.Do("play", discard(`const v = document.querySelector("av-player video"); v.loop = true; v.play()`))
		x.Until("it plays", `document.querySelector("video").currentTime > 0.1`)
		if browsertest.Eval[bool](x, `!!document.querySelector(".docked")`) {
			x.Error("it is docked while it is in view")
		}
		x.Do("scroll", discard(`scrollTo(0, document.body.scrollHeight)`))
		x.Until("it goes along", `document.querySelector("av-player.docked")`)
		if now := browsertest.Eval[float64](x, `document.querySelector("av-player").offsetHeight`); now != long {
			x.Errorf("at %d px the page moved by %.0f px", width, now-long)
		}
		if flaw := browsertest.Eval[string](x, `(() => {
			const box = (css) => document.querySelector(css).getBoundingClientRect(), out = [];
			const bar = box(".doors"), dock = box(".dock"), film = box(".docked .screen");
			if (dock.bottom > bar.top + 1 || film.bottom > bar.top + 1) out.push("it covers the bar: " + dock.bottom + ", " + film.bottom + " > " + bar.top);
			if (dock.right > innerWidth + 1 || film.left < 0 || film.right > dock.left + 1) out.push("it does not fit");
			if (film.width < 60 || film.height < 60) out.push("the film is " + film.width + " × " + film.height);
			for (const b of document.querySelectorAll(".dock button")) {
				const r = b.getBoundingClientRect();
				if (r.width < 44 || r.height < 44) out.push(b.ariaLabel + " is " + r.width + " × " + r.height);
			}
			if (document.documentElement.scrollWidth > innerWidth) out.push("the page scrolls sideways");
			return out.join("; ");
		})()`); flaw != "" {
			x.Errorf("at %d px: %s", width, flaw)
		}
		x.Do("axe", discard(string(script)))
		if found := browsertest.Eval[string](x, `axe.run(document, {resultTypes: ["violations"], preload: false}).then((r) =>
			r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target).join("; ")).join("\n"))`); found != "" {
			x.Errorf("at %d px: %s", width, found)
		}
		x.Picture(fmt.Sprintf("dock-%d", width))
		// Down through all links, none of which may be below the dock.
		x.Do("to the links", discard(`document.querySelector(".grid a").focus()`))
		for range 12 {
			x.Keys(kb.Tab)
			if hidden := browsertest.Eval[string](x, `(() => {
				const a = document.activeElement, r = a.getBoundingClientRect(), d = document.querySelector(".dock")?.getBoundingClientRect();
				return !d || !d.height || a === document.body || a.closest(".dock, .doors, .top") || r.bottom <= d.top + 1 || r.top >= d.bottom ? "" : a.outerHTML.slice(0, 80);
			})()`); hidden != "" {
				x.Errorf("at %d px the dock hides %s", width, hidden)
			}
		}
		press := func(label string) {
			x.Do(label, discard(fmt.Sprintf(`document.querySelector('.dock [aria-label^=%q]').click()`, label)))
		}
		x.Do("scroll", discard(`scrollTo(0, document.body.scrollHeight)`))
		x.Until("it goes along", `document.querySelector("av-player.docked")`)
		press("Pause")
		x.Until("it stays, paused", `document.querySelector("video").paused && document.querySelector(".docked .dock [aria-label=Play]")`)
		press("Play")
		x.Until("it plays again", `!document.querySelector("video").paused`)
		press("Back to")
		x.Until("it is in its place", `!document.querySelector(".docked") && document.querySelector("video").controls && !document.querySelector("video").paused`)
		browsertest.Eval[any](x, `new Promise((done) => setTimeout(() => done(0), 300))`) // it is seen to be there
		x.Do("scroll", discard(`scrollTo(0, document.body.scrollHeight)`))
		x.Until("it goes along", `document.querySelector("av-player.docked")`)
		press("Close")
		x.Until("it is gone", `!document.querySelector(".docked, .has-dock") && document.querySelector("video").paused`)
	}
	x := b.Open(t, h.URL)
	x.Screen(1280, false)
	x.Visit("/clips/clip01")
	x.Do("play", discard(`document.querySelector("av-player video").play()`))
	x.Until("it plays", `document.querySelector("video").currentTime > 0.1`)
	x.Do("scroll", discard(`scrollTo(0, document.body.scrollHeight)`))
	if browsertest.Eval[bool](x, `new Promise((done) => setTimeout(() => done(!!document.querySelector(".docked")), 300))`) {
		x.Error("it goes along on a large screen")
	}
}
