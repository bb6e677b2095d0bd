package dataset

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"avjepa/internal/manifest"
)

const (
	indexFile    = "index.jsonl"
	maxLineBytes = 64 << 10
	maxClips     = manifest.MaxClips
)

// writeIndex writes one line per clip.
func writeIndex(w io.Writer, clips []Info) error {
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	for i := range clips {
		if err := enc.Encode(&clips[i]); err != nil {
			return err
		}
	}
	return buf.Flush()
}

// readIndex reads what writeIndex wrote, but for the signatures, which are long and
// which nobody compares once a set is made, and returns it in the order of keys. Every
// line must be a valid Info and keys must differ; all of it is bounded.
func readIndex(r io.Reader) ([]Info, error) {
	blocks, tail, err := readBlocks(r, maxClips, readInfos)
	lines := 0
	for _, k := range blocks {
		lines += len(k.items)
		if k.err != nil {
			return nil, fmt.Errorf("line %d: %w", lines+1, k.err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", lines+1, err)
	}
	if len(tail) > 0 { // a last line without its end
		b := &blockReader{labels: map[string][]string{}, words: map[string]string{}, shared: newShared()}
		k := &block[Info]{text: tail, items: make([]Info, 0, 1)}
		if readInfos(b, k); k.err != nil {
			return nil, fmt.Errorf("line %d: %w", lines+1, k.err)
		}
		blocks, lines = append(blocks, k), lines+1
	}
	if lines > maxClips {
		return nil, fmt.Errorf("more than %d clips", maxClips)
	}
	clips := make([]Info, 0, lines)
	for i, k := range blocks {
		clips = append(clips, k.items...)
		blocks[i] = nil // for the garbage collector
	}
	return sortByKey(clips)
}

// readInfos reads a block of the index.
func readInfos(b *blockReader, k *block[Info]) {
	b.unsigned = true
	for rest := k.text; len(rest) > 0 && k.err == nil; {
		line := rest
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line = rest[:end]
		}
		rest = rest[min(len(line)+1, len(rest)):]
		n := len(k.items)
		k.items = k.items[:n+1]
		if len(line) >= maxLineBytes {
			k.err = errTooLong
		} else if !b.readInfo(&k.items[n], line) {
			k.err = parseInfo(&k.items[n], line, b.shared)
		}
		if k.err != nil {
			k.items = k.items[:n]
		}
	}
	b.settle()
	for i := range k.items {
		if err := k.items[i].validate(); err != nil {
			k.items, k.err = k.items[:i], err
			return
		}
	}
}

// readInfo sets f to a line that writeIndex wrote, or says that it did not.
func (b *blockReader) readInfo(f *Info, line []byte) bool {
	kept := len(b.kept)
	c := cursor{rest: line, b: b}
	c.clip(f)
	if c.done() {
		return true
	}
	b.undo(kept)
	return false
}

// parseInfo sets f to any line of JSON that is an Info.
func parseInfo(f *Info, line []byte, shared *sharedStrings) error {
	*f = Info{}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f); err != nil {
		return fmt.Errorf("%v", err)
	}
	if dec.More() {
		return fmt.Errorf("more than one value")
	}
	f.Labels, f.Split, f.Signature = shared.labelsOf(f.Labels), shared.word(f.Split), ""
	return nil
}

// sortByKey returns clips, given in order of lines, in the order of their keys, which
// must differ.
func sortByKey(clips []Info) ([]Info, error) {
	sorted := true
	for i := 1; i < len(clips) && sorted; i++ {
		sorted = clips[i-1].Key < clips[i].Key
	}
	if sorted {
		return clips, nil
	}
	order := make([]int32, len(clips)) // an Info is long: move each once
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(clips[a].Key, clips[b].Key), cmp.Compare(a, b))
	})
	out, again := make([]Info, len(clips)), int32(-1)
	for i, at := range order {
		out[i] = clips[at]
		if i > 0 && out[i].Key == out[i-1].Key && (again < 0 || at < again) {
			again = at
		}
	}
	if again >= 0 {
		return nil, fmt.Errorf("line %d: key %q for the second time", again+1, clips[again].Key)
	}
	return out, nil
}

// checkOverlap returns an error when two clips share bytes of a shard.
func checkOverlap(clips []Info) error {
	last := 0
	for i := range clips {
		last = max(last, clips[i].Shard)
	}
	ends := make([]int32, last+2) // in byShard, of the clips of each shard
	for i := range clips {
		ends[clips[i].Shard+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	byShard := make([]int32, len(clips))
	for i := range clips { // moves each start to its end, which is the next one's start
		at := &ends[clips[i].Shard]
		byShard[*at] = int32(i)
		*at++
	}
	start := int32(0)
	for _, end := range ends[:last+1] {
		own := byShard[start:end]
		slices.SortFunc(own, func(a, b int32) int {
			return cmp.Compare(clips[a].Offset, clips[b].Offset)
		})
		for i := 1; i < len(own); i++ {
			a, b := &clips[own[i-1]], &clips[own[i]]
			if a.Offset+a.Bytes > b.Offset {
				return fmt.Errorf("clips %s and %s overlap at byte %d of %s",
					a.Key, b.Key, b.Offset, shardName(a.Shard))
			}
		}
		start = end
	}
	return nil
}
