package view

import (
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/media"
)

// filmed returns a clip of 10 s at 8 frames/s whose frames have w × h pixels, as
// ingest stores it. There is no film of that size to test with, and one scaled
// up has no detail: six real films of 224 × 224 are put side by side, and a part
// cut out. With grain their detail is that of a sharp and noisy camera.
func filmed(b *testing.B, w, h int, grain bool) *media.Clip {
	b.Helper()
	skip := func(what, reason string) {
		for _, r := range strings.Split(os.Getenv("AVJEPA_REQUIRE"), ",") {
			if r == what {
				b.Fatalf("%s is required: %s", what, reason)
			}
		}
		b.Skip(reason)
	}
	tools, err := media.Find()
	if err != nil {
		skip("ffmpeg", err.Error())
	}
	args := []string{"-v", "error", "-nostdin"}
	for _, name := range []string{"tos_battle_0", "chrome_cartoon_0", "tos_battle_4", "bbb_1",
		"tos_battle_2", "tos_battle_6"} {
		path := filepath.Join("../../../shared/data/clips/misc", name+".mp4")
		if _, err := os.Stat(path); err != nil {
			skip("shared", "no test media: "+err.Error())
		}
		args = append(args, "-i", path)
	}
	filter := fmt.Sprintf("[0:v][1:v][2:v]hstack=3[a];[3:v][4:v][5:v]hstack=3[b];"+
		"[a][b]vstack,setsar=1,format=yuv444p,crop=%d:%d:60:40", w, h)
	if grain {
		filter += ",noise=alls=10:allf=t:all_seed=1,unsharp=5:5:0.8"
	}
	film := filepath.Join(b.TempDir(), "film.mkv")
	args = append(args, "-filter_complex", filter+"[v]", "-map", "[v]", "-map", "0:a",
		"-c:v", "ffv1", "-c:a", "pcm_s16le", "-ar", "16000", "-t", "10", film)
	if out, err := exec.Command(tools.FFmpeg, args...).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	var clip *media.Clip
	cfg := media.DecodeConfig{ShortSide: 256, FPS: 8, SampleRateHz: 16000, JPEGQuality: 90}
	err = tools.Decode(b.Context(), film, cfg, []media.Segment{{}},
		func(_ int, c *media.Clip) error { clip = c; return nil })
	if err != nil || clip.Width != w || clip.Height != h || len(clip.Frames) != 80 {
		b.Fatalf("%v, or not 80 frames of %d×%d", err, w, h)
	}
	return clip
}

// BenchmarkFillPaper fills the four views of the paper, on one core, from what a
// shard holds of a clip, at the sizes that ingest stores; then its parts.
func BenchmarkFillPaper(b *testing.B) {
	for _, size := range []image.Point{{398, 224}, {298, 224}, {455, 256}, {340, 256}} {
		for _, grain := range []string{"", "-grain"} {
			b.Run(fmt.Sprintf("%dx%d%s", size.X, size.Y, grain), func(b *testing.B) {
				clip := filmed(b, size.X, size.Y, grain != "")
				m := newMaker(b, Default())
				lazy, err := m.Open(clip.Frames, clip.FPS, clip.Samples)
				if err != nil {
					b.Fatal(err)
				}
				fillParts(b, m, clip, lazy)
			})
		}
	}
}

func fillParts(b *testing.B, m *Maker, clip *media.Clip, lazy *Decoded) {
	batch, s := m.NewBatch(1), m.take()
	b.Run("clip", func(b *testing.B) {
		begin := cpuTime(b)
		for n := 0; b.Loop(); n++ {
			d, err := m.Open(clip.Frames, clip.FPS, clip.Samples)
			if err != nil {
				b.Fatal(err)
			}
			fill(b, m, batch, 0, d, uint64(n), "clip")
		}
		bytes := 0
		for _, f := range clip.Frames {
			bytes += len(f)
		}
		b.ReportMetric(float64(b.N)/(cpuTime(b)-begin).Seconds(), "clips/core-s")
		b.ReportMetric(float64(bytes)/float64(len(clip.Frames)), "bytes/frame")
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := m.Open(clip.Frames, clip.FPS, clip.Samples); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mel", func(b *testing.B) {
		mel := make([]float32, m.cfg.Bands*lazy.frames)
		for b.Loop() {
			m.clipMel(mel, lazy, s)
		}
	})
	b.Run("jpeg", func(b *testing.B) { // one whole frame
		dst := make([]byte, lazy.frameBytes())
		whole := image.Rect(0, 0, lazy.w, lazy.h)
		for n := 0; b.Loop(); n++ {
			if err := lazy.decodeFrame(dst, clip.Frames[n%80], whole, s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cached", func(b *testing.B) { // all but JPEG and most of the log-mel
		d := decode(b, m, clip.Frames, clip.FPS, clip.Samples)
		for n := 0; b.Loop(); n++ {
			fill(b, m, batch, 0, d, uint64(n), "clip")
		}
		b.ReportMetric(float64(d.MemoryBytes()), "clip-bytes")
	})
	b.Run("global", func(b *testing.B) { // one picture
		var r resampler
		src, dst := make([]byte, lazy.frameBytes()), make([]byte, 224*224*3)
		r.fit(lazy.w, lazy.h, 256, 224, true)
		for b.Loop() {
			r.run(dst, src, 0, lazy.w*3)
		}
	})
	b.Run("local", func(b *testing.B) { // one picture
		var r resampler
		src, dst := make([]byte, lazy.frameBytes()), make([]byte, 224*224*3)
		r.stretch(lazy.w*2/3, lazy.h-20, 224, 224, true)
		for b.Loop() {
			r.run(dst, src, 0, lazy.w*3)
		}
	})
}

// BenchmarkFillDemo fills the four views of a tiny model from a cached clip.
func BenchmarkFillDemo(b *testing.B) {
	for _, windows := range []string{WindowsOne, WindowsPerView} {
		b.Run(windows, func(b *testing.B) {
			c := demoConfig()
			c.Windows = windows
			m := newMaker(b, c)
			frames, samples := testClip(b, 48, 48, 3.2, 12.5)
			d := decode(b, m, frames, 12.5, samples)
			batch := m.NewBatch(1)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				fill(b, m, batch, 0, d, uint64(n), "clip")
			}
			b.ReportMetric(float64(d.MemoryBytes()), "clip-bytes")
		})
	}
}
