package server_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// form returns a multipart body with a file and fields, and its type. A name of "" leaves
// the file out.
func form(t *testing.T, name string, file []byte, fields ...string) (io.Reader, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if name != "" {
		part, err := w.CreateFormFile("file", name)
		if err == nil {
			_, err = part.Write(file)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b, w.FormDataContentType()
}

// film returns the bytes of a video of a kind.
func film(t *testing.T, kind int, seconds float64, sound bool) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "film.mp4")
	servertest.Film(t, path, kind, seconds, sound)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// nothingLeft checks that no upload lies in the server's folder.
func nothingLeft(t *testing.T, s *server.Server) {
	t.Helper()
	for range 100 {
		entries, err := os.ReadDir(filepath.Join(s.Config().Dir, "uploads"))
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("an upload is left behind")
}

// TestSoundFindsPictures uploads a sound and looks whether pictures of its kind come first.
func TestSoundFindsPictures(t *testing.T) {
	s, web := open(t, nil)
	for kind := range servertest.Kinds {
		body, mime := form(t, "../../tone\u202e.wav", servertest.Tone(kind, 1), "limit", "12")
		res, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", res.Status, text)
		}
		found := parse[server.SearchResult](t, text)
		if found.From != server.Audio || found.To != server.Video || len(found.Items) != 12 {
			t.Fatalf("%v to %v, %d found", found.From, found.To, len(found.Items))
		}
		for i, h := range found.Items[:5] {
			if h.Clip.Labels[0] != servertest.Names[kind] || h.Rank != i+1 ||
				h.AboveChance != (h.Score > found.Chance.Score) || !found.Chance.Known ||
				!(h.Percentile > 80) {
				t.Errorf("kind %d, rank %d: %s, %.1f %%, above chance %v", kind, h.Rank, h.Clip.Labels[0],
					h.Percentile, h.AboveChance)
			}
		}
		if last := found.Items[11].Score; !(last <= found.Items[0].Score) {
			t.Errorf("kind %d: rank 12 scores %v, more than the first", kind, last)
		}
		if found.Query.Name != "tone.wav" || found.Query.Kind != "upload" || found.Query.HasVideo {
			t.Errorf("query is %+v", found.Query)
		}
	}
	nothingLeft(t, s)
}

// TestDirections holds the direction to what a query has and what is asked for.
func TestDirections(t *testing.T) {
	_, web := open(t, nil)
	for _, c := range []struct {
		clip, from, to string // c00017 has no sound, c00023 no picture, c00027 a silent sound
		wantFrom       server.Modality
		wantTo         server.Modality
		code           string
	}{
		{"c00000", "", "", server.Both, server.Both, ""},
		{"c00000", "audio", "", server.Audio, server.Video, ""},
		{"c00000", "", "audio", server.Video, server.Audio, ""},
		{"c00000", "audio", "audio", server.Audio, server.Audio, ""},
		{"c00017", "", "", server.Video, server.Audio, ""},
		{"c00023", "", "", server.Audio, server.Video, ""},
		{"c00027", "", "", server.Video, server.Audio, ""},
		{"c00027", "both", "", server.Both, server.Both, ""},
		{"c00017", "", "audio", server.Video, server.Audio, ""},
		{"c00017", "audio", "", "", "", "no-audio"},
		{"c00023", "both", "", "", "", "no-video"},
		{"c00000", "smell", "", "", "", "bad-request"},
		{"c99999", "", "", "", "", "not-found"},
	} {
		in := fmt.Sprintf(`{"clip": %q, "from": %q, "to": %q}`, c.clip, c.from, c.to)
		in = strings.NewReplacer(`, "from": ""`, "", `, "to": ""`, "").Replace(in)
		res, text := send(t, web, "POST", "/v1/search", strings.NewReader(in),
			"Content-Type", "application/json")
		if c.code != "" {
			if p := parse[server.Problem](t, text); p.Code != c.code || p.Status != res.StatusCode {
				t.Errorf("%s: %s %s, want %s", in, res.Status, text, c.code)
			}
			continue
		}
		found := parse[server.SearchResult](t, text)
		if found.From != c.wantFrom || found.To != c.wantTo || found.Query.ID != c.clip {
			t.Errorf("%s: %v to %v", in, found.From, found.To)
		}
		for _, h := range found.Items {
			if h.Clip.ID == c.clip {
				t.Errorf("%s finds itself", in)
			}
		}
	}
}

// TestResultPages goes through all results in pages: every clip once, in one order.
func TestResultPages(t *testing.T) {
	_, web := open(t, nil)
	seen, cursor, last := map[string]bool{}, "", 2.0
	for page := 0; ; page++ {
		in := fmt.Sprintf(`{"clip": "c00003", "limit": 50, "cursor": %q}`, cursor)
		_, text := send(t, web, "POST", "/v1/search", strings.NewReader(in), "Content-Type", "application/json")
		found := parse[server.SearchResult](t, text)
		for _, h := range found.Items {
			if seen[h.Clip.ID] || !(h.Score <= last) || h.Rank != len(seen)+1 {
				t.Errorf("rank %d: %s scores %v after %v, seen before: %v", h.Rank, h.Clip.ID, h.Score, last,
					seen[h.Clip.ID])
			}
			seen[h.Clip.ID], last = true, h.Score
		}
		if cursor = found.Next; cursor == "" {
			break
		}
		if page > 10 {
			t.Fatal("no end")
		}
	}
	// Both halves are needed: 6 clips of 120 lack one.
	if len(seen) != servertest.Clips-6-1 {
		t.Errorf("%d clips found", len(seen))
	}
}

// TestKeptQuery uses an upload again by its id, and forgets it.
func TestKeptQuery(t *testing.T) {
	s, web := open(t, nil)
	body, mime := form(t, "a.mp4", film(t, 2, 2, true))
	_, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
	found := parse[server.SearchResult](t, text)
	nothingLeft(t, s) // what follows needs no file
	id := found.Query.ID
	if found.From != server.Both || found.Query.Expires.IsZero() {
		t.Errorf("query %+v, from %v", found.Query, found.From)
	}
	again := `{"query": "` + id + `", "from": "audio", "limit": 3}`
	_, text = send(t, web, "POST", "/v1/search", strings.NewReader(again), "Content-Type", "application/json")
	if r := parse[server.SearchResult](t, text); len(r.Items) != 3 || r.Items[0].Clip.Labels[0] != servertest.Names[2] {
		t.Errorf("again: %.300s", text)
	}
	for _, part := range []string{"", "/preview.mp4", "/audio.m4a", "/audio.wav", "/thumb.jpg", "/mel.png",
		"/frames", "/frames/0"} {
		if res, text := get(t, web, "/v1/queries/"+id+part); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %.200s", part, res.Status, text)
		}
	}
	why := `{"audio_query": "` + id + `", "video_clip": "c00002"}`
	res, text := send(t, web, "POST", "/v1/explain", strings.NewReader(why), "Content-Type", "application/json")
	if e := parse[server.Explanation](t, text); res.StatusCode != http.StatusOK || len(e.AudioToVideo.Weights) == 0 {
		t.Errorf("explain: %s %.200s", res.Status, text)
	}
	if res, _ := send(t, web, "DELETE", "/v1/queries/"+id, nil); res.StatusCode != http.StatusNoContent {
		t.Errorf("delete: %s", res.Status)
	}
	if res, text := get(t, web, "/v1/queries/"+id); res.StatusCode != http.StatusNotFound ||
		parse[server.Problem](t, text).Code != "query-gone" {
		t.Errorf("after: %s %s", res.Status, text)
	}
}

