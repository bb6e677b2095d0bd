package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"avjepa/internal/manifest"
	"avjepa/internal/media"
)

const ledgerFile = "ledger.jsonl"

// ledgerLine is the fate of one clip; or, when Key is empty, the note that a
// source has been dealt with; or the note that from here on clips that were left
// out are tried again.
type ledgerLine struct {
	Source  string        `json:"source,omitempty"` // absolute path
	Key     string        `json:"key,omitempty"`
	Start   float64       `json:"start,omitempty"`
	End     float64       `json:"end,omitempty"`
	Outcome media.Outcome `json:"outcome,omitempty"` // of a source: Missing or none
	Reason  string        `json:"reason,omitempty"`
	Clip    *Info         `json:"clip,omitempty"` // where it lies, when it was kept

	Whole bool   `json:"whole,omitempty"` // source: taken as a whole, not by parts
	Hash  string `json:"hash,omitempty"`  // source: fingerprint of its content
	Split string `json:"split,omitempty"` // source

	Retry bool `json:"retry,omitempty"`
}

// ledger is the record of an ingest: in memory by key and source, on disk as an
// append-only file of lines.
type ledger struct {
	file    *os.File
	clips   map[string]*ledgerLine // by key
	order   []string               // keys in order of their first line
	sources map[string]*ledgerLine // by path
	ends    map[int]int64          // of the last record of each shard
}

// openLedger reads the ledger at path, creating it when there is none. A last
// line without its end was torn by a crash and is cut off. A line that cannot be
// read is ErrCorrupt.
func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	l := &ledger{
		file:    f,
		clips:   make(map[string]*ledgerLine),
		sources: make(map[string]*ledgerLine),
		ends:    make(map[int]int64),
	}
	good, err := l.read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("dataset: %s: %w: %w; without that line and what follows it, "+
			"ingest goes on from there", path, ErrCorrupt, err)
	}
	if err = f.Truncate(good); err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return l, nil
}

// read applies every complete line of r and returns the bytes they take.
func (l *ledger) read(r io.Reader) (good int64, err error) {
	blocks, tail, err := readBlocks(r, math.MaxInt, readLines)
	if err != nil {
		return 0, err
	}
	if n := len(blocks); n > 0 && blocks[n-1].long && len(tail) > 0 {
		blocks = blocks[:n-1] // a torn line may be long, a written one not
	}
	n := 0
	for _, k := range blocks {
		good += int64(k.bytes)
		for i := range k.items {
			n++
			if err := l.apply(&k.items[i]); err != nil {
				return 0, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if k.err != nil {
			return 0, fmt.Errorf("line %d: %w", n+1, k.err)
		}
	}
	return good, nil
}

// readLines reads a block of the ledger.
func readLines(b *blockReader, k *block[ledgerLine]) {
	clips := make([]Info, 0, bytes.Count(k.text, []byte(`"clip":{`)))
	for rest := k.text; len(rest) > 0 && k.err == nil; {
		end := bytes.IndexByte(rest, '\n')
		line := rest[:end]
		rest = rest[end+1:]
		n := len(k.items)
		k.items = k.items[:n+1]
		switch to := &k.items[n]; {
		case len(line)+1 > maxLineBytes:
			k.err = errTooLong
		case b.readLine(to, line, &clips):
		default:
			*to = ledgerLine{}
			dec := json.NewDecoder(bytes.NewReader(line))
			dec.DisallowUnknownFields()
			k.err = dec.Decode(to)
		}
		if k.err != nil {
			k.items = k.items[:n]
		}
	}
	b.settle()
	for i := range k.items {
		if err := k.items[i].check(); err != nil {
			k.items, k.err = k.items[:i], err
			return
		}
	}
}

// readLine sets l to a line that append wrote, its clip to the next of clips, or says
// that it did not.
func (b *blockReader) readLine(l *ledgerLine, line []byte, clips *[]Info) bool {
	n, kept := len(*clips), len(b.kept)
	c := cursor{rest: line, b: b}
	var clip *Info
	if n < cap(*clips) {
		*clips = (*clips)[:n+1]
		clip = &(*clips)[n]
	}
	c.line(l, clip)
	if l.Clip == nil && n < cap(*clips) || !c.done() {
		*clips = (*clips)[:n]
	}
	if c.done() {
		return true
	}
	if clip != nil {
		*clip = Info{}
	}
	b.undo(kept)
	return false
}

// check reports what no append can have written.
func (l *ledgerLine) check() error {
	switch c := l.Clip; {
	case l.Retry || l.Key == "":
		return nil
	case c == nil:
		return manifest.CheckKey(l.Key)
	case c.Key != l.Key:
		return fmt.Errorf("clip %q in the line of %q", c.Key, l.Key)
	default:
		return c.validate()
	}
}

// apply takes a line that check accepts into the books. A later line replaces an earlier one of the
// same key, unless that was kept: a clip is kept once.
func (l *ledger) apply(line *ledgerLine) error {
	if line.Retry {
		l.forgetLeftOut()
		return nil
	}
	if line.Key == "" {
		l.sources[line.Source] = line
		return nil
	}
	before, known := l.clips[line.Key]
	if known && before.Clip != nil {
		return fmt.Errorf("clip %q for the second time", line.Key)
	}
	if c := line.Clip; c != nil {
		if c.Offset < l.ends[c.Shard] {
			return fmt.Errorf("clip %q overlaps the one before it in %s", c.Key, shardName(c.Shard))
		}
		l.ends[c.Shard] = c.Offset + c.Bytes
	}
	if !known {
		l.order = append(l.order, line.Key)
	}
	l.clips[line.Key] = line
	return nil
}

// encodeLines returns lines as the ledger holds them.
func encodeLines(lines []*ledgerLine) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, line := range lines {
		if err := enc.Encode(line); err != nil {
			panic("dataset: ledger: " + err.Error())
		}
	}
	return buf.Bytes()
}

// append writes lines durably and applies them. The bytes of the clips they name
// must have been synced before.
func (l *ledger) append(lines []*ledgerLine, crash func(point string)) error {
	text := encodeLines(lines)
	if crash != nil {
		if _, err := l.file.Write(text[:len(text)/2]); err != nil {
			return err
		}
		crash("ledger torn")
		text = text[len(text)/2:]
	}
	if _, err := l.file.Write(text); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	for _, line := range lines {
		if err := errors.Join(line.check(), l.apply(line)); err != nil {
			panic("dataset: ledger: " + err.Error())
		}
	}
	return nil
}

// kept returns the clips of the set in order of ingest.
func (l *ledger) kept() []Info {
	var clips []Info
	for _, key := range l.order {
		if c := l.clips[key].Clip; c != nil {
			clips = append(clips, *c)
		}
	}
	return clips
}

// forgetLeftOut drops what is known about clips that were not kept, and about
// their sources, so that they are tried again: also about sources that gave no clip,
// because theirs had been left out when they were still missing.
func (l *ledger) forgetLeftOut() {
	gave := make(map[string]bool)
	for _, line := range l.clips {
		gave[line.Source] = gave[line.Source] || line.Clip != nil
	}
	for path := range l.sources {
		if !gave[path] {
			delete(l.sources, path)
		}
	}
	order := l.order[:0]
	for _, key := range l.order {
		if line := l.clips[key]; line.Clip == nil {
			delete(l.clips, key)
			delete(l.sources, line.Source)
		} else {
			order = append(order, key)
		}
	}
	l.order = order
}
