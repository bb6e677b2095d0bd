package media

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var smallConfig = DecodeConfig{ShortSide: 32, FPS: 10, SampleRateHz: 16000, MinSeconds: 0.5}

// writeClip writes a moving picture of 64 × 48 pixels at 10 frames/s with noise.
func writeClip(t testing.TB, tools Tools, path string, seconds int) {
	t.Helper()
	cfg := EncodeConfig{Width: 64, Height: 48, FPS: 10, SampleRateHz: 16000, Preset: "ultrafast"}
	samples := make([]int16, seconds*cfg.SampleRateHz)
	for i := range samples {
		samples[i] = int16(i * 7919 % 8191)
	}
	err := tools.Encode(context.Background(), path, cfg, seconds*10, func(i int, rgb []byte) error {
		for j := range rgb {
			rgb[j] = byte(5*i + j/3)
		}
		return nil
	}, samples)
	if err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreNotInterpreted(t *testing.T) {
	tools := findTools(t)
	dir := t.TempDir()
	t.Chdir(dir)
	writeClip(t, tools, "plain", 1)
	data, err := os.ReadFile("plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"-x.mp4", "-i", "with space.mp4", "new\nline.mp4", "%d frame*.mp4", "%03d.png",
		"concat:plain|plain", "file:plain.mp4", "pipe:0", "'quote'\";touch hit;$(touch hit).mp4",
		"ünï✓ a:b,c[d]=e.mp4", "\xff\xfe.mp4",
		"x\n  Stream #0:0: Video: h264, 9x9, 1 fps\nStream mapping:\n.mp4",
	} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c := decodeWhole(t, tools, name, smallConfig)
		if c.Outcome != Usable || c.Info.Video.Width != 64 || len(c.Frames) < 10 {
			t.Errorf("%q: %s, %s", name, c.Outcome, c.Reason)
		}
	}
	if err := os.Mkdir("sub", 0o700); err != nil {
		t.Fatal(err)
	}
	writeClip(t, tools, "sub/-out %d;.mp4", 1)
	if c := decodeWhole(t, tools, "sub/-out %d;.mp4", smallConfig); c.Outcome != Usable {
		t.Errorf("encoded to an odd name: %s, %s", c.Outcome, c.Reason)
	}
	if _, err := os.Stat("hit"); err == nil {
		t.Error("a shell ran a file name")
	}
}

// Files that would make ffmpeg open others, and texts, behind a harmless name.
func TestPlaylistsAreRefused(t *testing.T) {
	tools := findTools(t)
	dir := t.TempDir()
	clip := filepath.Join(dir, "clip.mp4")
	writeClip(t, tools, clip, 1)
	for _, c := range []struct {
		name, text string
		outcome    Outcome
	}{
		{"hls.mp4", "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n" + clip + "\n#EXT-X-ENDLIST\n",
			Unsupported},
		{"concat.mp4", "ffconcat version 1.0\nfile 'clip.mp4'\n", Unsupported},
		{"sdp.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n" +
			"m=video 5004 RTP/AVP 96\n", Unsupported},
		{"dash.mpd", `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" ` +
			`profiles="urn:mpeg:dash:profile:isoff-live:2011"></MPD>`, Corrupt},
		{"text.mp4", "just words\n", Corrupt},
		{"list.txt", clip + "\n", Corrupt},
		{"subtitle.mp4", "1\n00:00:00,000 --> 00:00:01,000\nwords\n\n", Corrupt},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := decodeWhole(t, tools, path, smallConfig)
		// Whether ffmpeg names a text a wrong format or damage depends on its
		// version; what counts is that nothing comes out.
		if got.Outcome != c.outcome && got.Outcome != Unsupported || len(got.Frames) > 0 {
			t.Errorf("%s: %s (%s), want %s", c.name, got.Outcome, got.Reason, c.outcome)
		}
		if strings.Contains(got.Reason, dir) {
			t.Errorf("%s: the reason names the path: %s", c.name, got.Reason)
		}
	}
}

func TestPathsThatAreNoFiles(t *testing.T) {
	tools := findTools(t)
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "absent.mp4"), dir, os.DevNull, "a\x00b"} {
		want := Unreadable
		if filepath.Base(path) == "absent.mp4" {
			want = Missing
		}
		if c := decodeWhole(t, tools, path, smallConfig); c.Outcome != want {
			t.Errorf("%q: %s (%s)", path, c.Outcome, c.Reason)
		}
		_, err := tools.Probe(context.Background(), path, Limits{})
		var broken *FileError
		if !errors.As(err, &broken) || broken.Outcome != want {
			t.Errorf("%q: probe says %v", path, err)
		}
	}
}

func TestFindNamesTheRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Find()
	if !errors.Is(err, ErrNoFFmpeg) || !strings.Contains(fmt.Sprint(err), "apt install ffmpeg") {
		t.Errorf("error %v", err)
	}
}

func TestVersion(t *testing.T) {
	tools := findTools(t)
	version, err := tools.Version(context.Background())
	if err != nil || version == "" {
		t.Errorf("version %q, %v", version, err)
	}
	if _, err := (Tools{FFmpeg: "/bin/echo"}).Version(context.Background()); err == nil {
		t.Error("echo passes for ffmpeg")
	}
}
