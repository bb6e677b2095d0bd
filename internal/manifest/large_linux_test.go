package manifest

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const large = 2_000_000

// largeList writes a list of AudioSet's form and size, and an index with files for
// four of five of its clips, in folders of ten thousand.
func largeList(b *testing.B) (path string, m *mediaIndex, indexing time.Duration) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	r := rand.New(rand.NewPCG(1, 2))
	path = filepath.Join(b.TempDir(), "unbalanced_train_segments.csv")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprint(w, "# a\n# b\n# YTID, start_seconds, end_seconds, positive_labels\n")
	m = newMediaIndex(false)
	m.roots, m.real = []string{"/media"}, []string{"/media"}
	id := make([]byte, 11)
	for i := range large {
		for k := range id {
			id[k] = letters[r.IntN(len(letters))]
		}
		start := r.IntN(60) * 10
		fmt.Fprintf(w, "%s, %d.000, %d.000, \"", id, start, start+10)
		for k := range 1 + r.IntN(4) {
			if k > 0 {
				w.WriteByte(',')
			}
			fmt.Fprintf(w, "/m/0%d", r.IntN(527))
		}
		w.WriteString("\"\n")
		if i%5 == 0 {
			continue
		}
		name := fmt.Sprintf("%s_%d_%d.mp4", id, start*1000, (start+10)*1000)
		began := time.Now()
		if err := m.add("/media", strconv.Itoa(i/10000), name, false); err != nil {
			b.Fatal(err)
		}
		indexing += time.Since(began)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return path, m, indexing
}

// cpu is the processor time that the process has taken.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakHeap returns a function that stops watching and returns the most bytes of heap
// there were, as the runtime's own figure has them at every tick.
func peakHeap() func() float64 {
	stop, most := make(chan bool), make(chan float64)
	go func() {
		peak := uint64(0)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			peak = max(peak, s.HeapInuse)
			select {
			case <-tick.C:
			case <-stop:
				most <- float64(peak)
				return
			}
		}
	}()
	return func() float64 {
		stop <- true
		return <-most
	}
}

func BenchmarkLargeList(b *testing.B) {
	path, m, indexing := largeList(b)
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	b.ReportMetric(0, "ns/op")
	index := float64(s.HeapInuse)
	var reading, readingCPU, choosing, drawing time.Duration
	peak := 0.0
	for b.Loop() {
		heap := peakHeap()
		began, before := time.Now(), cpu(b)
		r := &reader{indexes: map[string]*mediaIndex{filepath.Dir(path): m}}
		if err := r.readList(path); err != nil {
			b.Fatal(err)
		}
		list, err := r.list()
		if err != nil {
			b.Fatal(err)
		}
		reading += time.Since(began)
		readingCPU += cpu(b) - before
		peak = max(peak, heap())
		if list.Missing() != large/5 || len(list.Entries) != large || list.Bad.Count > 0 {
			b.Fatalf("%d of %d missing", list.Missing(), len(list.Entries))
		}
		began = time.Now()
		if err := list.Select(Filter{Labels: []string{"/m/01", "/m/02"}, Splits: []string{"train"}}); err != nil {
			b.Fatal(err)
		}
		choosing += time.Since(began)
		if list, err = r.list(); err == nil {
			began = time.Now()
			err = list.Select(Filter{PerClass: 100, Limit: 10000})
			drawing += time.Since(began)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	n := float64(b.N)
	b.ReportMetric(indexing.Seconds(), "s-index")
	b.ReportMetric(index/(1<<20), "MiB-index")
	b.ReportMetric(reading.Seconds()/n, "s-read")
	b.ReportMetric(readingCPU.Seconds()/n, "cpu-s-read")
	b.ReportMetric(choosing.Seconds()/n, "s-filter")
	b.ReportMetric(drawing.Seconds()/n, "s-balance+limit")
	b.ReportMetric(peak/(1<<20), "MiB-peak")
}

// BenchmarkWalk walks real files, in folders of a thousand.
func BenchmarkWalk(b *testing.B) {
	const files = 50_000
	dir := b.TempDir()
	for i := range files {
		folder := filepath.Join(dir, strconv.Itoa(i/1000))
		if i%1000 == 0 {
			if err := os.Mkdir(folder, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		write(b, filepath.Join(folder, fmt.Sprintf("abcdefg%04d_%06d.mp4", i%10000, i)), "")
	}
	for b.Loop() {
		m, err := indexMedia([]string{dir}, false)
		if err != nil || len(m.files) != files {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(files)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}
