package dataset

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// manyClips returns n clips as an ingest of films leaves them: 500 to a shard, in
// shards by order of ingest, which is not that of the keys.
func manyClips(n int) []Info {
	r := rand.New(rand.NewPCG(1, 2))
	clips := make([]Info, n)
	ends := make([]int64, (n+499)/500)
	for i := range clips {
		at := i &^ 7
		at += (i*5 + 3) % 8 // workers finish out of order
		shard := min(at, n-1) / 500
		bytes := int64(300<<10+r.IntN(300<<10)) / tarBlock * tarBlock
		clips[i] = Info{Key: fmt.Sprintf("train/v_%08d_%03d", i, i%300), Split: "train",
			Labels: []string{fmt.Sprintf("class %d", r.IntN(309))}, Source: fmt.Sprintf("v_%08d.mp4", i),
			Start: float64(i%300) * .5, Seconds: 10, FPS: 8, FrameCount: 80, Width: 456, Height: 256,
			SampleRateHz: 16000, SampleCount: 160000, Row: i, Shard: shard, Offset: ends[shard],
			Bytes: bytes, CRC: r.Uint32()}
		ends[shard] += bytes
	}
	return clips
}

// makeMany writes the index of n clips and shards that have their sizes alone.
func makeMany(tb testing.TB, dir string, n int) {
	tb.Helper()
	clips := manyClips(n)
	f, err := os.Create(filepath.Join(dir, indexFile))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	if err := writeIndex(f, clips); err != nil {
		tb.Fatal(err)
	}
	sizes := map[int]int64{}
	for _, c := range clips {
		sizes[c.Shard] = max(sizes[c.Shard], c.Offset+c.Bytes)
	}
	for shard, size := range sizes {
		path := filepath.Join(dir, shardName(shard))
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			tb.Fatal(err)
		}
		if err := os.Truncate(path, size+tarTrailer); err != nil {
			tb.Fatal(err)
		}
	}
}

// heap returns the bytes of the Go heap that are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkOpen opens the set of so many clips, and says what a clip of it takes in
// memory beside its strings.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{20_000, 2_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			makeMany(b, dir, n)
			before := heap()
			var s *Set
			for b.Loop() {
				s = nil
				var err error
				if s, err = Open(dir); err != nil {
					b.Fatal(err)
				}
			}
			text := 0
			for i := range s.Len() {
				f := s.Info(i)
				text += len(f.Key) + len(f.Source)
			}
			b.ReportMetric(float64(heap()-before-int64(text))/float64(n), "B/clip")
			runtime.KeepAlive(s)
		})
	}
}

// BenchmarkOpenLedger reads the ledger of so many kept clips, each of a file of its
// own, as an ingest does that goes on.
func BenchmarkOpenLedger(b *testing.B) {
	for _, n := range []int{20_000, 2_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), ledgerFile)
			writeManyLines(b, path, n)
			for b.Loop() {
				l, err := openLedger(path)
				if err != nil {
					b.Fatal(err)
				}
				if len(l.clips) != n {
					b.Fatalf("%d clips", len(l.clips))
				}
				l.file.Close()
			}
		})
	}
}

func writeManyLines(tb testing.TB, path string, n int) {
	tb.Helper()
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	buf := bufio.NewWriter(f)
	defer buf.Flush()
	clips := manyClips(n)
	var lines [2]*ledgerLine
	for i := range clips {
		c := &clips[i]
		source := "/data/films/" + c.Source
		lines[0] = &ledgerLine{Source: source, Key: c.Key, Start: c.Start, End: c.Start + 10,
			Outcome: "usable", Clip: c}
		lines[1] = &ledgerLine{Source: source, Whole: true, Hash: fmt.Sprintf("%032x", i), Split: "train"}
		if _, err := buf.Write(encodeLines(lines[:])); err != nil {
			tb.Fatal(err)
		}
	}
}
