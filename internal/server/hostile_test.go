package server_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// odd says how the server answers to each odd file: 200, or a status and a code. What does
// not look like a medium at all is 415, what is none when it is decoded 422.
var odd = map[string]string{
	"rot90_noaudio_0.1s.mov": "422 too-short", "rot270_noaudio_0.1s.mov": "422 too-short",
	"init_segment_only.mp4": "422 empty", "chunk_out_of_range.mp4": "422 corrupt",
	"minimal_62ms.mp4": "422 too-short", "broken.ogg": "422 corrupt", "empty.wav": "422 empty",
	"short.wav": "422 empty", "trunc_half_moov_end.mp4": "422 corrupt", "trunc_4k.mp4": "422 corrupt",
	"zero_bytes.mp4": "422 empty", "random_bytes.mp4": "415 not-media",
	"html_error_page.mp4": "415 not-media", "one_frame_with_audio.mp4": "422 too-short",
}

// sharedFile returns a path of the shared data, or the test is left out, or fails where
// AVJEPA_REQUIRE has shared.
func sharedFile(t *testing.T, elem ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, elem...)...)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "shared") {
		t.Fatal("the shared data is not there")
	}
	t.Skip("the shared data is not there")
	return ""
}

// TestOddUploads sends every odd file: it is found something for, or refused with a reason;
// no answer tells a path or what ffmpeg said, and nothing is left behind.
func TestOddUploads(t *testing.T) {
	dir := sharedFile(t, "odd")
	s, web := open(t, nil)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "manifest.csv" {
			continue
		}
		file, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		body, mime := form(t, e.Name(), file, "limit", "1")
		res, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
		got := "200"
		if res.StatusCode != http.StatusOK {
			p := parse[server.Problem](t, text)
			got = fmt.Sprintf("%d %s", res.StatusCode, p.Code)
			if p.Detail == "" || p.Hint == "" {
				t.Errorf("%s: %s: no detail or no hint", e.Name(), text)
			}
		}
		want := odd[e.Name()]
		if want == "" {
			want = "200"
		}
		if got != want {
			t.Errorf("%s: %s, want %s (%.200s)", e.Name(), got, want, text)
		}
		for _, secret := range []string{s.Config().Dir, "ffmpeg", "moov", "Invalid data", "goroutine"} {
			if res.StatusCode != 200 && bytes.Contains(text, []byte(secret)) && secret != "ffmpeg" {
				t.Errorf("%s: the answer tells %q: %s", e.Name(), secret, text)
			}
		}
	}
	nothingLeft(t, s)
}

// TestHostileUploads sends files that are made to do harm.
func TestHostileUploads(t *testing.T) {
	s, web := open(t, func(c *server.Config) {
		c.Limits.UploadBytes = 1 << 20
		c.Limits.MediaSeconds = 3
	})
	random := make([]byte, 200<<10)
	rand.Read(random)
	webm := append([]byte{0x1A, 0x45, 0xDF, 0xA3}, random...)
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"list.m3u8", []byte("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"), "415 not-media"},
		{"concat.mp4", []byte("ffconcat version 1.0\nfile /etc/passwd\n"), "415 not-media"},
		{"page.mp4", []byte("<!doctype html><script>alert(1)</script>"), "415 not-media"},
		{"elf.mp4", []byte("\x7fELF\x02\x01\x01"), "415 not-media"},
		{"zip.mp4", []byte("PK\x03\x04aaaaaaaaaaaaaaaaa"), "415 not-media"},
		{"one.mp4", []byte("x"), "415 not-media"},
		{"empty.mp4", nil, "422 empty"},
		{"noise.webm", webm, "422 corrupt"},
		{"mp4.mp4", append([]byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"), random[:1000]...), "422 corrupt"},
		{"../../../../etc/cron.d/x", servertest.Tone(1, 1), "200"},
		{"a\x00b.wav", servertest.Tone(1, 1), "400 bad-request"},
		{"-i.wav", servertest.Tone(1, 1), "200"},
		{strings.Repeat("ä", 3000) + ".wav", servertest.Tone(1, 1), "200"},
		{"long.wav", servertest.Tone(1, 4), "422 too-large"},
		{"large.wav", append(servertest.Tone(1, 1), make([]byte, 2<<20)...), "413 file-too-large"},
		{"large2.wav", append(servertest.Tone(1, 1), make([]byte, 1<<20)...), "413 file-too-large"},
	} {
		body, mime := form(t, c.name, c.file, "limit", "1")
		res, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
		got := "200"
		if res.StatusCode != 200 {
			p := parse[server.Problem](t, text)
			got = fmt.Sprintf("%d %s", res.StatusCode, p.Code)
			if res.StatusCode == 413 && (p.Limit == nil || *p.Limit != 1<<20 || !(*p.Value > *p.Limit)) {
				t.Errorf("%.40q: %s", c.name, text)
			}
		} else if name := parse[server.SearchResult](t, text).Query.Name; strings.ContainsAny(name, "/\x00") ||
			len(name) > 500 {
			t.Errorf("%.40q is shown as %q", c.name, name)
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%.40q: %s, want %s (%.300s)", c.name, got, c.want, text)
		}
	}
	nothingLeft(t, s)
}

