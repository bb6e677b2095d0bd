package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"avjepa/internal/durable"
	"avjepa/internal/store"
)

// A dataset that is ingested into a store is made in a folder of this machine, its
// workplace, from which a shard goes to the store as soon as it is full and is then
// removed. What stays are ledger, settings and, for every shard that has been sent, a
// note of its size. So the same command goes on after anything that may happen to
// either side; and where the workplace is lost, it is made again from the store's
// copies, which name no clip of a shard that had not arrived.

// sentName is the note that a shard has been sent.
func sentName(n int) string { return fmt.Sprintf("shard-%06d.sent", n) }

// sent is what the note holds.
type sentNote struct {
	Bytes int64 `json:"bytes"`
}

// wasSent says whether a shard of the workplace is in the store, and its size.
func wasSent(dir string, n int) (int64, bool) {
	text, err := os.ReadFile(filepath.Join(dir, sentName(n)))
	var note sentNote
	if err != nil || json.Unmarshal(text, &note) != nil {
		return 0, false
	}
	return note.Bytes, true
}

// shardsWaiting is how many full shards may wait to be sent before ingest waits too.
const shardsWaiting = 2

// sender sends full shards while ingest goes on.
type sender struct {
	at   *store.Store
	dir  string
	tell func(bytes int64) // of every shard that has arrived

	queue chan fullShard
	done  sync.WaitGroup
	stop  context.CancelCauseFunc
	ctx   context.Context
}

// fullShard is a shard to be sent, and the bytes of the ledger that name no clip of a
// later one.
type fullShard struct {
	number int
	ledger int64
}

func newSender(ctx context.Context, at *store.Store, dir string, tell func(int64)) *sender {
	s := &sender{at: at, dir: dir, tell: tell, queue: make(chan fullShard, shardsWaiting)}
	s.ctx, s.stop = context.WithCancelCause(ctx)
	s.done.Go(func() {
		for f := range s.queue {
			if s.ctx.Err() != nil {
				continue
			}
			if err := s.send(f); err != nil {
				s.stop(err)
			}
		}
	})
	return s
}

// add takes a full shard, after a wait when several are on their way.
func (s *sender) add(f fullShard) error {
	select {
	case s.queue <- f:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// wait returns when all shards have arrived, or the reason why not.
func (s *sender) wait() error {
	close(s.queue)
	s.done.Wait()
	err := context.Cause(s.ctx)
	s.stop(nil)
	return err
}

// send sends a shard, then the ledger as far as the store has its clips.
func (s *sender) send(f fullShard) error {
	path := filepath.Join(s.dir, shardName(f.number))
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	if err := s.at.Upload(s.ctx, shardName(f.number), path, nil); err != nil {
		return fmt.Errorf("dataset: sending %s: %w", shardName(f.number), err)
	}
	if err := s.sendLedger(f.ledger); err != nil {
		return err
	}
	err = durable.WriteFile(filepath.Join(s.dir, sentName(f.number)), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(sentNote{st.Size()})
	})
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return diskError("dataset: "+path, err)
	}
	if s.tell != nil {
		s.tell(st.Size())
	}
	return nil
}

func (s *sender) sendLedger(bytes int64) error {
	if bytes == 0 {
		return nil
	}
	f, err := os.Open(filepath.Join(s.dir, ledgerFile))
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	err = s.at.Write(s.ctx, ledgerFile, func(w io.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(f, 0, bytes))
		return err
	})
	if err != nil {
		return fmt.Errorf("dataset: sending %s: %w", ledgerFile, err)
	}
	return nil
}

// sendRest sends what else belongs to a finished dataset, the index last: a reader sees
// the set as it was or as it is.
func (s *sender) sendRest(ctx context.Context) error {
	for _, name := range []string{settingsFile, classesFile, leftOutFile, duplicatesFile, ledgerFile,
		indexFile} {
		path := filepath.Join(s.dir, name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.at.Upload(ctx, name, path, nil); err != nil {
			return fmt.Errorf("dataset: sending %s: %w", name, err)
		}
	}
	return nil
}

// fetchWorkplace makes the workplace of a dataset that is in a store, when this machine
// has none.
func fetchWorkplace(ctx context.Context, at *store.Store, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, settingsFile)); err == nil {
		return nil
	}
	for _, name := range []string{classesFile, ledgerFile, settingsFile} { // what claims it comes last
		err := fetch(ctx, at, name, filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dataset: fetching %s: %w", name, err)
		}
	}
	led, err := openLedger(filepath.Join(dir, ledgerFile))
	if err != nil {
		return err
	}
	defer led.file.Close()
	for n, end := range led.ends {
		size, err := at.Size(ctx, shardName(n))
		if err != nil {
			return fmt.Errorf("dataset: %w", err)
		}
		if size != end+tarTrailer {
			return fmt.Errorf("dataset: %w: %s of %s has %d bytes, its ledger says %d", ErrCorrupt,
				shardName(n), at, size, end+tarTrailer)
		}
		err = durable.WriteFile(filepath.Join(dir, sentName(n)), func(w io.Writer) error {
			return json.NewEncoder(w).Encode(sentNote{size})
		})
		if err != nil {
			return diskError("dataset: "+dir, err)
		}
	}
	return nil
}

func fetch(ctx context.Context, at *store.Store, name, path string) error {
	r, err := at.NewReader(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	return durable.WriteFile(path, func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
}
