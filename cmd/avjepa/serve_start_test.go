package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/server/browsertest"
)

// tinyDemo makes the demo of the first page small.
var tinyDemo = []string{"--demo-flag", "--scenes=64", "--demo-flag", "--held-out=32", "--demo-flag",
	"--set=train.steps=12"}

// waitJob waits for a job to end and returns it.
func (s *served) waitJob(id any) map[string]any {
	s.t.Helper()
	for range 1800 {
		if _, job := s.do("GET", "/v1/jobs/"+id.(string), "", nil); job["finished"] != nil {
			return job
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.t.Fatalf("job %v does not end: %s", id, s.errs)
	return nil
}

// TestStartDemo goes from nothing to a search in a browser: the button makes the toy set,
// trains, indexes and loads both into the server that runs.
func TestStartDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser and a demo")
	}
	needsFFmpeg(t)
	b := browsertest.Start(t)
	dir := t.TempDir()
	url := serveAt(t, dir, append([]string{"--cache", "cache"}, tinyDemo...)...)
	x := b.Open(t, url)
	x.Screen(1280, false)
	x.Visit("/")
	x.Until("the three ways", `document.querySelectorAll(".start li").length === 3`)
	x.Until("ticks", `/ffmpeg \d/.test(document.querySelector(".ticks").textContent)`)
	x.Until("command lines", `/avjepa demo --scenes=64/.test(document.querySelector(".start pre").textContent)`)
	for _, width := range []int64{1280, 320} {
		for _, dark := range []bool{false, true} {
			x.Screen(width, dark)
			x.Picture("first-start-" + map[bool]string{true: "dark", false: "light"}[dark] + "-" +
				map[int64]string{1280: "wide", 320: "phone"}[width])
		}
	}
	x.Screen(1280, false)
	x.Do("start", chromedp.Click(chromedp.CSS("form[action='/start'] input[value=demo] ~ button")))
	x.Until("progress", `/of 3: (pretrain|ingest|scenes|demo)/.test(document.querySelector("#start-job")?.textContent)`)
	x.Picture("first-start-running")
	browsertest.Eval[any](x, `(document.activeElement.blur(), 0)`)
	// It comes by itself when all is there.
	deadline := time.Now().Add(3 * time.Minute)
	for !browsertest.Eval[bool](x, `!!document.querySelector("av-search")`) {
		if time.Now().After(deadline) {
			t.Fatalf("no search: %s", browsertest.Eval[string](x, `document.querySelector("main").textContent`))
		}
		time.Sleep(500 * time.Millisecond)
	}
	x.Until("clips", `document.querySelectorAll(".card").length === 8`)
	x.Do("more like the first", chromedp.Click(chromedp.CSS(".card a")))
	x.Until("the clip", `location.pathname.startsWith("/clips/")`)
	if _, err := os.Stat(filepath.Join(dir, "library", "library.db")); err != nil {
		t.Error(err)
	}
}

// TestStartVideos checks a folder, trains on it and searches in it, all by the API.
func TestStartVideos(t *testing.T) {
	needsFFmpeg(t)
	dir, films := t.TempDir(), t.TempDir()
	for i := range 6 {
		encodertest.Film(t, filepath.Join(films, string(rune('a'+i))+".mp4"), 2, true)
	}
	s := serve(t, dir, "--demo-flag", "--set=train.steps=4", "--demo-flag", "--set=model.size=tiny")
	defer s.end()
	if status, info := s.do("GET", "/v1/start", "", nil); status != 200 || len(info["ways"].([]any)) != 3 {
		t.Fatalf("%d %v", status, info)
	}
	status, plan := s.post("/v1/start/check", map[string]any{"folder": films})
	if status != 200 || number(t, plan, "files") != 6 || plan["trains"] != true {
		t.Fatalf("check: %d %v: %s", status, plan, s.errs)
	}
	if n := number(t, plan, "duration_seconds"); !(n > 10 && n < 14) {
		t.Errorf("12 s of film are measured as %v s", n)
	}
	for _, path := range []string{"work_seconds", "disk_bytes", "size_bytes"} {
		if !(number(t, plan, path) > 0) {
			t.Errorf("%s of %v", path, plan)
		}
	}
	status, job := s.post("/v1/start", map[string]any{"way": "videos", "path": films, "minutes": 1})
	if status != 202 {
		t.Fatalf("start: %d %v", status, job)
	}
	if status, p := s.post("/v1/start", map[string]any{"way": "demo"}); status != 409 || p["code"] != "already-started" {
		t.Errorf("two at once: %d %v", status, p)
	}
	if job = s.waitJob(job["id"]); job["state"] != "done" {
		t.Fatalf("%v: %s", job, s.errs)
	}
	if _, list := s.do("GET", "/v1/clips", "", nil); number(t, list, "total") != 6 {
		t.Errorf("clips: %v", list)
	}
	if status, p := s.post("/v1/start", map[string]any{"way": "demo"}); status != 409 || p["code"] != "model-loaded" {
		t.Errorf("with a model: %d %v", status, p)
	}
	if status, found := s.upload("/v1/search", filepath.Join(films, "b.mp4")); status != 200 || len(found["items"].([]any)) == 0 {
		t.Errorf("search: %d %v", status, found)
	}
	// With a model the same way indexes another folder.
	more := t.TempDir()
	encodertest.Film(t, filepath.Join(more, "x.mp4"), 3, true)
	status, plan = s.post("/v1/start/check", map[string]any{"folder": more})
	if status != 200 || plan["trains"] != false || !(number(t, plan, "work_seconds") > 0) {
		t.Errorf("check with a model: %d %v: %s", status, plan, s.errs)
	}
	if status, job = s.post("/v1/start", map[string]any{"way": "videos", "path": more}); status != 202 || job["kind"] != "index" {
		t.Fatalf("index: %d %v", status, job)
	}
	if job = s.waitJob(job["id"]); job["state"] != "done" {
		t.Errorf("%v: %s", job, s.errs)
	}
}

