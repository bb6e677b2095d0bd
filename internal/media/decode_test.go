package media

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestSegmentsAreSlices(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	writeClip(t, tools, path, 3)
	whole := decodeWhole(t, tools, path, smallConfig)
	if whole.Outcome != Usable || len(whole.Frames) < 30 {
		t.Fatalf("%s, %d frames", whole.Outcome, len(whole.Frames))
	}
	segs := []Segment{{0, 0.5}, {0.2, 2.5}, {0.2, 1}, {0.97, 1.6}, {2.5, 9}, {2.6, 0}, {5, 6}, {7, 0}}
	frame0 := []int{0, 2, 2, 10, 25, 26, 50, 70}
	frames := []int{5, 23, 8, 6, len(whole.Frames) - 25, len(whole.Frames) - 26, 0, 0}
	next := 0
	err := tools.Decode(context.Background(), path, smallConfig, segs, func(i int, c *Clip) error {
		if i != next {
			t.Fatalf("segment %d, want %d", i, next)
		}
		next++
		if len(c.Frames) != frames[i] {
			t.Errorf("segment %d has %d frames, want %d", i, len(c.Frames), frames[i])
			return nil
		}
		for k, frame := range c.Frames {
			if !bytes.Equal(frame, whole.Frames[frame0[i]+k]) {
				t.Errorf("segment %d: frame %d differs from the file's %d", i, k, frame0[i]+k)
			}
		}
		for j, s := range c.Samples {
			if s != whole.Samples[frame0[i]*1600+j] {
				t.Errorf("segment %d: sample %d differs", i, j)
				break
			}
		}
		if i < 4 {
			want := int(math.Round((segs[i].End - segs[i].Start) * 16000))
			if c.Outcome != Usable || len(c.Samples) != want {
				t.Errorf("segment %d: %s, %d samples, want %d", i, c.Outcome, len(c.Samples), want)
			}
		} else if i >= 6 && c.Outcome != TooShort {
			t.Errorf("segment %d beyond the end: %s", i, c.Outcome)
		}
		return nil
	})
	if err != nil || next != len(segs) {
		t.Errorf("%d segments, %v", next, err)
	}
}

