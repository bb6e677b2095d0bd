package server_test

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"avjepa/internal/media"
	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// TestRanges asks for parts of a preview as browsers do. Safari asks for two bytes first
// and plays nothing that answers with the whole.
func TestRanges(t *testing.T) {
	_, web := open(t, nil)
	const path = "/v1/clips/c00000/preview.mp4"
	res, whole := get(t, web, path)
	etag := res.Header.Get("ETag")
	if res.StatusCode != 200 || res.Header.Get("Accept-Ranges") != "bytes" || len(etag) < 10 || etag[0] != '"' ||
		res.Header.Get("Content-Type") != "video/mp4" || res.Header.Get("Content-Encoding") != "" {
		t.Fatalf("%s %v", res.Status, res.Header)
	}
	if at := bytes.Index(whole, []byte("moov")); at < 0 || at > bytes.Index(whole, []byte("mdat")) {
		t.Error("its index is not in front")
	}
	n := len(whole)
	for _, c := range []struct {
		ask    string
		status int
		lo, hi int // of the bytes that come
	}{
		{"bytes=0-1", 206, 0, 2}, {"bytes=0-", 206, 0, n}, {"bytes=100-199", 206, 100, 200},
		{"bytes=-10", 206, n - 10, n}, {fmt.Sprintf("bytes=%d-", n), 416, 0, 0}, {"bytes=0-99999999", 206, 0, n},
		{"bytes=9-3", 416, 0, 0}, {"lines=1-2", 416, 0, 0},
	} {
		res, text := get(t, web, path, "Range", c.ask)
		if res.StatusCode != c.status || c.status == 206 && !bytes.Equal(text, whole[c.lo:c.hi]) {
			t.Errorf("%s: %s, %d bytes", c.ask, res.Status, len(text))
		}
		want := fmt.Sprintf("bytes %d-%d/%d", c.lo, c.hi-1, n)
		if got := res.Header.Get("Content-Range"); c.status == 206 && got != want {
			t.Errorf("%s: Content-Range %q, want %q", c.ask, got, want)
		}
	}
	if res, _ := get(t, web, path, "If-None-Match", etag); res.StatusCode != 304 {
		t.Errorf("what is known already: %s", res.Status)
	}
	if res, text := get(t, web, path, "Range", "bytes=0-1", "If-Range", `"other"`); res.StatusCode != 200 || len(text) != n {
		t.Errorf("a range of something else: %s", res.Status)
	}
	if res, text := get(t, web, path, "Range", "bytes=0-1", "If-Range", etag); res.StatusCode != 206 || len(text) != 2 {
		t.Errorf("a range of the same: %s", res.Status)
	}
	if res, _ := get(t, web, path+"?v=1"); res.Header.Get("Cache-Control") != "private, max-age=31536000, immutable" {
		t.Errorf("with a version: %v", res.Header)
	}
}

// TestProducts decodes what is made of clips.
func TestProducts(t *testing.T) {
	s, web := open(t, nil)
	for path, size := range map[string]image.Point{"c00000/thumb.jpg": {96, 64}, "c00000/mel.png": {200, 128},
		"c00023/thumb.jpg": {200, 128}, "c00000/frames/24": {96, 64}, "c00000/components.png": {100, 80}} {
		_, text := get(t, web, "/v1/clips/"+path)
		cfg, _, err := image.DecodeConfig(bytes.NewReader(text))
		if err != nil || cfg.Width != size.X || cfg.Height != size.Y {
			t.Errorf("%s: %d × %d, %v", path, cfg.Width, cfg.Height, err)
		}
	}
	_, light := get(t, web, "/v1/clips/c00000/components.png")
	if _, dark := get(t, web, "/v1/clips/c00000/components.png?theme=dark"); bytes.Equal(light, dark) {
		t.Error("one sheet of components for both themes")
	}
	for path, status := range map[string]int{"c00023/components.png": 404, "c00000/components.png?theme=x": 400,
		"c99999/components.png": 404} {
		if res, _ := get(t, web, "/v1/clips/"+path); res.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, res.Status, status)
		}
	}
	for name, want := range map[string][2]bool{"preview.mp4": {true, true}, "audio.m4a": {false, true},
		"audio.wav": {false, true}} {
		_, text := get(t, web, "/v1/clips/c00000/"+name)
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		info, err := servertest.Tools(t).Probe(t.Context(), path, media.Limits{})
		if err != nil || (info.Video != nil) != want[0] || (info.Audio != nil) != want[1] ||
			!(info.Seconds > 1.8 && info.Seconds < 2.2) {
			t.Errorf("%s: %+v %v", name, info, err)
		}
		if info.Video != nil && info.Video.Codec != "h264" {
			t.Errorf("%s: %s", name, info.Video.Codec)
		}
	}
	_, text := get(t, web, "/v1/clips/c00000/frames")
	f := parse[server.Frames](t, text)
	if len(f.Times) != 25 || f.Times[24] != 24/servertest.FPS || f.Crop.Width != 2./3 {
		t.Errorf("%+v", f)
	}
	for _, e := range listDir(t, s, "previews") {
		if len(e) < 60 {
			t.Errorf("%s lies among the previews", e)
		}
	}
}

