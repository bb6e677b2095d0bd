package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ffmpeg runs a command that makes a test file.
func ffmpeg(t testing.TB, tools Tools, args ...string) {
	t.Helper()
	args = append([]string{"-nostdin", "-v", "error", "-y"}, args...)
	if out, err := exec.Command(tools.FFmpeg, args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %q: %v\n%s", args, err, out)
	}
}

const (
	flashFPS   = 25
	flashStart = 1.2 // seconds: a white picture and a tone begin
	flashEnd   = 1.6
)

// writeFlash writes 2.4 s at 25 frames/s, dark and quiet but for a flash with a
// tone.
func writeFlash(t testing.TB, tools Tools, path string) {
	t.Helper()
	cfg := EncodeConfig{Width: 64, Height: 48, FPS: flashFPS, SampleRateHz: 16000,
		AudioBitrate: 96000}
	samples := make([]int16, int(2.4*16000))
	for i := range samples {
		if at := float64(i) / 16000; at >= flashStart && at < flashEnd {
			samples[i] = int16(20000 * math.Sin(2*math.Pi*2000*at))
		}
	}
	err := tools.Encode(context.Background(), path, cfg, 60, func(i int, rgb []byte) error {
		value := byte(0)
		if i >= flashStart*flashFPS && i < flashEnd*flashFPS {
			value = 255
		}
		for j := range rgb {
			rgb[j] = value
		}
		return nil
	}, samples)
	if err != nil {
		t.Fatal(err)
	}
}

// onsets returns the index of the first bright frame and the time of the first
// loud sample.
func onsets(c *Clip) (frame int, sound float64) {
	frame, sound = -1, -1
	for i, rgb := range c.Frames {
		if rgb[len(rgb)/2] > 128 {
			frame = i
			break
		}
	}
	for i, s := range c.Samples {
		if s > 8000 || s < -8000 {
			sound = float64(i) / 16000
			break
		}
	}
	return frame, sound
}

func TestFlashAndToneCoincide(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	clip := filepath.Join(dir, "clip.mp4")
	writeFlash(t, tools, clip)
	in := "file:" + clip
	cases := []struct {
		name         string
		args         []string
		flash, sound float64 // −1: wherever both are
	}{
		{"clip.mp4", nil, 1.2, 1.2},
		{"start5.mkv", []string{"-i", in, "-c", "copy", "-output_ts_offset", "5"}, -1, -1},
		{"stream.ts", []string{"-i", in, "-c", "copy", "-muxdelay", "1.4"}, -1, -1},
		{"program.mpg", []string{"-i", in, "-c:v", "mpeg1video", "-q:v", "2", "-c:a", "mp2",
			"-ar", "44100"}, -1, -1},
		{"plain.avi", []string{"-i", in, "-c:v", "mjpeg", "-q:v", "2", "-c:a", "pcm_s16le"}, 1.2, 1.2},
		{"late sound.mkv", []string{"-i", in, "-itsoffset", "0.8", "-i", in, "-map", "0:v",
			"-map", "1:a", "-c:v", "copy", "-c:a", "pcm_s16le"}, 1.2, 2.0},
		{"late sound.mp4", []string{"-i", in, "-itsoffset", "0.8", "-i", in, "-map", "0:v",
			"-map", "1:a", "-c", "copy"}, 1.2, 2.0},
		{"late picture.mkv", []string{"-i", in, "-itsoffset", "0.6", "-i", in, "-map", "1:v",
			"-map", "0:a", "-c:v", "copy", "-c:a", "pcm_s16le"}, 1.8, 1.2},
		{"late picture.mp4", []string{"-i", in, "-itsoffset", "0.6", "-i", in, "-map", "1:v",
			"-map", "0:a", "-c", "copy"}, 1.8, 1.2},
		{"hole in sound.mkv", []string{"-i", in, "-c:v", "copy", "-af",
			"aselect='not(between(t,0.3,0.9))'", "-c:a", "pcm_s16le"}, 1.2, 1.2},
	}
	for _, c := range cases {
		path := filepath.Join(dir, c.name)
		if c.args != nil {
			ffmpeg(t, tools, append(c.args, "file:"+path)...)
		}
		rates := []float64{25, 7}
		if c.args == nil {
			rates = []float64{25, 12.5, 10, 7, 2, 30}
		}
		for _, fps := range rates {
			cfg := DecodeConfig{FPS: fps, SampleRateHz: 16000, Raw: true}
			got := decodeWhole(t, tools, path, cfg)
			frame, sound := onsets(got)
			flash := c.flash
			if flash < 0 {
				// The container's start is that of the sound's lead-in, which
				// only some containers let a player skip.
				flash = sound
				if !(sound >= 1.19 && sound < 1.3) {
					t.Errorf("%s at %v/s: tone at %.4f s", c.name, fps, sound)
				}
			} else if !(math.Abs(sound-c.sound) <= 0.010) {
				t.Errorf("%s at %v/s: tone at %.4f s, want %v", c.name, fps, sound, c.sound)
			}
			// The first frame of the grid at or after the flash, which may be off
			// by the lead-in's rounding where that is not known.
			want := int(math.Ceil(flash*fps - 0.06))
			near := c.flash < 0 && frame >= 0 && math.Abs(float64(frame)/fps-flash) <= 1/fps+0.011
			if frame != want && !near {
				t.Errorf("%s at %v/s: flash in frame %d (%.3f s), want %d", c.name, fps, frame,
					float64(frame)/fps, want)
			}
			if !(math.Abs(float64(len(got.Samples))/16000-float64(len(got.Frames))/fps) <= 0.51/fps) {
				t.Errorf("%s at %v/s: %d samples beside %d frames", c.name, fps, len(got.Samples),
					len(got.Frames))
			}
		}
	}
}