// TestStartCheckpoint opens a model, and says of what is none that it is none.
func TestStartCheckpoint(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir)
	defer s.end()
	bad := writeFile(t, strings.Repeat("not a checkpoint", 100), dir, "bad.safetensors")
	for _, c := range []struct {
		in   map[string]any
		code string
	}{
		{map[string]any{"way": "checkpoint"}, "bad-request"},
		{map[string]any{"way": "checkpoint", "path": filepath.Join(dir, "absent")}, "bad-request"},
		{map[string]any{"way": "fly"}, "bad-request"},
		{map[string]any{"way": "demo", "minutes": 99999999}, "bad-request"},
		{map[string]any{"way": "videos", "path": "relative"}, "bad-request"},
	} {
		if status, p := s.post("/v1/start", c.in); status != 400 || p["code"] != c.code {
			t.Errorf("%v: %d %v", c.in, status, p)
		}
	}
	_, job := s.post("/v1/start", map[string]any{"way": "checkpoint", "path": bad})
	job = s.waitJob(job["id"])
	if p, _ := job["problem"].(map[string]any); job["state"] != "failed" || p["code"] != "not-a-model" {
		t.Errorf("%v", job)
	}
	_, job = s.post("/v1/start", map[string]any{"way": "checkpoint", "path": encodertest.Save(t)})
	if job = s.waitJob(job["id"]); job["state"] != "done" {
		t.Fatalf("%v: %s", job, s.errs)
	}
	if status, card := s.do("GET", "/v1/models/current", "", nil); status != 200 || card["loaded"] != true {
		t.Errorf("%d %v", status, card)
	}
}

// TestStartCancel cancels a demo: its process ends, and another may begin.
func TestStartCancel(t *testing.T) {
	needsFFmpeg(t)
	dir := t.TempDir()
	s := serve(t, dir, "--demo-flag", "--set=train.steps=100000", "--demo-flag", "--scenes=64", "--demo-flag", "--held-out=32")
	defer s.end()
	_, job := s.post("/v1/start", map[string]any{"way": "demo", "minutes": 600})
	id := job["id"]
	training := false
	for range 900 {
		_, job = s.do("GET", "/v1/jobs/"+id.(string), "", nil)
		p := job["progress"].(map[string]any)
		if training = p["stage"] == "pretrain" && p["done"].(float64) > 2; training || job["finished"] != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !training {
		t.Fatalf("it never trains: %v: %s", job, s.errs)
	}
	if status, _ := s.do("DELETE", "/v1/jobs/"+id.(string), "", nil); status != 202 {
		t.Errorf("cancel: %d", status)
	}
	if job = s.waitJob(id); job["state"] != "canceled" {
		t.Errorf("%v", job)
	}
	if saved, _ := filepath.Glob(filepath.Join(dir, "runs", "demo", "checkpoints", "*.safetensors")); len(saved) == 0 {
		t.Error("it did not save before it left")
	}
}
