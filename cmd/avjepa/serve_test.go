package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avjepa/internal/encoder/encodertest"
)

// served is a server that a test has started.
type served struct {
	t     *testing.T
	c     *exec.Cmd
	base  string
	token string
	said  map[string]any
	http  *http.Client
	errs  *bytes.Buffer
}

// serve starts the server and waits until it says where it is.
func serve(t *testing.T, dir string, args ...string) *served {
	t.Helper()
	args = append([]string{"serve", "--json", "--listen", "127.0.0.1:0", "--cache", filepath.Join(dir, "cache")}, args...)
	s := &served{t: t, c: command(dir, args...), errs: &bytes.Buffer{}, http: &http.Client{
		Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}}
	s.c.Stderr = s.errs
	out, err := s.c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.c.Process.Kill(); s.c.Wait() })
	if err := json.NewDecoder(out).Decode(&s.said); err != nil {
		s.c.Wait()
		t.Fatalf("%v: %s", err, s.errs)
	}
	go io.Copy(io.Discard, out)
	url, token, _ := strings.Cut(s.said["urls"].([]any)[0].(string), "/#t=")
	s.base, s.token = strings.TrimSuffix(url, "/"), token
	return s
}

// end interrupts the server, which is to leave in order.
func (s *served) end() {
	s.t.Helper()
	s.http.CloseIdleConnections()
	if err := s.c.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := s.c.Wait(); err != nil {
		s.t.Errorf("%v: %s", err, s.errs)
	}
}

// do makes a request and returns status and answer.
func (s *served) do(method, path, kind string, body io.Reader) (int, map[string]any) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.base+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.http.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v: %s", method, path, err, s.errs)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		v = map[string]any{"bytes": float64(len(text))}
	}
	return res.StatusCode, v
}

func (s *served) post(path string, in any) (int, map[string]any) {
	s.t.Helper()
	text, _ := json.Marshal(in)
	return s.do("POST", path, "application/json", bytes.NewReader(text))
}

// upload sends a file.
func (s *served) upload(path, file string) (int, map[string]any) {
	s.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", filepath.Base(file))
	if err == nil {
		_, err = part.Write(readFile(s.t, file))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		s.t.Fatal(err)
	}
	return s.do("POST", path, w.FormDataContentType(), &b)
}