// In the shared late file the sound of base_ok.mp4 begins 0.8 s later.
func TestLateSharedFile(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	cfg := DecodeConfig{ShortSide: 64, FPS: 12.5, SampleRateHz: 16000}
	base := decodeWhole(t, tools, sharedFile(t, "odd", "base_ok.mp4"), cfg)
	late := decodeWhole(t, tools, sharedFile(t, "odd", "audio_late_0.8s.mkv"), cfg)
	best, bestShift := math.Inf(-1), 0
	for shift := 12000; shift < 13600; shift++ {
		sum := 0.0
		for i := 0; i < 16000; i += 3 {
			sum += float64(base.Samples[8000+i]) * float64(late.Samples[8000+i+shift])
		}
		if sum > best {
			best, bestShift = sum, shift
		}
	}
	if !(math.Abs(float64(bestShift)/16000-0.8) <= 0.010) {
		t.Errorf("sound is %.4f s late, want 0.8", float64(bestShift)/16000)
	}
	for i, s := range late.Samples[:12000] {
		if s != 0 {
			t.Fatalf("sample %d before the sound is %d", i, s)
		}
	}
}

// Frames of a variable rate are shown by time: picture N is N steps bright.
func TestVariableRateByTime(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	clip, variable := filepath.Join(dir, "clip.mp4"), filepath.Join(dir, "variable.mkv")
	const step = 8
	err := tools.Encode(context.Background(), clip,
		EncodeConfig{Width: 64, Height: 48, FPS: 25, CRF: 5}, 30, func(i int, rgb []byte) error {
			for j := range rgb {
				rgb[j] = byte(i * step)
			}
			return nil
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// Ten pictures at 25 a second, ten at 5, ten at 25.
	ffmpeg(t, tools, "-i", "file:"+clip, "-vf", "settb=1/1000,setpts="+
		"'if(lt(N,10),40*N,if(lt(N,20),400+200*(N-10),2400+40*(N-20)))'",
		"-vsync", "0", "-c:v", "libx264", "-crf", "5", "-bf", "0", "file:"+variable)
	shown := func(at float64) int {
		switch {
		case at < 0.4:
			return int(math.Floor(at/0.04 + 1e-6))
		case at < 2.4:
			return 10 + int(math.Floor((at-0.4)/0.2+1e-6))
		}
		return min(29, 20+int(math.Floor((at-2.4)/0.04+1e-6)))
	}
	for _, fps := range []float64{10, 12.5, 25, 3} {
		c := decodeWhole(t, tools, variable, DecodeConfig{FPS: fps, SampleRateHz: 16000, Raw: true})
		if n := len(c.Frames); n < int(2.8*fps) || n > int(2.84*fps)+1 {
			t.Errorf("%d frames at %v/s of 2.8 s", n, fps)
		}
		for k, rgb := range c.Frames {
			got := int(math.Round(float64(rgb[len(rgb)/2]) / step))
			if want := shown(float64(k) / fps); got != want {
				t.Errorf("frame %d (%.3f s) at %v/s is picture %d, want %d", k, float64(k)/fps, fps,
					got, want)
			}
		}
	}
}

// Matroska rounds 1/30 s to milliseconds; the grid must not fall behind for that.
func TestRoundedTimeStamps(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	clip, rounded := filepath.Join(dir, "clip.mp4"), filepath.Join(dir, "rounded.mkv")
	err := tools.Encode(context.Background(), clip,
		EncodeConfig{Width: 64, Height: 48, FPS: 30, CRF: 5}, 30, func(i int, rgb []byte) error {
			for j := range rgb {
				rgb[j] = byte(i * 8)
			}
			return nil
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ffmpeg(t, tools, "-i", "file:"+clip, "-c", "copy", "file:"+rounded)
	c := decodeWhole(t, tools, rounded, DecodeConfig{FPS: 15, SampleRateHz: 16000, Raw: true})
	for k, rgb := range c.Frames {
		if got := int(math.Round(float64(rgb[len(rgb)/2]) / 8)); got != 2*k {
			t.Errorf("frame %d is picture %d, want %d", k, got, 2*k)
		}
	}
}

func TestRotationIsUndone(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.mp4")
	const w, h = 96, 64
	// Corners clockwise from the upper left: red, green, blue, white.
	corners := [4][3]byte{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}}
	err := tools.Encode(context.Background(), plain,
		EncodeConfig{Width: w, Height: h, FPS: 10, CRF: 5}, 5, func(_ int, rgb []byte) error {
			for y := range h {
				for x := range w {
					corner := [2][2]int{{0, 1}, {3, 2}}[2*y/h][2*x/w]
					copy(rgb[3*(y*w+x):], corners[corner][:])
				}
			}
			return nil
		}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	matrix := bytes.Index(data, []byte("tkhd")) + 4 + 40
	for turns, m := range [4][4]int32{{1, 0, 0, 1}, {0, 1, -1, 0}, {-1, 0, 0, -1}, {0, -1, 1, 0}} {
		for i, at := range []int{0, 4, 12, 16} {
			binary.BigEndian.PutUint32(data[matrix+at:], uint32(m[i]<<16))
		}
		path := filepath.Join(dir, fmt.Sprintf("turned%d.mp4", turns))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := DecodeConfig{FPS: 10, SampleRateHz: 16000, Raw: true, ShortSide: 32}
		c := decodeWhole(t, tools, path, cfg)
		wantW, wantH := 48, 32
		if turns%2 == 1 {
			wantW, wantH = wantH, wantW
		}
		if c.Width != wantW || c.Height != wantH {
			t.Errorf("%d turns: %d × %d, want %d × %d", turns, c.Width, c.Height, wantW, wantH)
			continue
		}
		if want := (4 - turns) % 4 * 90; (c.Info.Video.Rotation+360)%360 != want {
			t.Errorf("%d turns: rotation %d, want %d", turns, c.Info.Video.Rotation, want)
		}
		for i, at := range [4][2]int{{wantW / 4, wantH / 4}, {wantW * 3 / 4, wantH / 4},
			{wantW * 3 / 4, wantH * 3 / 4}, {wantW / 4, wantH * 3 / 4}} {
			got := c.Frames[0][3*(at[1]*c.Width+at[0]):][:3]
			// Turned clockwise, a corner shows what was one further back.
			want := corners[(i-turns+4)%4]
			for channel := range 3 {
				if d := int(got[channel]) - int(want[channel]); d > 12 || d < -12 {
					t.Errorf("%d turns: corner %d is %v, want %v", turns, i, got, want)
					break
				}
			}
		}
	}
}