// TestQueriesExpire keeps queries for no longer than they live, and no more than fit.
func TestQueriesExpire(t *testing.T) {
	_, web := open(t, func(c *server.Config) { c.Limits.QueryAge = 50 * time.Millisecond })
	body, mime := form(t, "a.wav", servertest.Tone(1, 1))
	_, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
	id := parse[server.SearchResult](t, text).Query.ID
	time.Sleep(2 * time.Second) // Expires is cut to seconds
	if res, _ := get(t, web, "/v1/queries/"+id); res.StatusCode != http.StatusNotFound {
		t.Errorf("after its time: %s", res.Status)
	}
	_, web = open(t, func(c *server.Config) { c.Limits.QueryBytes = 400 << 10 })
	var ids []string
	for kind := range 5 {
		body, mime := form(t, "a.wav", servertest.Tone(kind, 2)) // 64 kB each, and windows
		_, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
		ids = append(ids, parse[server.SearchResult](t, text).Query.ID)
	}
	first, _ := get(t, web, "/v1/queries/"+ids[0])
	last, _ := get(t, web, "/v1/queries/"+ids[4])
	if first.StatusCode != http.StatusNotFound || last.StatusCode != http.StatusOK {
		t.Errorf("first %s, last %s", first.Status, last.Status)
	}
}

