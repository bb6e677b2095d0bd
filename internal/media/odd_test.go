package media

import (
	"context"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// odd says what each odd file must give at 12.5 frames/s, 16 kHz, short side 256,
// at least 0.5 s.
//
// Two decisions are visible here. A file whose damage costs a frame in fifty
// (corrupted_header_ok) keeps its clip; sound that ends early or begins late is
// padded, however much (audio_shorter has 1.2 s of 3 s).
var odd = map[string]struct {
	outcome       Outcome
	width, height int
	video, audio  float64 // seconds decoded
}{
	"rot90_noaudio_0.1s.mov":           {TooShort, 256, 454, 0.1, 0},
	"rot270_noaudio_0.1s.mov":          {TooShort, 256, 454, 0.1, 0},
	"corrupted_header_ok.mp4":          {NoAudio, 455, 256, 5, 0},
	"av1_noaudio.mkv":                  {NoAudio, 455, 256, 5, 0},
	"h264_10bit_noaudio.mp4":           {NoAudio, 200, 200, 1, 0},
	"hevc_10bit_noaudio.mp4":           {NoAudio, 200, 200, 1, 0},
	"multistream_2v2a2s.mp4":           {Usable, 320, 180, 13, 13.056},
	"alpha_vp9_silent.webm":            {Silent, 200, 200, 5, 4.943},
	"-dash-name-1x1.mp4":               {NoAudio, 1, 1, 5, 0},
	"vfr_extra_data_stream.mp4":        {Usable, 455, 256, 2.38, 2.417},
	"audio_shorter_mp3_in_mp4.mp4":     {Usable, 455, 256, 11.2, 11.234},
	"vfr_flir_portrait.mp4":            {Usable, 256, 341, 11.28, 11.264},
	"vfr phone (name with spaces).mp4": {Usable, 455, 256, 3.635, 3.596},
	"amr_nb_8k.3gp":                    {Usable, 176, 144, 4.933, 4.84},
	"mjpeg_pcm.avi":                    {Usable, 320, 240, 2.733, 2.438},
	"audio_only_opus.mp4":              {NoVideo, 0, 0, 0, 1.02},
	"theora_noaudio_crop.ogv":          {NoAudio, 341, 256, 5.333, 0},
	"init_segment_only.mp4":            {outcome: Empty},
	"chunk_out_of_range.mp4":           {outcome: Corrupt},
	"minimal_62ms.mp4":                 {TooShort, 320, 240, 0.04, 0.043},
	"fragmented_silent.mp4":            {Silent, 455, 256, 5.072, 5.056},
	"mpeg1_ps_mp2.mpg":                 {Usable, 320, 256, 3, 2.978},
	"broken.ogg":                       {outcome: Corrupt},
	"empty.wav":                        {outcome: Empty},
	"short.wav":                        {outcome: Empty}, // a header claiming 1 ms, no whole sample
	"base_ok.mp4":                      {Usable, 256, 192, 3, 3.019},
	"trunc_half_moov_end.mp4":          {outcome: Corrupt},
	"trunc_4k.mp4":                     {outcome: Corrupt},
	"zero_bytes.mp4":                   {outcome: Empty},
	"random_bytes.mp4":                 {outcome: Corrupt},
	"html_error_page.mp4":              {outcome: Corrupt},
	"no_video.m4a":                     {NoVideo, 0, 0, 0, 3.019},
	"one_second.mp4":                   {Usable, 256, 192, 1, 1.022},
	"clipped_loud.mp4":                 {Usable, 256, 192, 3, 3.019},
	"vfr_made.mkv":                     {Usable, 256, 192, 2.85, 3.042},
	"audio_late_0.8s.mkv":              {Usable, 256, 192, 3, 3.819},
	"audio_shorter.mp4":                {Usable, 256, 192, 3, 1.207},
	"surround_ac3.mkv":                 {Usable, 256, 192, 3.005, 3.04},
	"mpeg4_mulaw_8k.avi":               {Usable, 256, 192, 3, 3.019},
	"sar_4_1.mp4":                      {Usable, 256, 256, 3, 3.019},
	"one_frame_with_audio.mp4":         {TooShort, 256, 192, 0.04, 0.093},
	"ts_start_offset.ts":               {Usable, 256, 192, 3.023, 3.042},
	"animated.gif":                     {NoAudio, 256, 192, 1, 0},
}

func TestOddFiles(t *testing.T) {
	tools := findTools(t)
	dir := sharedFile(t, "odd")
	file, err := os.Open(filepath.Join(dir, "manifest.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	cfg := DecodeConfig{ShortSide: 256, FPS: 12.5, SampleRateHz: 16000, MinSeconds: 0.5}
	for _, row := range rows[1:] {
		name := row[0]
		want, ok := odd[name]
		if !ok {
			t.Errorf("%s (%s): no expectation", name, row[2])
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name)
			c := decodeWhole(t, tools, path, cfg)
			if c.Outcome != want.outcome || c.Width != want.width || c.Height != want.height {
				t.Errorf("%s %d × %d (%s), want %s %d × %d", c.Outcome, c.Width, c.Height, c.Reason,
					want.outcome, want.width, want.height)
			}
			// The end of the last frame is rounded up to the grid.
			if !(c.VideoSeconds > want.video-0.001 && c.VideoSeconds < want.video+0.0801) ||
				!(math.Abs(c.AudioSeconds-want.audio) < 0.002) {
				t.Errorf("%.3f s of picture, %.3f s of sound, want %.3f and %.3f",
					c.VideoSeconds, c.AudioSeconds, want.video, want.audio)
			}
			checkWhole(t, c, cfg)
			if c.HasAudio { // else ffprobe was asked anyway
				info, err := tools.Probe(context.Background(), path, Limits{})
				if err != nil {
					t.Fatal(err)
				}
				sameInfo(t, c.Info, info)
			}
		})
	}
}

// checkWhole holds a clip to what its type promises.
func checkWhole(t *testing.T, c *Clip, cfg DecodeConfig) {
	t.Helper()
	if c.HasVideo != (len(c.Frames) > 0) || c.HasAudio != (len(c.Samples) > 0) {
		t.Errorf("video %v, audio %v, but %d frames, %d samples",
			c.HasVideo, c.HasAudio, len(c.Frames), len(c.Samples))
	}
	if c.HasVideo && !(math.Abs(float64(len(c.Frames))-c.Seconds*cfg.FPS) <= 0.5) {
		t.Errorf("%d frames for %.3f s", len(c.Frames), c.Seconds)
	}
	if c.HasAudio && !(math.Abs(float64(len(c.Samples))-c.Seconds*float64(cfg.SampleRateHz)) <= 1) {
		t.Errorf("%d samples for %.3f s", len(c.Samples), c.Seconds)
	}
	for i, frame := range c.Frames {
		if w, h := jpegSize(t, frame); w != c.Width || h != c.Height {
			t.Fatalf("frame %d is %d × %d, the clip %d × %d", i, w, h, c.Width, c.Height)
		}
	}
}

// sameInfo compares what ffmpeg's description gave with ffprobe's answer.
func sameInfo(t *testing.T, got, want Info) {
	t.Helper()
	if got.Format != want.Format || got.Streams != want.Streams ||
		!(math.Abs(got.Seconds-want.Seconds) <= 0.011) {
		t.Errorf("described %+v, probed %+v", got, want)
	}
	if (got.Video == nil) != (want.Video == nil) || (got.Audio == nil) != (want.Audio == nil) {
		t.Fatalf("described %+v, probed %+v", got, want)
	}
	if got.Video != nil {
		g, w := *got.Video, *want.Video
		if !(math.Abs(g.FPS-w.FPS) <= 0.01*w.FPS) {
			t.Errorf("described %v frames/s, probed %v", g.FPS, w.FPS)
		}
		g.FPS, w.FPS = 0, 0
		if g != w {
			t.Errorf("described %+v, probed %+v", g, w)
		}
	}
	if got.Audio != nil {
		g, w := *got.Audio, *want.Audio
		if g.Channels == 0 { // not told by the description
			g.Channels = w.Channels
		}
		if g != w {
			t.Errorf("described %+v, probed %+v", g, w)
		}
	}
}
