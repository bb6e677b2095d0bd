package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"avjepa/internal/durable"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/neardup"
	"avjepa/internal/store"
)

// IngestConfig says what to ingest, and where to.
type IngestConfig struct {
	Dir      string            // the dataset's folder; made when absent
	Store    *store.Store      // where shards go as they fill, Dir being their workplace; nil = they stay
	Sent     func(bytes int64) // of every shard that has arrived there; may be nil
	Entries  []manifest.Entry
	Classes  []manifest.Class // in class order; nil = the labels of the clips, sorted
	Decoder  Decoder
	Settings Settings
	Limits   media.Limits // zero fields: media's defaults
	Workers  int          // sources decoded at a time; 0 = one per core

	// RetryLeftOut tries clips again that an earlier ingest left out.
	RetryLeftOut bool

	// Progress, when set, is called from the goroutine of Ingest after every
	// clip and source; it should return at once.
	Progress func(Progress)

	crash func(point string) // tests: called at every step of the writer
}

// Progress counts what has been dealt with, earlier ingests included.
type Progress struct {
	Files, FilesTotal int
	Clips, LeftOut    int
	Bytes, BytesTotal int64 // of source files
}

// DefaultIngestConfig returns the settings that pretraining expects: short side
// 256, 8 frames a second, 16 kHz, clips of 10 s with picture and sound.
func DefaultIngestConfig() IngestConfig {
	return IngestConfig{Settings: Settings{
		ShortSide: 256, FPS: 8, SampleRateHz: 16000, MinSeconds: 0.5, JPEGQuality: 90,
		SilenceDB: -84, ClipSeconds: 10, ValFraction: 0.1, ShardBytes: 1 << 30,
		Keep: []media.Outcome{media.Usable},
	}}
}

// Ingest decodes the entries into the dataset at cfg.Dir. Run again with the same
// settings it goes on where it was stopped or killed, and takes up what entries
// have been added; what the folder already has is not decoded again. A broken
// file is a line in the summary, never an error.
//
// Errors: manifest.ErrEmpty, ErrLocked, ErrSettings, ErrCorrupt, ErrNotDataset (the folder
// has somebody else's shards), ErrDiskFull, manifest.ErrManifest (a key names another
// source than before), ErrNoClips (with the summary), ctx's and the decoder's.
// After ErrDiskFull and ctx's the same call goes on.
func Ingest(ctx context.Context, cfg IngestConfig) (Summary, error) {
	if err := cfg.Settings.validate(); err != nil {
		return Summary{}, fmt.Errorf("dataset: settings: %w", err)
	}
	if len(cfg.Entries) == 0 {
		return Summary{}, fmt.Errorf("dataset: %w", manifest.ErrEmpty)
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return Summary{}, diskError("dataset", err)
	}
	unlock, err := lock(cfg.Dir)
	if err != nil {
		return Summary{}, err
	}
	defer unlock()
	if err := durable.RemoveTemporary(cfg.Dir); err != nil {
		return Summary{}, fmt.Errorf("dataset: %w", err)
	}
	if cfg.Store != nil {
		if err := fetchWorkplace(ctx, cfg.Store, cfg.Dir); err != nil {
			return Summary{}, err
		}
	}
	if err := claim(cfg.Dir, &cfg.Settings); err != nil {
		return Summary{}, err
	}
	if err := keepClasses(cfg.Dir, cfg.Classes); err != nil {
		return Summary{}, err
	}
	led, err := openLedger(filepath.Join(cfg.Dir, ledgerFile))
	if err != nil {
		return Summary{}, err
	}
	defer led.file.Close()
	shards, err := resumeShards(cfg.Dir, cfg.Settings.ShardBytes, led.ends)
	if err != nil {
		return Summary{}, err
	}
	w := &writer{cfg: &cfg, ledger: led, shards: shards}
	if err := w.beginSending(ctx); err != nil {
		return Summary{}, err
	}
	if err := w.ingest(ctx); err != nil {
		shards.abandon()
		return led.summary(), w.endSending(err)
	}
	sum := led.summary()
	if err := w.close(ctx, &sum); err != nil {
		return sum, diskError("dataset: "+cfg.Dir, w.endSending(err))
	}
	if err := w.endSending(nil); err != nil {
		return sum, err
	}
	if w.sender != nil {
		if err := w.sender.sendRest(ctx); err != nil {
			return sum, err
		}
	}
	if sum.Clips == 0 {
		return sum, fmt.Errorf("dataset: %w: all %d clips were left out, the first because: %s; "+
			"%s has them all", ErrNoClips, len(sum.LeftOut), firstReason(sum.LeftOut),
			filepath.Join(cfg.Dir, leftOutFile))
	}
	return sum, nil
}

