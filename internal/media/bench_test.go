package media

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// benchFiles returns 20 clips of 3 s, 224 × 224 at 12.5 frames/s, AAC 16 kHz.
func benchFiles(b *testing.B) []string {
	files, err := filepath.Glob(filepath.Join(sharedFile(b, "clips", "grid_s1"), "*.mp4"))
	if err != nil || len(files) < 20 {
		b.Fatal(len(files), err)
	}
	return files[:20]
}

func BenchmarkDecode(b *testing.B) {
	tools := findTools(b)
	files := benchFiles(b)
	cfg := DecodeConfig{ShortSide: 256, FPS: 12.5, SampleRateHz: 16000, MinSeconds: 0.5}
	for i := 0; b.Loop(); i++ {
		if c := decodeWhole(b, tools, files[i%len(files)], cfg); c.Outcome != Usable {
			b.Fatal(c.Outcome, c.Reason)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "clips/s")
}

// BenchmarkNull is the peer: ffmpeg alone, decoding the same files to nothing.
func BenchmarkNull(b *testing.B) {
	tools := findTools(b)
	files := benchFiles(b)
	for i := 0; b.Loop(); i++ {
		cmd := exec.CommandContext(context.Background(), tools.FFmpeg, "-nostdin", "-v", "error",
			"-threads", "1", "-i", files[i%len(files)], "-threads", "1", "-f", "null", "-")
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "clips/s")
}

func BenchmarkProbe(b *testing.B) {
	tools := findTools(b)
	files := benchFiles(b)
	for i := 0; b.Loop(); i++ {
		if _, err := tools.Probe(context.Background(), files[i%len(files)], Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "clips/s")
}
