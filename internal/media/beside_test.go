package media

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// besideWorkers are the clips decoded at a time, as on a machine of two cores.
const besideWorkers = 2

// cost is what a pass over the clips took.
type cost struct{ wall, cpu time.Duration }

// timed runs do for every file, by two workers, and returns the wall time and the
// processor time of this process and its children.
func timed(b *testing.B, files []string, do func(path string) error) cost {
	b.Helper()
	next := make(chan string)
	errs := make(chan error, len(files))
	before, start := processorTime(b), time.Now()
	var workers sync.WaitGroup
	for range besideWorkers {
		workers.Go(func() {
			for path := range next {
				errs <- do(path)
			}
		})
	}
	for _, path := range files {
		next <- path
	}
	close(next)
	workers.Wait()
	took := cost{time.Since(start), processorTime(b) - before}
	for range files {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	return took
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	sum := time.Duration(0)
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return sum
}

// bareFFmpeg decodes a clip with the filters and encoders of Decode, to nowhere.
func bareFFmpeg(tools Tools, path string, cfg DecodeConfig) error {
	video := []string{"-c:v", "mjpeg", "-qmin", "1", "-q:v", formatFloat(jpegScale(cfg.JPEGQuality)),
		"-f", "mjpeg", os.DevNull}
	if cfg.Raw {
		video = []string{"-c:v", "ppm", "-f", "image2pipe", os.DevNull}
	}
	args := slices.Concat([]string{"-nostdin", "-y", "-v", "error", "-threads", "1", "-i", path,
		"-map", "0:V:0", "-vf", videoFilters(cfg), "-threads", "1"}, video,
		[]string{"-map", "0:a:0", "-af", audioFilters(cfg), "-c:a", "pcm_s16be", "-f", "au", os.DevNull})
	return exec.CommandContext(context.Background(), tools.FFmpeg, args...).Run()
}

// BenchmarkDecodeBesideFFmpeg decodes clips of 3 s with Decode and with ffmpeg
// alone by turns, two at a time, and reports of each the least wall and processor
// time per clip of all turns, and ffmpeg's share of ours: 1 is as fast, less is
// slower. Our processor time is this process's and its children's.
func BenchmarkDecodeBesideFFmpeg(b *testing.B) {
	tools := findTools(b)
	misc, err := filepath.Glob(filepath.Join(sharedFile(b, "clips", "misc"), "*.mp4"))
	if err != nil || len(misc) == 0 {
		b.Fatal(len(misc), err)
	}
	sets := []struct {
		name  string
		files []string
		raw   bool
	}{{"grid", benchFiles(b), false}, {"misc", misc, false}, {"misc raw", misc, true}}
	for _, set := range sets {
		b.Run(set.name, func(b *testing.B) {
			cfg := DecodeConfig{ShortSide: 256, FPS: 12.5, SampleRateHz: 16000, JPEGQuality: 90,
				MinSeconds: 0.5, Raw: set.raw}
			var ours, bare cost
			for i := 0; b.Loop(); i++ {
				o := timed(b, set.files, func(path string) error {
					return tools.Decode(context.Background(), path, cfg, []Segment{{}},
						func(int, *Clip) error { return nil })
				})
				f := timed(b, set.files, func(path string) error {
					return bareFFmpeg(tools, path, cfg)
				})
				if i == 0 {
					ours, bare = o, f
				}
				ours = cost{min(ours.wall, o.wall), min(ours.cpu, o.cpu)}
				bare = cost{min(bare.wall, f.wall), min(bare.cpu, f.cpu)}
			}
			perClip := func(d time.Duration) float64 {
				return d.Seconds() * 1e3 / float64(len(set.files))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(perClip(ours.wall), "wall-ms/clip")
			b.ReportMetric(perClip(bare.wall), "ffmpeg-wall-ms/clip")
			b.ReportMetric(perClip(ours.cpu), "cpu-ms/clip")
			b.ReportMetric(perClip(bare.cpu), "ffmpeg-cpu-ms/clip")
			b.ReportMetric(bare.wall.Seconds()/ours.wall.Seconds(), "wall-ratio")
			b.ReportMetric(bare.cpu.Seconds()/ours.cpu.Seconds(), "cpu-ratio")
		})
	}
}