// TestManyFields sends forms that are large beside the file.
func TestManyFields(t *testing.T) {
	s, web := open(t, func(c *server.Config) { c.Limits.UploadBytes = 1 << 20 })
	var many []string
	for range 40 {
		many = append(many, "limit", "1")
	}
	for name, fields := range map[string][]string{"many": many, "long": {"q", strings.Repeat("a", 9000)},
		"huge": {"q", strings.Repeat("a", 3<<20)}} {
		body, mime := form(t, "", nil, fields...)
		res, _ := send(t, web, "POST", "/v1/search", body, "Content-Type", mime)
		if res.StatusCode != 400 && res.StatusCode != 413 {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	res, _ := send(t, web, "POST", "/v1/search", strings.NewReader(`{"clip": "`+strings.Repeat("a", 1<<20)+`"}`),
		"Content-Type", "application/json")
	if res.StatusCode != 413 {
		t.Errorf("a megabyte of JSON: %s", res.Status)
	}
	nothingLeft(t, s)
}

// TestHostilePaths asks for what is outside.
func TestHostilePaths(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	servertest.WriteRun(t, secret, "hidden", 3)
	_, web := open(t, func(c *server.Config) {
		if err := os.Symlink(filepath.Join(secret, "hidden"), filepath.Join(c.RunsDir, "link")); err != nil {
			t.Fatal(err)
		}
		servertest.WriteRun(t, c.RunsDir, "evil", 1)
		if err := os.Remove(filepath.Join(c.RunsDir, "evil", "probes.jsonl")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(c.RunsDir, "evil", "probes.jsonl")); err != nil {
			t.Fatal(err)
		}
	})
	for _, path := range []string{"/v1/runs/..", "/v1/runs/..%2f..%2fetc", "/v1/runs/%2e%2e", "/v1/runs/link",
		"/v1/runs/..%5c", "/v1/runs/%00", "/v1/runs/.hidden", "/v1/runs/absent", "/v1/runs/" + strings.Repeat("a", 5000),
		"/v1/clips/..%2f..%2fetc%2fpasswd", "/v1/clips/%00/thumb.jpg", "/v1/clips/c00000/frames/-1",
		"/v1/clips/c00000/frames/99999999999999999999", "/v1/clips/c00000/frames/999", "/v1/queries/x", "/v1/jobs/x",
		"/v1/models/x", "/v1/nothing", "/v1/", "/nothing", "/v1/clips/c00017/audio.wav", "/v1/clips/c00023/preview.mp4",
		"/v1/clips/c00023/frames"} {
		res, text := get(t, web, path)
		if res.StatusCode != http.StatusNotFound && !(strings.HasSuffix(path, "..") && res.StatusCode/100 == 3) {
			t.Errorf("%.60s: %s %.200s", path, res.Status, text)
		}
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s tells where things are: %s", path, text)
		}
	}
	if res, text := get(t, web, "/v1/runs/evil/probes"); res.StatusCode == 200 || bytes.Contains(text, []byte("root:")) {
		t.Errorf("a link out of a run: %s %.100s", res.Status, text)
	}
	if _, text := get(t, web, "/v1/runs"); bytes.Contains(text, []byte("link")) {
		t.Errorf("a link out of the runs is listed: %s", text)
	}
}

// TestSlowBody sends a body drop by drop.
func TestSlowBody(t *testing.T) {
	s, web := open(t, func(c *server.Config) { c.Limits.Grace = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"+
		"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; "+
		"name=\"file\"; filename=a\r\n\r\nRIFF")
	begun := time.Now()
	go func() {
		for range 200 {
			if _, err := conn.Write([]byte("aaaa")); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	answer := make([]byte, 4096)
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := conn.Read(answer)
	if err != nil || !strings.Contains(string(answer[:n]), "408 Request Timeout") {
		t.Errorf("after %v: %v %q", time.Since(begun), err, answer[:n])
	}
	nothingLeft(t, s)
}

// TestSlowReader does not read a large answer: the server does not wait for ever.
func TestSlowReader(t *testing.T) {
	_, web := open(t, func(c *server.Config) { c.Limits.Grace = 200 * time.Millisecond })
	before := runtime.NumGoroutine()
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4096)
	for range 200 { // as many answers as no buffer between holds
		fmt.Fprint(conn, "GET /v1/clips/c00000/audio.wav HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	for range 200 {
		if time.Sleep(100 * time.Millisecond); runtime.NumGoroutine() <= before {
			break
		}
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	total, buffer := 0, make([]byte, 1<<20)
	for {
		n, err := conn.Read(buffer)
		total += n
		if err != nil {
			break
		}
	}
	if total >= 200*64000 {
		t.Errorf("all %d bytes came, however slowly they were taken", total)
	}
}

// TestQueueIsBounded asks more at once than may wait.
func TestQueueIsBounded(t *testing.T) {
	model := &servertest.Model{Tools: servertest.Tools(t), Pause: 300 * time.Millisecond}
	_, web := open(t, func(c *server.Config) {
		c.Model, c.Limits.Queue, c.Limits.Decoders = model, 2, 2
	})
	type answer struct {
		status int
		retry  string
	}
	answers := make(chan answer)
	for i := range 12 {
		body, mime := form(t, "a.wav", servertest.Tone(i%8, 1+float64(i)/100), "modality", "audio")
		go func() {
			res, err := http.Post(web.URL+"/v1/embed", mime, body)
			if err != nil {
				answers <- answer{}
				return
			}
			res.Body.Close()
			answers <- answer{res.StatusCode, res.Header.Get("Retry-After")}
		}()
	}
	counts := map[int]int{}
	for range 12 {
		a := <-answers
		counts[a.status]++
		if a.status == 429 && a.retry == "" {
			t.Error("429 without Retry-After")
		}
	}
	if counts[200] < 4 || counts[429] == 0 || counts[200]+counts[429] != 12 {
		t.Errorf("answers: %v", counts)
	}
}

// TestClientGoesAway gives up while its file is decoded or waits: nothing is left.
func TestClientGoesAway(t *testing.T) {
	model := &servertest.Model{Tools: servertest.Tools(t), Pause: 50 * time.Millisecond}
	s, web := open(t, func(c *server.Config) { c.Model = model })
	client := &http.Client{Timeout: 60 * time.Millisecond}
	for i := range 10 {
		body, mime := form(t, "a.wav", servertest.Tone(i%8, 2+float64(i)/100))
		if res, err := client.Post(web.URL+"/v1/search", mime, body); err == nil {
			res.Body.Close()
		}
	}
	nothingLeft(t, s)
	body, mime := form(t, "a.wav", servertest.Tone(1, 1))
	if res, text := send(t, web, "POST", "/v1/search", body, "Content-Type", mime); res.StatusCode != 200 {
		t.Errorf("the next one: %s %s", res.Status, text)
	}
}

// TestHostileSamples asks for samples that somebody has damaged, or that lead elsewhere.
func TestHostileSamples(t *testing.T) {
	var runs string
	_, web := open(t, func(c *server.Config) { runs = c.RunsDir })
	dir := filepath.Join(runs, "first", "samples")
	for name, text := range map[string]string{
		"step-00000001.json": `{"clips": [{"key": "a"}], "a2v": [{"rank": 9}], "v2a": [{"rank": 1}]}`,
		"step-00000002.json": `{"clips": [{"key": "a"}], "a2v": [], "v2a": []}`,
		"step-00000003.json": `{`,
		"step-00000004.json": `{"clips": [{"key": "a"}], "a2v": [{"rank": 1, "nearest": [{"clip": -1}]}], "v2a": [{"rank": 1}]}`,
		"step-9.json":        `{}`,
		"other.json":         `{}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "step-00000005.json")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"1", "2", "3", "4", "5", "9", "-1", "x", "99999999999999999999"} {
		if res, text := get(t, web, "/v1/runs/first/samples?step="+step); res.StatusCode != 404 && res.StatusCode != 400 {
			t.Errorf("step %s: %s %.200s", step, res.Status, text)
		}
	}
	if res, text := get(t, web, "/v1/runs/second/samples"); res.StatusCode != 404 || !strings.Contains(string(text), "no-samples") {
		t.Errorf("none: %s %.200s", res.Status, text)
	}
	if res, text := get(t, web, "/v1/runs/first/samples"); res.StatusCode != 200 || !strings.Contains(string(text), `"step":300`) {
		t.Errorf("the last: %s %.200s", res.Status, text)
	}
}