// TestServe starts with a model alone, indexes films by the API, and asks for all that
// there is of them.
func TestServe(t *testing.T) {
	needsFFmpeg(t)
	dir, films := t.TempDir(), t.TempDir()
	model := encodertest.Save(t)
	for i := range 6 {
		encodertest.Film(t, filepath.Join(films, fmt.Sprintf("%d.mp4", i)), 1.5+float64(i)/4, i != 3)
	}
	encodertest.Film(t, filepath.Join(dir, "short.mp4"), .25, true)
	s := serve(t, dir, "--model", model)
	if s.said["clips"] != float64(0) || s.token != "" {
		t.Errorf("it says %v", s.said)
	}
	status, job := s.post("/v1/library/index", map[string]string{"folder": films})
	if status != 202 {
		t.Fatalf("index: %d %v", status, job)
	}
	for range 600 {
		if _, job = s.do("GET", "/v1/jobs/"+job["id"].(string), "", nil); job["finished"] != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if job["state"] != "done" || number(t, job, "result.added") != 6 {
		t.Fatalf("job: %v: %s", job, s.errs)
	}
	if _, list := s.do("GET", "/v1/clips?has=audio&sort=name&limit=2", "", nil); number(t, list, "total") != 5 ||
		list["next"] == nil {
		t.Errorf("clips: %v", list)
	}
	for _, flag := range []string{"any", "no-audio"} {
		if _, list := s.do("GET", "/v1/clips?flag="+flag, "", nil); len(list["items"].([]any)) < 1 {
			t.Errorf("flag %s: %v", flag, list)
		}
	}
	for _, path := range []string{"/v1/clips/1", "/v1/clips/1/thumb.jpg", "/v1/clips/1/mel.png", "/v1/clips/1/preview.mp4",
		"/v1/clips/1/components.png?theme=dark",
		"/v1/clips/1/audio.m4a", "/v1/clips/1/frames", "/v1/clips/1/neighbours?by=audio", "/v1/map", "/v1/map?space=audio",
		"/v1/library", "/v1/models/current", "/metrics", "/v1/clips?q=1.mp4&label=", "/v1/clips/4/neighbours"} {
		if status, text := s.do("GET", path, "", nil); status != 200 {
			t.Errorf("%s: %d %v", path, status, text)
		}
	}
	if status, _ := s.do("GET", "/v1/clips/1/audio.m4a", "", nil); status != 200 {
		t.Errorf("audio: %d", status)
	}
	status, found := s.upload("/v1/search", filepath.Join(films, "2.mp4"))
	items, _ := found["items"].([]any)
	if status != 200 || len(items) != 5 { // those with both
		t.Fatalf("search: %d %v", status, found)
	}
	// The same film is in the library: its vector is the same.
	first := items[0].(map[string]any)
	if clip := first["clip"].(map[string]any); clip["name"] != "2.mp4" || !(first["score"].(float64) > .9999) {
		t.Errorf("a film of the library finds %v", first)
	}
	query := found["query"].(map[string]any)["id"]
	status, why := s.post("/v1/explain", map[string]any{"audio_query": query, "video_clip": "4", "start": .3})
	if status != 200 || why["audio_to_video"] == nil || why["video_to_audio"] == nil {
		t.Errorf("explain: %d %v", status, why)
	}
	status, none := s.post("/v1/search", map[string]any{"query": query, "label": "nothing"})
	if status != 200 || len(none["items"].([]any)) != 0 {
		t.Errorf("a label that no clip has: %d %v", status, none)
	}
	if status, p := s.upload("/v1/search", filepath.Join(dir, "short.mp4")); status != 422 || p["code"] != "too-short" {
		t.Errorf("a short film: %d %v", status, p)
	}
	s.end()

	// Again, with what is found: the library names its model.
	s = serve(t, dir)
	if s.said["clips"] != float64(6) || s.said["model"] == "" {
		t.Errorf("again it says %v", s.said)
	}
	s.end()
}

// TestServeElsewhere asks for a token where others may reach it, and speaks TLS.
func TestServeElsewhere(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, dir, "--listen", "0.0.0.0:0", "--tls-self-signed")
	if len(s.token) < 20 || !strings.HasPrefix(s.base, "https://") {
		t.Fatalf("it says %v", s.said)
	}
	token := s.token
	if status, _ := s.do("GET", "/v1/version", "", nil); status != 200 {
		t.Errorf("with the token: %d", status)
	}
	if status, p := s.post("/v1/library/index", map[string]string{"folder": dir}); status != 403 && status != 503 {
		t.Errorf("index: %d %v", status, p)
	}
	s.token = ""
	if status, _ := s.do("GET", "/v1/version", "", nil); status != 401 {
		t.Errorf("without: %d", status)
	}
	if info, err := os.Stat(filepath.Join(dir, "cache", "tls-key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v %v", info, err)
	}
	if strings.Contains(s.errs.String(), token) {
		t.Error("the token is in the log")
	}
	s.end()
}

func TestServeRefuses(t *testing.T) {
	dir, full := t.TempDir(), t.TempDir()
	writeFile(t, "a film", full, "film.mp4")
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--listen", "8420"}, exitUsage, "127.0.0.1:8420"},
		{[]string{"--listen", "127.0.0.1:99999"}, exitUsage, "127.0.0.1:8420"},
		{[]string{"--listen", "127.0.0.1:-1"}, exitUsage, "127.0.0.1:8420"},
		{[]string{"--listen", "127.0.0.1:http!"}, exitUsage, "127.0.0.1:8420"},
		{[]string{"--library", full}, exitError, "no library is in this folder"},
		{[]string{"--max-upload-mb", "0"}, exitUsage, "--max-upload-mb"},
		{[]string{"--max-seconds", "NaN"}, exitUsage, "--max-seconds"},
		{[]string{"--allow-origin", "https://a.example/b"}, exitUsage, "path"},
		{[]string{"--allow-origin", "*"}, exitUsage, "--allow-origin"},
		{[]string{"--tls-cert", "a"}, exitUsage, "--tls-key"},
		{[]string{"--token", "abc"}, exitUsage, "--token"},
		{[]string{"--media", "absent"}, exitUsage, "--media"},
		{[]string{"--model", "absent", "--cache", dir}, exitError, "absent"},
		{[]string{"what"}, exitUsage, "takes no argument"},
	} {
		run(t, dir, append([]string{"serve"}, c.args...)...).wants(t, c.code, c.text)
	}
}