func listDir(t *testing.T, s *server.Server, name string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Config().Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// TestPreviewsAreMadeOnce asks for one preview many times at once.
func TestPreviewsAreMadeOnce(t *testing.T) {
	s, web := open(t, nil)
	var group sync.WaitGroup
	tags := make(chan string, 20)
	for range 20 {
		group.Go(func() {
			res, err := http.Get(web.URL + "/v1/clips/c00001/preview.mp4")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			tags <- res.Status + res.Header.Get("ETag")
		})
	}
	group.Wait()
	close(tags)
	first := <-tags
	for tag := range tags {
		if tag != first || tag[:3] != "200" {
			t.Errorf("%s, and %s", tag, first)
		}
	}
	if all := listDir(t, s, "previews"); len(all) != 1 {
		t.Errorf("files: %v", all)
	}
}

// TestPreviewsAreBounded keeps no more previews than fit, and finds them again after a
// restart, without what a kill left.
func TestPreviewsAreBounded(t *testing.T) {
	dir := t.TempDir()
	limit := int64(200 << 10)
	size := func(s *server.Server) (sum int64) {
		for _, name := range listDir(t, s, "previews") {
			info, err := os.Stat(filepath.Join(dir, "previews", name))
			if err != nil {
				t.Fatal(err)
			}
			sum += info.Size()
		}
		return sum
	}
	make_ := func() *server.Server {
		s, err := server.New(server.Config{Library: servertest.NewLibrary(20), Dir: dir, Tools: servertest.Tools(t),
			Model: &servertest.Model{Tools: servertest.Tools(t)}, Limits: server.Limits{PreviewBytes: limit}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := make_()
	web := serveOn(t, s)
	for i := range 8 {
		get(t, web, fmt.Sprintf("/v1/clips/c%05d/audio.wav", i)) // 64 kB each
		if got := size(s); got > limit {
			t.Errorf("after %d: %d bytes", i, got)
		}
	}
	if _, err := server.New(server.Config{Dir: dir}); err == nil {
		t.Error("two servers work in one folder")
	}
	web.Close()
	s.Close()
	for _, name := range []string{"previews/.x.tmp-1", "previews/half.mp4", "uploads/LEFTOVER"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept := len(listDir(t, s, "previews")) - 2
	s = make_()
	defer s.Close()
	if all := listDir(t, s, "previews"); len(all) != kept || kept == 0 {
		t.Errorf("after a restart: %v, %d were kept", all, kept)
	}
	nothingLeft(t, s)
}

// TestPreviewTakesLong asks to come back for what takes too long, and has it then.
func TestPreviewTakesLong(t *testing.T) {
	_, web := open(t, func(c *server.Config) { c.Limits.PreviewWait = time.Millisecond })
	res, text := get(t, web, "/v1/clips/c00002/preview.mp4")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" ||
		parse[server.Problem](t, text).Code != "preview-pending" {
		t.Fatalf("%s %.200s", res.Status, text)
	}
	for range 300 {
		if res, _ = get(t, web, "/v1/clips/c00002/preview.mp4"); res.StatusCode == 200 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("it never came: %s", res.Status)
}
