package dataset

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"avjepa/internal/durable"
)

// Clips are made durable in batches: this many, this many bytes, or this often,
// whatever comes first. A batch is what a kill costs.
const (
	batchClips    = 128
	batchBytes    = 64 << 20
	batchInterval = 2 * time.Second
)

// writer is the one goroutine that touches the dataset's files.
type writer struct {
	cfg      *IngestConfig
	ledger   *ledger
	shards   *shardWriter
	sender   *sender       // nil: shards stay
	pending  []*ledgerLine // clips in the shard that the ledger does not name yet
	unsynced int64         // bytes of these
	progress Progress
}

// drain writes results until there are no more, a batch at a time.
func (w *writer) drain(results <-chan result, buffers *sync.Pool) error {
	tick := time.NewTicker(batchInterval)
	defer tick.Stop()
	for {
		select {
		case r, ok := <-results:
			if !ok {
				return w.flush()
			}
			if err := w.add(r); err != nil {
				return err
			}
			if r.record != nil {
				buffers.Put(&r.record)
			}
		case <-tick.C:
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
}

func (w *writer) add(r result) error {
	if c := r.line.Clip; c != nil {
		var err error
		if c.Shard, c.Offset, err = w.shards.append(r.record); err != nil {
			return err
		}
		w.unsynced += int64(len(r.record))
		w.at("record written")
	}
	w.pending = append(w.pending, r.line)
	if _, again := w.ledger.clips[r.line.Key]; again { // it was missing
		w.progress.LeftOut--
	}
	if r.line.Key == "" {
		w.progress.Files++
		w.progress.Bytes += r.bytes
	} else {
		w.count(r.line)
	}
	w.report()
	if len(w.pending) >= batchClips || w.unsynced >= batchBytes || w.shards.full() {
		return w.flush()
	}
	return nil
}

// flush makes the pending clips part of the dataset: first their bytes, then
// their lines. A full shard is ended.
func (w *writer) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	if w.unsynced > 0 {
		if err := w.shards.sync(); err != nil {
			return err
		}
	}
	w.at("shard synced")
	if err := w.ledger.append(w.pending, w.cfg.crash); err != nil {
		return err
	}
	w.pending, w.unsynced = w.pending[:0], 0
	w.at("ledger written")
	if w.shards.full() {
		if err := w.finishShard(); err != nil {
			return err
		}
		w.at("shard finished")
	}
	return nil
}

// finishShard ends the open shard, if there is one, and sends it where it belongs.
func (w *writer) finishShard() error {
	if w.shards.file == nil {
		return nil
	}
	n := w.shards.number
	if err := w.shards.finish(); err != nil || w.sender == nil {
		return err
	}
	ledger, err := w.ledger.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return w.sender.add(fullShard{n, ledger})
}

// beginSending starts to send shards, first those that an earlier ingest could not.
func (w *writer) beginSending(ctx context.Context) error {
	if w.cfg.Store == nil {
		return nil
	}
	w.sender = newSender(ctx, w.cfg.Store, w.cfg.Dir, w.cfg.Sent)
	// Settings go first: they tell whoever goes on what the shards are of.
	settings := filepath.Join(w.cfg.Dir, settingsFile)
	if err := w.cfg.Store.Upload(ctx, settingsFile, settings, nil); err != nil {
		return w.endSending(fmt.Errorf("dataset: sending %s: %w", settingsFile, err))
	}
	for n := range w.shards.number {
		if _, sent := wasSent(w.cfg.Dir, n); sent {
			continue
		}
		// Which lines of the ledger are about later shards is not known any more.
		if err := w.sender.add(fullShard{n, 0}); err != nil {
			return w.endSending(err)
		}
	}
	return nil
}

// endSending waits for the shards on their way and returns err, or else what kept them.
func (w *writer) endSending(err error) error {
	if w.sender == nil {
		return err
	}
	if err != nil {
		w.sender.stop(err)
	}
	return cmp.Or(err, w.sender.wait())
}

// close ends the last shard, writes what was left out and the near duplicates, and, as
// the last of all, the index. It completes the summary.
func (w *writer) close(ctx context.Context, sum *Summary) error {
	if err := w.finishShard(); err != nil {
		return err
	}
	w.at("last shard finished")
	if err := writeLeftOut(w.cfg.Dir, sum.LeftOut); err != nil {
		return err
	}
	clips := w.ledger.kept()
	slices.SortFunc(clips, byKey)
	var err error
	if sum.Duplicates, err = findDuplicates(ctx, clips); err != nil {
		return err
	}
	if err := writeDuplicates(w.cfg.Dir, sum.Duplicates); err != nil {
		return err
	}
	w.at("duplicates written")
	err = durable.WriteFile(filepath.Join(w.cfg.Dir, indexFile), func(f io.Writer) error {
		return writeIndex(f, clips)
	})
	w.at("index written")
	return err
}

func (w *writer) count(line *ledgerLine) {
	if line.Clip != nil {
		w.progress.Clips++
	} else {
		w.progress.LeftOut++
	}
}

func (w *writer) report() {
	if w.cfg.Progress != nil {
		w.cfg.Progress(w.progress)
	}
}

func (w *writer) at(point string) {
	if w.cfg.crash != nil {
		w.cfg.crash(point)
	}
}
