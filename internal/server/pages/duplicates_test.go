package pages_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"avjepa/internal/server"
	"avjepa/internal/server/browsertest"
)

// Duplicates are the first two films, though they are none.
func (l *library) Duplicates(_ context.Context, id string, skip, _ int) ([]server.Pair, int, error) {
	if len(l.clips) < 2 || skip > 0 || id != "" && id != l.clips[0].ID && id != l.clips[1].ID {
		return nil, 0, nil
	}
	return []server.Pair{{Clips: [2]server.Clip{l.clips[0], l.clips[1]}, Picture: .02, Sound: .1}}, 1, nil
}

func (l *library) LeftOut(ctx context.Context) ([]server.LeftOut, error) {
	info, err := l.Info(ctx)
	return info.LeftOut, err
}

func fileBytes(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// duplicates goes from the library to clips beside each other, and looks for what can be
// kept as a file.
func duplicates(t *testing.T, b *browsertest.Browser, h *httptest.Server) {
	x := b.Open(t, h.URL)
	x.Screen(1280, false)
	x.Visit("/library?has=video&text=1")
	x.Do("side by side", chromedp.Click(chromedp.CSS("a[href='/library/duplicates']")))
	x.Until("two players", `document.querySelectorAll(".pair av-player").length === 2`)
	if facts := browsertest.Eval[string](x, `[...document.querySelectorAll(".pair tbody tr")].map((r) =>
		r.cells[0].textContent + " " + r.cells[3].textContent).join()`); !strings.Contains(facts, "Name differs") ||
		!strings.Contains(facts, "Size differs") || !strings.Contains(facts, "Length same") {
		x.Errorf("what differs: %s", facts)
	}
	// One sound at a time.
	x.Do("play", discard(`document.querySelectorAll(".pair av-player")[0].toggle()`))
	x.Until("the first plays", `document.querySelectorAll("video")[0].currentTime > 0.1`)
	x.Do("play", discard(`document.querySelectorAll(".pair av-player")[1].toggle()`))
	x.Until("the second plays alone", `document.querySelectorAll("video")[1].currentTime > 0.1 && document.querySelectorAll("video")[0].paused`)
	x.Visit("/library?has=video&text=1")
	for _, path := range []string{"/v1/library/flags.csv", "/v1/library/left-out.csv"} {
		if !browsertest.Eval[bool](x, fmt.Sprintf(`document.querySelector("a[download][href='%s']") ? fetch(%q).then((r) =>
			r.ok && r.headers.get("Content-Disposition").startsWith("attachment")) : false`, path, path)) {
			x.Errorf("no link to %s, or it gives no file", path)
		}
	}
}
