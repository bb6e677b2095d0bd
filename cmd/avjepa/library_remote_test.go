package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avjepa/internal/encoder/encodertest"
	"avjepa/internal/weaviate/weaviatetest"
)

// vectorServer is a Weaviate server, or what stands in for one.
type vectorServer interface {
	Start()
	Kill()
}

// onServers runs a test with the stand-in, and with a real server where there is one.
func onServers(t *testing.T, test func(t *testing.T, url string, s vectorServer)) {
	needsFFmpeg(t)
	t.Run("stand-in", func(t *testing.T) {
		s := weaviatetest.NewStandIn(t)
		test(t, s.URL, s)
	})
	t.Run("weaviate", func(t *testing.T) {
		s := weaviatetest.New(t, "")
		test(t, s.URL, s)
	})
}

// films makes a folder of films, one in three silent.
func films(t *testing.T, dir string, n int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		encodertest.Film(t, filepath.Join(dir, fmt.Sprintf("%d.mp4", i)), 1.5+float64(i)/4, i%3 != 2)
	}
}

// scores are the clips that a search found with what they score.
func scores(t *testing.T, found map[string]any) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	hits, _ := found["hits"].([]any)
	for _, h := range hits {
		h := h.(map[string]any)
		out[filepath.Base(h["clip"].(map[string]any)["key"].(string))], _ = h["score"].(float64)
	}
	return out
}

// alike says whether two searches found the same clips with the same scores, of which some are
// so near to each other that their order may differ.
func alike(a, b map[string]float64) bool {
	for name, score := range a {
		if other, ok := b[name]; !ok || !(math.Abs(score-other) < 1e-5) {
			return false
		}
	}
	return len(a) == len(b) && len(a) > 0
}

// A library with its vectors on a server finds what one without does. Indexing again passes over
// what is there, with --remote and without; what the server lost is made again; and when it is
// away, what was kept stays.
func TestRemoteLibrary(t *testing.T) {
	onServers(t, func(t *testing.T, url string, s vectorServer) {
		dir, model := t.TempDir(), encodertest.Save(t)
		films(t, filepath.Join(dir, "films"), 6)
		index := func(library string, more ...string) outcome {
			args := append([]string{"index", model, "films", "--library", library, "--json"}, more...)
			return run(t, dir, args...)
		}
		added := func(o outcome, added, unchanged float64) {
			t.Helper()
			if sum := o.wants(t, 0).object(t); sum["added"] != added || sum["unchanged"] != unchanged {
				t.Errorf("%v, want %v added and %v unchanged", sum, added, unchanged)
			}
		}
		added(index("there", "--remote", url), 6, 0)
		added(index("there", "--remote", url), 0, 6)
		added(index("there"), 0, 6)
		added(index("here"), 6, 0)
		if ls := run(t, dir, "library", "ls", "there").wants(t, 0); !strings.Contains(ls.stdout, "vectors on "+url+"/Avjepa") {
			t.Errorf("%s", ls.stdout)
		}
		same := func(args ...string) {
			t.Helper()
			var got [2]map[string]any
			for i, library := range []string{"there", "here"} {
				got[i] = run(t, dir, append([]string{"search", library, "--json"}, args...)...).wants(t, 0).object(t)
			}
			there, here := scores(t, got[0]), scores(t, got[1])
			if !alike(there, here) || got[0]["chance"] == nil {
				t.Errorf("%v: %v, without a server %v", args, there, here)
			}
		}
		same("films/1.mp4")
		same("films/1.mp4", "--for", "audio")
		same("films/1.mp4", "--for", "video")
		same("--clip", "3")

		encodertest.Film(t, filepath.Join(dir, "films", "7.mp4"), 2, true)
		os.Remove(filepath.Join(dir, "films", "0.mp4"))
		added(index("there", "--prune"), 1, 5)
		added(index("here", "--prune"), 1, 5)
		same("films/7.mp4")

		s.Kill()
		run(t, dir, "search", "there", "films/1.mp4").wants(t, exitError, "the vectors of there", url)
		encodertest.Film(t, filepath.Join(dir, "films", "8.mp4"), 2, true)
		index("there").wants(t, exitError, "the vectors of there", url)
		run(t, dir, "library", "ls", "there").wants(t, 0)
		s.Start()
		added(index("there"), 1, 6)
		added(index("here"), 1, 6)
		same("films/8.mp4")

		if s, ok := s.(*weaviatetest.StandIn); ok {
			s.Lose()
			run(t, dir, "search", "there", "films/1.mp4").wants(t, exitError, "no such collection", "avjepa index")
			added(index("there"), 7, 0)
			same("films/1.mp4")
		}
	})
}

// The key comes from the environment, and a wrong one is told where it is from.
func TestRemoteKey(t *testing.T) {
	needsFFmpeg(t)
	s := weaviatetest.New(t, "test-key")
	dir, model := t.TempDir(), encodertest.Save(t)
	films(t, filepath.Join(dir, "films"), 2)
	for _, args := range [][]string{{"index", model, "films", "--library", "lib", "--remote", s.URL},
		{"search", "lib", "films/1.mp4"}} {
		for _, key := range []string{"wrong", "test-key"} {
			c := command(dir, args...)
			c.Env = append(c.Env, weaviateKey+"="+key)
			o := finish(t, c)
			if key == "wrong" {
				o.wants(t, exitError, weaviateKey)
			} else {
				o.wants(t, 0)
			}
		}
	}
}