// Far segments are reached by seeking; that must not show.
func TestSeekDoesNotShow(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	clip := filepath.Join(dir, "clip.mp4")
	writeClip(t, tools, clip, 32)
	cfg := smallConfig
	cfg.FPS = 12.5
	for _, name := range []string{"clip.mp4", "clip.mkv", "clip.ts"} {
		path := filepath.Join(dir, name)
		if path != clip {
			ffmpeg(t, tools, "-i", clip, "-c", "copy", path)
		}
		whole := decodeWhole(t, tools, path, cfg)
		segs := []Segment{{22.24, 23}, {24, 24.4}, {31, 0}, {40, 41}}
		err := tools.Decode(context.Background(), path, cfg, segs, func(i int, c *Clip) error {
			if i == 3 {
				if c.Outcome != TooShort {
					t.Errorf("%s: segment beyond the end: %s", name, c.Outcome)
				}
				return nil
			}
			frame0 := int(math.Round(segs[i].Start * cfg.FPS))
			for k, frame := range c.Frames {
				if !bytes.Equal(frame, whole.Frames[frame0+k]) {
					t.Errorf("%s: segment %d: frame %d differs", name, i, k)
				}
			}
			for j, s := range c.Samples {
				if d := int(s) - int(whole.Samples[frame0*1280+j]); d > 2 || d < -2 {
					t.Errorf("%s: segment %d: sample %d differs by %d", name, i, j, d)
					break
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	beyond := func(_ int, c *Clip) error {
		if c.Outcome != TooShort {
			t.Errorf("first segment beyond the end: %s (%s)", c.Outcome, c.Reason)
		}
		return nil
	}
	err := tools.Decode(context.Background(), clip, cfg, []Segment{{50, 51}}, beyond)
	if err != nil {
		t.Error(err)
	}
}

func TestYieldsErrorEndsDecode(t *testing.T) {
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	writeClip(t, tools, path, 2)
	before := runtime.NumGoroutine()
	sentinel := errors.New("enough")
	calls := 0
	err := tools.Decode(context.Background(), path, smallConfig, []Segment{{0, 0.5}, {0.5, 1}},
		func(int, *Clip) error { calls++; return sentinel })
	if !errors.Is(err, sentinel) || calls != 1 {
		t.Errorf("error %v after %d calls", err, calls)
	}
	noMoreGoroutines(t, before)
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	var tools Tools // must not come to be started
	never := func(int, *Clip) error { t.Error("yielded"); return nil }
	nan := math.NaN()
	for _, segs := range [][]Segment{nil, {{1, 2}, {0, 1}}, {{-1, 1}}, {{2, 1}}, {{nan, 0}},
		{{0, nan}}, {{0, math.Inf(1)}}, {{1, 1}}, {{0, 1e5}}} {
		if tools.Decode(context.Background(), "x", smallConfig, segs, never) == nil {
			t.Errorf("segments %v were accepted", segs)
		}
	}
	for _, cfg := range []DecodeConfig{{}, {FPS: nan, SampleRateHz: 16000}, {FPS: 10},
		{FPS: 10, SampleRateHz: 16000, JPEGQuality: 101}, {FPS: 10, SampleRateHz: 16000, ShortSide: -1},
		{FPS: 10, SampleRateHz: 16000, SilenceDB: 3}} {
		if tools.Decode(context.Background(), "x", cfg, []Segment{{}}, never) == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	writeClip(t, tools, path, 3)
	for name, lim := range map[string]Limits{
		"pixels":  {MaxPixels: 64*48 - 1},
		"seconds": {MaxSeconds: 2.9},
		"streams": {MaxStreams: 1},
		"bytes":   {MaxBytes: 30000},
	} {
		cfg := smallConfig
		cfg.Limits = lim
		if c := decodeWhole(t, tools, path, cfg); c.Outcome != TooLarge {
			t.Errorf("%s: %s (%s)", name, c.Outcome, c.Reason)
		}
	}
	cfg := smallConfig
	cfg.Limits = Limits{MaxPixels: 64 * 48, MaxSeconds: 3.3, MaxStreams: 2, MaxBytes: 1 << 20}
	if c := decodeWhole(t, tools, path, cfg); c.Outcome != Usable {
		t.Errorf("at the limits: %s (%s)", c.Outcome, c.Reason)
	}
	// Too little memory to load ffmpeg: whatever it is called, no clip, no hang.
	cfg.Limits = Limits{MemoryBytes: 32 << 20, Timeout: 10 * time.Second}
	if c := decodeWhole(t, tools, path, cfg); runtime.GOOS == "linux" && c.Outcome.HasClip() {
		t.Errorf("with 32 MiB: %s", c.Outcome)
	}
}

// Damage spoils a file by its share: see assembler.finish.
func TestDamage(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "clip.mp4")
	writeClip(t, tools, path, 3)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	payload := bytes.Index(data, []byte("mdat")) + 4
	for _, c := range []struct {
		from, to float64
		want     Outcome
	}{{0.5, 0.52, Usable}, {0.1, 1, Corrupt}, {0, 1, Corrupt}} {
		bad := bytes.Clone(data)
		n := float64(len(data) - payload)
		for i := payload + int(c.from*n); i < payload+int(c.to*n); i++ {
			bad[i] = byte(i*7919>>3) | 1
		}
		name := filepath.Join(dir, fmt.Sprintf("damage %v.mp4", c.from))
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := decodeWhole(t, tools, name, smallConfig); got.Outcome != c.want {
			t.Errorf("damage %v…%v: %s (%s; %v frames), want %s", c.from, c.to, got.Outcome, got.Reason,
				got.VideoSeconds, c.want)
		}
	}
	// The index in front, half the payload: the rest of the clip is used.
	half := filepath.Join(dir, "half.mp4")
	if err := os.WriteFile(half, data[:payload+(len(data)-payload)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	c := decodeWhole(t, tools, half, smallConfig)
	if c.Outcome != Usable || !(c.Seconds > 1.2 && c.Seconds < 1.9) {
		t.Errorf("half a file: %s (%s), %.2f s", c.Outcome, c.Reason, c.Seconds)
	}
}

func TestStillAndSilent(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	cfg := EncodeConfig{Width: 64, Height: 48, FPS: 10, SampleRateHz: 16000}
	grey := func(_ int, rgb []byte) error {
		for j := range rgb {
			rgb[j] = 100
		}
		return nil
	}
	tone := make([]int16, 16000)
	for i := range tone {
		tone[i] = int16(3000 * math.Sin(float64(i)/5))
	}
	for name, c := range map[string]struct {
		samples []int16
		want    Outcome
	}{"still": {tone, StillImage}, "silent": {make([]int16, 16000), Silent}, "mute": {nil, NoAudio}} {
		path := filepath.Join(dir, name)
		if err := tools.Encode(context.Background(), path, cfg, 10, grey, c.samples); err != nil {
			t.Fatal(err)
		}
		got := decodeWhole(t, tools, path, smallConfig)
		if got.Outcome != c.want || !got.Still || got.Silent != (name == "silent") {
			t.Errorf("%s: %s, still %v, silent %v", name, got.Outcome, got.Still, got.Silent)
		}
		if len(got.Frames) == 0 || (len(got.Samples) > 0) != (c.samples != nil) {
			t.Errorf("%s: %d frames, %d samples", name, len(got.Frames), len(got.Samples))
		}
	}
}

// Every channel counts alike, the bass channel too.
func TestMeanOfChannels(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	clip := filepath.Join(dir, "clip.mp4")
	writeFlash(t, tools, clip)
	peak := func(path string) float64 {
		c := decodeWhole(t, tools, path, smallConfig)
		return math.Pow(10, peakDB(c.Samples)/20)
	}
	mono := filepath.Join(dir, "mono.mkv")
	ffmpeg(t, tools, "-i", "file:"+clip, "-c:v", "copy", "-c:a", "pcm_s16le", "file:"+mono)
	whole := peak(mono)
	for layout, c := range map[string]struct {
		pan  string
		want float64
	}{
		"left":   {"pan=stereo|c0=c0|c1=0*c0", 1. / 2},
		"bass":   {"pan=5.1|c0=0*c0|c1=0*c0|c2=0*c0|c3=c0|c4=0*c0|c5=0*c0", 1. / 6},
		"all":    {"pan=4.0|c0=c0|c1=c0|c2=c0|c3=c0", 1},
		"cancel": {"pan=stereo|c0=c0|c1=-1*c0", 0},
	} {
		path := filepath.Join(dir, layout+".mkv")
		ffmpeg(t, tools, "-i", "file:"+mono, "-c:v", "copy", "-af", c.pan, "-c:a", "pcm_s16le",
			"file:"+path)
		if got := peak(path) / whole; !(math.Abs(got-c.want) <= 0.001) {
			t.Errorf("%s: mean is %.4f of a channel, want %.4f", layout, got, c.want)
		}
	}
}

func TestChoiceOfStreams(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	small, large := filepath.Join(dir, "small.mp4"), filepath.Join(dir, "large.mp4")
	writeClip(t, tools, small, 1)
	writeFlash(t, tools, large)
	ffmpeg(t, tools, "-i", "file:"+large, "-vf", "scale=128:96", "-c:a", "copy",
		"file:"+filepath.Join(dir, "wide.mp4"))
	both := []string{"-i", "file:" + small, "-i", "file:" + filepath.Join(dir, "wide.mp4"),
		"-map", "0", "-map", "1", "-c", "copy"}
	second := filepath.Join(dir, "second.mkv")
	ffmpeg(t, tools, append(both, "-disposition:v:0", "0", "-disposition:v:1", "default",
		"-disposition:a:0", "0", "-disposition:a:1", "default", second)...)
	c := decodeWhole(t, tools, second, smallConfig)
	if c.Info.Video.Index != 2 || c.Info.Audio.Index != 3 || c.Info.Video.Width != 128 {
		t.Errorf("default streams: took %+v, %+v", c.Info.Video, c.Info.Audio)
	}
	neither := filepath.Join(dir, "neither.mkv")
	ffmpeg(t, tools, append(both, "-disposition", "0", neither)...)
	c = decodeWhole(t, tools, neither, smallConfig)
	if c.Info.Video.Index != 0 || c.Info.Audio.Index != 1 {
		t.Errorf("no default stream: took %+v, %+v", c.Info.Video, c.Info.Audio)
	}
}

func TestCoverIsNoVideo(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	clip, cover := filepath.Join(dir, "clip.mp4"), filepath.Join(dir, "cover.png")
	writeClip(t, tools, clip, 1)
	file, err := os.Create(cover)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := png.Encode(file, image.NewGray(image.Rect(0, 0, 40, 40))); err != nil {
		t.Fatal(err)
	}
	song, film := filepath.Join(dir, "song.m4a"), filepath.Join(dir, "film.mp4")
	ffmpeg(t, tools, "-i", clip, "-i", cover, "-map", "0:a", "-map", "1", "-c", "copy",
		"-disposition:v", "attached_pic", song)
	if c := decodeWhole(t, tools, song, smallConfig); c.Outcome != NoVideo || len(c.Samples) < 16000 {
		t.Errorf("song with cover: %s (%s), %d samples", c.Outcome, c.Reason, len(c.Samples))
	}
	ffmpeg(t, tools, "-i", cover, "-i", clip, "-map", "0", "-map", "1", "-c", "copy",
		"-disposition:v:0", "attached_pic", film)
	if c := decodeWhole(t, tools, film, smallConfig); c.Outcome != Usable || c.Info.Video.Width != 64 {
		t.Errorf("film with cover: %s (%s)", c.Outcome, c.Reason)
	}
}

// A stream in a codec that ffmpeg cannot decode leaves the other one.
func TestMissingDecoder(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	writeClip(t, tools, path, 1)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// MPEG-H 3D audio; the last "mp4a" is the sample entry.
	at := bytes.LastIndex(data, []byte("mp4a"))
	copy(data[at:], "mha1")
	copy(data[bytes.LastIndex(data, []byte("esds")):], "skip") // it would say AAC
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := decodeWhole(t, tools, path, smallConfig)
	if c.Outcome != NoAudio || len(c.Frames) < 10 {
		t.Errorf("%s (%s), %d frames", c.Outcome, c.Reason, len(c.Frames))
	}
}