func firstReason(rows []LeftOut) string {
	if len(rows) == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%s: %s", rows[0].Outcome, rows[0].Reason)
}

// ingest decodes what the ledger lacks and writes it.
func (w *writer) ingest(ctx context.Context) error {
	if err := checkEntries(w.cfg.Entries, w.ledger); err != nil {
		return err
	}
	if w.cfg.RetryLeftOut {
		if err := w.ledger.append([]*ledgerLine{{Retry: true}}, w.cfg.crash); err != nil {
			return diskError("dataset: "+w.cfg.Dir, err)
		}
	}
	jobs := w.openJobs()
	w.report()
	n := w.cfg.Workers
	if n <= 0 {
		n = runtime.NumCPU()
	}
	n = max(1, min(n, len(jobs)))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make(chan result, n)
	worker := w.newWorker(results)
	queue := make(chan *job, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for j := range queue {
				if ctx.Err() != nil {
					return
				}
				if err := worker.run(ctx, j); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	go func() {
		wg.Wait()
		close(results)
	}()
	err := w.drain(results, worker.buffers)
	if err != nil {
		cancel(err)
		for range results { // let the workers go
		}
		return diskError("dataset: "+w.cfg.Dir, err)
	}
	if err := context.Cause(ctx); errors.Is(err, context.Canceled) {
		return fmt.Errorf("dataset: stopped; the same command goes on from here: %w", err)
	}
	return context.Cause(ctx)
}

// newWorker returns the worker that all goroutines share.
func (w *writer) newWorker(results chan<- result) *worker {
	known, missing := make(map[string]bool, len(w.ledger.clips)), make(map[string]bool)
	for key, line := range w.ledger.clips {
		if line.Outcome == media.Missing {
			missing[key] = true
		} else {
			known[key] = true
		}
	}
	s := &w.cfg.Settings
	return &worker{
		settings: s,
		decode: media.DecodeConfig{
			ShortSide: s.ShortSide, FPS: s.FPS, SampleRateHz: s.SampleRateHz,
			MinSeconds: s.MinSeconds, JPEGQuality: s.JPEGQuality, SilenceDB: s.SilenceDB,
			Limits: w.cfg.Limits,
		},
		decoder: w.cfg.Decoder, known: known, missing: missing, results: results,
		buffers: &sync.Pool{New: func() any { return new([]byte) }},
		makers:  &sync.Pool{New: func() any { return neardup.NewMaker(s.SampleRateHz) }},
	}
}

// openJobs returns the sources that are not finished, and counts the others. A source
// that was missing and is there now is not finished.
func (w *writer) openJobs() []*job {
	jobs := plan(w.cfg.Entries)
	w.progress.FilesTotal = len(jobs)
	for _, line := range w.ledger.clips {
		w.count(line)
	}
	missing := func(key string) bool {
		line, ok := w.ledger.clips[key]
		return ok && line.Outcome == media.Missing
	}
	return slices.DeleteFunc(jobs, func(j *job) bool {
		here := false
		if st, err := os.Stat(j.path); err == nil {
			j.bytes, here = st.Size(), j.missing == ""
		}
		w.progress.BytesTotal += j.bytes
		src, ok := w.ledger.sources[plainText(j.path)]
		done := ok && (src.Whole || j.whole == nil)
		for _, p := range j.parts {
			_, have := w.ledger.clips[p.Key]
			done = done && have && !(here && missing(p.Key))
		}
		if j.whole != nil && here && missing(j.whole.Key) {
			done = false
		}
		if done {
			w.progress.Files++
			w.progress.Bytes += j.bytes
		}
		return done
	})
}