// A served library searches the server that has its vectors; while that is away it says so and
// goes on with the rest, and it finds again when it is back.
func TestServeRemoteLibrary(t *testing.T) {
	onServers(t, func(t *testing.T, url string, vectors vectorServer) {
		dir, model := t.TempDir(), encodertest.Save(t)
		films(t, filepath.Join(dir, "films"), 6)
		run(t, dir, "index", model, "films", "--library", "library", "--remote", url).wants(t, 0)
		s := serve(t, dir)
		film := filepath.Join(dir, "films", "1.mp4")
		wants := func(status int, code, method, path string, in any) map[string]any {
			t.Helper()
			var got int
			var answer map[string]any
			if method == "POST" {
				got, answer = s.post(path, in)
			} else {
				got, answer = s.do(method, path, "", nil)
			}
			if got != status || code != "" && answer["code"] != code {
				t.Errorf("%s: %d %v, want %d %s: %s", path, got, answer, status, code, s.errs)
			}
			return answer
		}
		search := func(from, to string, n int) {
			t.Helper()
			found := wants(200, "", "POST", "/v1/search", map[string]string{"clip": "2", "from": from, "to": to})
			items, _ := found["items"].([]any)
			if len(items) != n || number(t, found, "clips") != float64(n) {
				t.Errorf("%s in %s: %v", from, to, found)
			}
		}
		all := func(clips int) {
			t.Helper()
			search("audio", "video", clips-1)
			search("video", "audio", clips*2/3-1)
			search("video", "video", clips-1)
			wants(200, "", "GET", "/v1/clips/2/neighbours?by=video", nil)
			wants(200, "", "GET", "/v1/map?space=video", nil)
			wants(200, "", "GET", "/v1/map", nil)
			wants(200, "", "POST", "/v1/explain", map[string]any{"audio_clip": "2", "video_clip": "4"})
		}
		all(6)
		status, found := s.upload("/v1/search", film)
		items, _ := found["items"].([]any)
		if status != 200 || len(items) != 4 {
			t.Fatalf("search: %d %v", status, found)
		}
		first := items[0].(map[string]any)
		if clip := first["clip"].(map[string]any); clip["name"] != "1.mp4" || !(first["score"].(float64) > .9999) {
			t.Errorf("a film of the library finds %v", first)
		}
		query := found["query"].(map[string]any)["id"]

		vectors.Kill()
		for path, in := range map[string]any{"/v1/search": map[string]any{"query": query},
			"/v1/clips/2/neighbours": nil, "/v1/map?space=audio": nil} {
			method := "GET"
			if in != nil {
				method = "POST"
			}
			if p := wants(503, "library-away", method, path, in); strings.Contains(fmt.Sprint(p), "127.0.0.1") {
				t.Errorf("the answer names the server: %v", p)
			}
		}
		encodertest.Film(t, filepath.Join(dir, "films", "6.mp4"), 2, true)
		indexed := func(state string) map[string]any {
			t.Helper()
			status, job := s.post("/v1/library/index", map[string]string{"folder": filepath.Join(dir, "films")})
			if status != 202 {
				t.Fatalf("index: %d %v", status, job)
			}
			for range 600 {
				if _, job = s.do("GET", "/v1/jobs/"+job["id"].(string), "", nil); job["finished"] != nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if job["state"] != state {
				t.Errorf("job: %v: %s", job, s.errs)
			}
			return job
		}
		if job := indexed("failed"); !strings.Contains(fmt.Sprint(job), "library-away") {
			t.Errorf("job: %v", job)
		}
		wants(200, "", "GET", "/v1/clips", nil)
		wants(200, "", "GET", "/v1/library", nil)
		wants(200, "", "GET", "/v1/map?space=video", nil) // made before
		wants(200, "", "POST", "/v1/explain", map[string]any{"audio_query": query, "video_clip": "5"})

		vectors.Start()
		wants(200, "", "GET", "/v1/map?space=audio", nil)
		wants(200, "", "POST", "/v1/search", map[string]any{"query": query})
		if job := indexed("done"); number(t, job, "result.added") != 1 || number(t, job, "result.unchanged") != 6 {
			t.Errorf("job: %v", job)
		}
		s.end()
		log := s.errs.String()
		if strings.Count(log, `msg="the vectors of the library cannot be had"`) != 1 || strings.Count(log, "can be had again") != 1 {
			t.Errorf("the log: %s", log)
		}
		if ls := run(t, dir, "library", "ls", "library").wants(t, 0); !strings.Contains(ls.stdout, "vectors on "+url) ||
			!strings.Contains(ls.stdout, "7 clips") {
			t.Errorf("%s", ls.stdout)
		}

		// It starts where that server is away, and finds when it comes.
		vectors.Kill()
		s = serve(t, dir)
		wants(503, "library-away", "POST", "/v1/search", map[string]any{"clip": "2"})
		vectors.Start()
		wants(200, "", "POST", "/v1/search", map[string]any{"clip": "2"})
		s.end()
	})
}