// TestEmbedding embeds files and clips; the second time nothing is decoded or computed.
func TestEmbedding(t *testing.T) {
	model := &servertest.Model{Tools: servertest.Tools(t)}
	s, web := open(t, func(c *server.Config) { c.Model = model })
	file := film(t, 5, 1, true)
	var first server.Embedding
	for round := range 2 {
		body, mime := form(t, "a.mp4", file)
		res, text := send(t, web, "POST", "/v1/embed", body, "Content-Type", mime)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", res.Status, text)
		}
		e := parse[server.Embedding](t, text)
		if len(e.Vectors) != 3 || e.Cached != (round == 1) || e.Model != servertest.ModelID {
			t.Errorf("round %d: %d vectors, cached %v", round, len(e.Vectors), e.Cached)
		}
		if round == 0 {
			first = e
			continue
		}
		for i, v := range e.Vectors {
			if fmt.Sprint(v) != fmt.Sprint(first.Vectors[i]) {
				t.Errorf("%v differs when it is cached", v.Modality)
			}
			square := 0.0
			for _, x := range v.Values {
				square += float64(x) * float64(x)
			}
			if !(square > .9999 && square < 1.0001) {
				t.Errorf("%v has square length %v", v.Modality, square)
			}
		}
	}
	if model.Reads.Load() != 1 || model.Calls.Load() != 3 {
		t.Errorf("%d files read, %d calls", model.Reads.Load(), model.Calls.Load())
	}
	for body, want := range map[string]string{
		`{"clip": "c00001", "modality": ["audio"], "kind": "cls"}`: "",
		`{"clip": "c00017", "modality": ["audio"]}`:                "no-audio",
		`{"clip": "c00001", "modality": ["smell"]}`:                "bad-request",
		`{"clip": "c00001", "kind": "smell"}`:                      "bad-request",
		`{}`:                                                       "bad-request",
		`{"clip": "c00001", "clop": 1}`:                            "bad-request",
		`{"clip": {"a": 1}}`:                                       "bad-request",
		`{"clip": "c00001"} {}`:                                    "bad-request",
		`[]`:                                                       "bad-request",
		`null`:                                                     "bad-request",
		``:                                                         "bad-request",
	} {
		res, text := send(t, web, "POST", "/v1/embed", strings.NewReader(body), "Content-Type", "application/json")
		if want == "" {
			if e := parse[server.Embedding](t, text); len(e.Vectors) != 1 {
				t.Errorf("%s: %s %s", body, res.Status, text)
			}
		} else if want != "" && parse[server.Problem](t, text).Code != want {
			t.Errorf("%s: %s %s", body, res.Status, text)
		}
	}
	nothingLeft(t, s)
}

// TestOneOfEach refuses requests with a file and a clip, or neither.
func TestOneOfEach(t *testing.T) {
	s, web := open(t, nil)
	body, mime := form(t, "a.wav", servertest.Tone(1, 1), "clip", "c00001")
	if res, _ := send(t, web, "POST", "/v1/search", body, "Content-Type", mime); res.StatusCode != 400 {
		t.Errorf("both: %s", res.Status)
	}
	for _, fields := range [][]string{{}, {"limit", "0"}, {"limit", "201"}, {"nonsense", "1"}} {
		name := "a.wav"
		if len(fields) == 0 {
			name = ""
		}
		body, mime := form(t, name, servertest.Tone(1, 1), fields...)
		res, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
		if p := parse[server.Problem](t, text); res.StatusCode != 400 || p.Instance == "" || len(p.Errors) != 1 {
			t.Errorf("%v: %s %s", fields, res.Status, text)
		}
	}
	for _, c := range []struct {
		kind, body string
		status     int
	}{
		{"text/plain", "hello", 415}, {"", "hello", 415}, {"multipart/form-data", "hello", 400},
		{"multipart/form-data; boundary=x", "hello", 400},
		{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=a\r\n\r\nRIFF", 400},
		{"application/json", "{", 400},
	} {
		res, text := send(t, web, "POST", "/v1/search", strings.NewReader(c.body), "Content-Type", c.kind)
		if res.StatusCode != c.status {
			t.Errorf("%q %q: %s %s", c.kind, c.body, res.Status, text)
		}
	}
	nothingLeft(t, s)
}
