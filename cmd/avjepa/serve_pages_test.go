package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/server/browsertest"
)

// TestServePages goes the whole way in a browser with a real model: index a folder from
// the page of jobs, search by a file, see why, look at the map.
func TestServePages(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	b := browsertest.Start(t)
	dir := t.TempDir()
	media := filepath.Join(dir, "films")
	if err := os.MkdirAll(media, 0o755); err != nil {
		t.Fatal(err)
	}
	films, _ := filepath.Glob("../../../shared/data/clips/misc/*_[0-9].mp4")
	if len(films) > 6 {
		films = films[:6]
	}
	for _, path := range films {
		text := readFile(t, path)
		writeFile(t, string(text), media, filepath.Base(path))
	}
	for len(films) < 4 { // nothing real is at hand
		path := filepath.Join(media, string(rune('a'+len(films)))+".mp4")
		encodertest.Film(t, path, 2, true)
		films = append(films, path)
	}
	url := serveAt(t, dir, "--model", encodertest.Save(t), "--library", "library", "--cache", "cache")

	x := b.Open(t, url)
	x.Screen(1280, false)
	x.Visit("/")
	x.Until("an empty library", `/library is empty/.test(document.body.textContent)`)
	x.Visit("/jobs")
	x.Do("index", chromedp.SendKeys(chromedp.CSS("input[name=folder]"), media),
		chromedp.Click(chromedp.CSS("form[action='/jobs/index'] button")))
	x.Until("the job is done", `/done/.test(document.querySelector("#jobs")?.textContent)`)

	x.Visit("/")
	x.Do("a file", chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{
		filepath.Join(media, filepath.Base(films[0]))}))
	x.Until("results", `location.pathname.startsWith("/search/q/") && document.querySelector(".results .card")`)
	found := browsertest.Eval[string](x, `[...document.querySelectorAll(".results h3")].map((h) => h.textContent).join()`)
	if name, _, _ := strings.Cut(filepath.Base(films[0]), "."); !strings.Contains(found, name) {
		t.Errorf("the file is not among what is like it: %s", found)
	}
	x.Do("show all", discarded(`document.querySelectorAll("details").forEach((d) => { d.open = true; })`))
	x.Do("why", chromedp.Click(chromedp.CSS(".results [data-key=w]")))
	x.Until("the overlay", `document.querySelector("av-why .mel canvas") && document.querySelector("av-why .screen canvas") &&
		!document.querySelector("[data-slot=state]")`)
	x.Picture("real-why")
	x.Visit("/map")
	x.Until("the map", `document.querySelectorAll("[data-slot=list] li").length > 2`)
	x.Picture("real-map")
}

func discarded(js string) chromedp.Action[chromedp.Void] {
	return browsertest.Discard(chromedp.Evaluate[any]("(() => {" + js + "; return 0})()"))
}

// serveAt starts the server in dir and returns its address.
func serveAt(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := command(dir, append([]string{"serve", "--json", "--listen", "127.0.0.1:0"}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c, &errs) })
	var said struct {
		URLs []string `json:"urls"`
	}
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&said); err != nil || len(said.URLs) == 0 {
		t.Fatalf("it does not say where it is: %v\n%s", err, errs.String())
	}
	return strings.TrimSuffix(said.URLs[0], "/")
}

// stop ends a server as Ctrl-C does.
func stop(t *testing.T, c *exec.Cmd, errs *strings.Builder) {
	_ = c.Process.Signal(os.Interrupt)
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		_ = c.Process.Kill()
		t.Error("the server did not end")
	}
	if t.Failed() {
		t.Log(errs.String())
	}
}
