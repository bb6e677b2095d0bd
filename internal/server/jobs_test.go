package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// waitFor asks for a job until it is over.
func waitFor(t *testing.T, get_ func() server.Job) server.Job {
	t.Helper()
	for range 1500 {
		if j := get_(); j.State.Over() {
			return j
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the job does not end")
	return server.Job{}
}

// TestIndexJob indexes a folder, watches it, and finds the new clips.
func TestIndexJob(t *testing.T) {
	_, web := open(t, nil)
	dir := t.TempDir()
	in := `{"folder": "` + dir + `"}`
	post := func(key string) (*http.Response, server.Job) {
		res, text := send(t, web, "POST", "/v1/library/index", strings.NewReader(in), "Content-Type",
			"application/json", "Idempotency-Key", key)
		return res, parse[server.Job](t, text)
	}
	res, job := post("a")
	if res.StatusCode != 202 || res.Header.Get("Location") != "/v1/jobs/"+job.ID || job.State.Over() {
		t.Fatalf("%s %+v", res.Status, job)
	}
	if _, again := post("a"); again.ID != job.ID {
		t.Error("the same key gave another job")
	}
	_, other := post("b")
	if other.ID == job.ID {
		t.Error("another key gave the same job")
	}
	of := func(id string) func() server.Job {
		return func() server.Job {
			_, text := get(t, web, "/v1/jobs/"+id)
			return parse[server.Job](t, text)
		}
	}
	// One at a time: the second is asked to end while it waits.
	if res, _ := send(t, web, "DELETE", "/v1/jobs/"+other.ID, nil); res.StatusCode != 202 {
		t.Errorf("cancel: %s", res.Status)
	}
	done := waitFor(t, of(job.ID))
	if done.State != server.JobDone || done.Progress.Total != 10 || done.Started == nil || done.Finished == nil {
		t.Errorf("%+v", done)
	}
	if j := waitFor(t, of(other.ID)); j.State != server.JobCanceled {
		t.Errorf("the other: %+v", j)
	}
	if res, _ := send(t, web, "DELETE", "/v1/jobs/"+job.ID, nil); res.StatusCode != 204 {
		t.Errorf("forget: %s", res.Status)
	}
	_, text := get(t, web, "/v1/library")
	if info := parse[server.LibraryInfo](t, text); info.Clips < servertest.Clips+10 {
		t.Errorf("%d clips", info.Clips)
	}
	for _, folder := range []string{"", "relative", "/nonexistent-folder", filepath.Join(dir, "x"), "/etc/passwd", "/a\\u0000b"} {
		res, text := send(t, web, "POST", "/v1/library/index", strings.NewReader(`{"folder": "`+folder+`"}`),
			"Content-Type", "application/json")
		if res.StatusCode != 400 {
			t.Errorf("%q: %s %s", folder, res.Status, text)
		}
	}
}

// TestIndexRoots lets clients index below the folders that are named alone, wherever links
// lead.
func TestIndexRoots(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := filepath.Join(root, "in"), t.TempDir()
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	_, web := open(t, func(c *server.Config) { c.IndexRoots = []string{root} })
	for folder, want := range map[string]int{root: 202, inside: 202, outside: 403, filepath.Join(root, "link"): 403,
		filepath.Join(root, ".."): 403, root + "/../../etc": 403, "/": 403, root + "x": 403} {
		res, text := send(t, web, "POST", "/v1/library/index", strings.NewReader(`{"folder": "`+folder+`"}`),
			"Content-Type", "application/json")
		if res.StatusCode != want {
			t.Errorf("%s: %s %s", folder, res.Status, text)
		}
	}
}

// TestRespondAsync has a search done as a job.
func TestRespondAsync(t *testing.T) {
	s, web := open(t, nil)
	body, mime := form(t, "a.wav", servertest.Tone(3, 1), "limit", "2")
	res, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime, "Prefer", "respond-async, wait=1")
	job := parse[server.Job](t, text)
	if res.StatusCode != 202 || res.Header.Get("Preference-Applied") != "respond-async" {
		t.Fatalf("%s %s", res.Status, text)
	}
	done := waitFor(t, func() server.Job {
		_, text := get(t, web, "/v1/jobs/"+job.ID)
		return parse[server.Job](t, text)
	})
	raw, _ := json.Marshal(done.Result)
	if found := parse[server.SearchResult](t, raw); done.State != server.JobDone || len(found.Items) != 2 {
		t.Errorf("%+v", done)
	}
	body, mime = form(t, "a.wav", []byte("RIFFxxxx"))
	_, text = send(t, web, "POST", "/v1/search", body, "Content-Type", mime, "Prefer", "respond-async")
	job = parse[server.Job](t, text)
	done = waitFor(t, func() server.Job { j, _ := s.Job(job.ID); return j })
	if done.State != server.JobFailed || done.Problem == nil || done.Problem.Status != 422 {
		t.Errorf("%+v", done)
	}
	nothingLeft(t, s)
}

// events reads a stream, each event as its name and data.
func events(t *testing.T, res *http.Response) func() (name, id, data string) {
	t.Helper()
	sc := bufio.NewScanner(res.Body)
	return func() (name, id, data string) {
		for sc.Scan() {
			line := sc.Text()
			switch {
			case line == "" && name != "":
				return name, id, data
			case strings.HasPrefix(line, "event: "):
				name = line[7:]
			case strings.HasPrefix(line, "id: "):
				id = line[4:]
			case strings.HasPrefix(line, "data: "):
				data = line[6:]
			}
		}
		return "end", "", ""
	}
}

// TestEvents follows a run that goes on, comes back, and sees it begin again.
func TestEvents(t *testing.T) {
	s, web := open(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stream := func(path, last string) func() (string, string, string) {
		r, _ := http.NewRequestWithContext(ctx, "GET", web.URL+path, nil)
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" ||
			res.Header.Get("X-Accel-Buffering") != "no" {
			t.Fatalf("%s %v", res.Status, res.Header)
		}
		return events(t, res)
	}
	next := stream("/v1/runs/first/events", "")
	if name, _, data := next(); name != "state" || !strings.Contains(data, `"step":300`) {
		t.Errorf("first: %s %s", name, data)
	}
	dir := s.Config().RunsDir
	servertest.Append(t, dir, "first", 301, 303)
	for i := 301; i <= 303; i++ {
		name, id, data := next()
		for name == "state" {
			name, id, data = next()
		}
		if name != "step" || id != jsonInt(i) || !strings.Contains(data, `"step":`+jsonInt(i)) {
			t.Errorf("step %d: %s %s %s", i, name, id, data)
		}
	}
	again := stream("/v1/runs/first/events", "301")
	again()
	if name, id, _ := again(); name != "step" || id != "302" {
		t.Errorf("after 301: %s %s", name, id)
	}
	// Resumed from an earlier step: the log is replaced by a shorter one.
	path := filepath.Join(dir, "first", "metrics.jsonl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if err := os.WriteFile(path+".new", []byte(strings.Join(lines[:250], "")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	for {
		name, id, _ := next()
		if name == "state" || name == "step" {
			continue
		}
		if name != "rewind" || id != "250" {
			t.Errorf("resumed: %s %s", name, id)
		}
		break
	}
	if res, _ := get(t, web, "/v1/runs/first/events?after=x"); res.StatusCode != 400 {
		t.Errorf("after=x: %s", res.Status)
	}
}

func jsonInt(i int) string { text, _ := json.Marshal(i); return string(text) }

// TestCurves reduces a run's steps and loses neither peaks nor steps.
func TestCurves(t *testing.T) {
	_, web := open(t, nil)
	_, text := get(t, web, "/v1/runs/first/metrics?keys=grad_norm,std&points=30")
	c := parse[server.Curves](t, text)
	g := c.Series["grad_norm"]
	if c.Rows != 300 || len(c.Step) != 30 || c.Step[29] != 300 || len(c.Series) != 2 || len(g.Max) != 30 {
		t.Fatalf("%+v", c)
	}
	most, least := 0.0, 9.0
	for i := range g.Max {
		most, least = max(most, g.Max[i]), min(least, g.Min[i])
		if !(g.Min[i] <= g.Mean[i] && g.Mean[i] <= g.Max[i]) {
			t.Errorf("point %d: %v %v %v", i, g.Min[i], g.Mean[i], g.Max[i])
		}
	}
	if !(most > 1.49 && least < .51) || !(c.Seconds[29] > 5.99 && c.Seconds[29] < 6.01) {
		t.Errorf("peaks %v %v, %v s", least, most, c.Seconds[29])
	}
	_, text = get(t, web, "/v1/runs/first/metrics?from=11&to=20&keys=total")
	if c := parse[server.Curves](t, text); c.FirstRow != 11 || c.LastRow != 20 || c.Bucket != 1 ||
		c.Series["total"].Min != nil || c.Samples[0] == 0 {
		t.Errorf("%+v", c)
	}
	for _, q := range []string{"keys=smell", "points=0", "points=1001", "from=-1", "nonsense=1"} {
		if res, _ := get(t, web, "/v1/runs/first/metrics?"+q); res.StatusCode != 400 {
			t.Errorf("%s: %s", q, res.Status)
		}
	}
}

// TestClipPages goes through the library in pages of every order.
func TestClipPages(t *testing.T) {
	_, web := open(t, nil)
	for _, sort := range []string{"newest", "oldest", "name", "longest", "shortest"} {
		seen, path := map[string]bool{}, "/v1/clips?limit=50&sort="+sort
		for path != "" {
			res, text := get(t, web, path)
			page := parse[server.ClipPage](t, text)
			if page.Total != servertest.Clips {
				t.Errorf("%s: %d in all", sort, page.Total)
			}
			for _, c := range page.Items {
				if seen[c.ID] {
					t.Errorf("%s: %s again", sort, c.ID)
				}
				seen[c.ID] = true
			}
			path = ""
			if link := res.Header.Get("Link"); link != "" {
				path = link[1:strings.Index(link, ">")]
			}
		}
		if len(seen) != servertest.Clips {
			t.Errorf("%s: %d clips", sort, len(seen))
		}
	}
	for _, c := range []struct {
		query string
		total int // −1: refused
	}{
		{"label=bell", 15}, {"q=BEL", 15}, {"flag=duplicate", 3}, {"flag=any", 9}, {"has=both", 114}, {"split=test", 24},
		{"has=audio&label=bell&split=train", 12}, {"q=%3Cscript%3E", 3}, {"label=nothing", 0}, {"has=smell", -1},
		{"sort=smell", -1}, {"cursor=abc", -1}, {"limit=1000", -1}, {"smell=1", -1}, {"q=%ff", -1}, {"q=%00", -1},
		{"q=" + strings.Repeat("a", 300), -1},
	} {
		res, text := get(t, web, "/v1/clips?"+c.query)
		if c.total < 0 {
			if res.StatusCode != 400 {
				t.Errorf("%s: %s", c.query, res.Status)
			}
			continue
		}
		if page := parse[server.ClipPage](t, text); page.Total != c.total {
			t.Errorf("%s: %d clips, want %d", c.query, page.Total, c.total)
		}
	}
}

// TestServeEnds stops a server that has a request under way, an event stream open and a job
// running: the request is finished, the rest ends, and nothing is left running.
func TestServeEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	model := &servertest.Model{Tools: servertest.Tools(t), Pause: 500 * time.Millisecond}
	runs := t.TempDir()
	servertest.WriteRun(t, runs, "one", 5)
	s, err := server.New(server.Config{Library: servertest.NewLibrary(20), Model: model, Tools: servertest.Tools(t),
		Dir: t.TempDir(), RunsDir: runs})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, listener) }()
	base := "http://" + listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{}}
	if _, err := s.StartIndex(t.TempDir(), ""); err != nil {
		t.Fatal(err)
	}
	stream, err := client.Get(base + "/v1/runs/one/events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	status := make(chan int, 1)
	body, mime := form(t, "a.wav", servertest.Tone(1, 1))
	go func() {
		res, err := client.Post(base+"/v1/embed", mime, body)
		if err != nil {
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	for range 500 {
		if time.Sleep(10 * time.Millisecond); model.Reads.Load() > 0 {
			break
		}
	}
	stop()
	if got := <-status; got != 200 {
		t.Errorf("the request under way: %d", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	s.Close()
	client.CloseIdleConnections()
	stream.Body.Close()
	for range 200 {
		if runtime.NumGoroutine() <= before+1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	trace := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, trace[:runtime.Stack(trace, true)])
}
