package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

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

// readIndex reads what writeIndex wrote. Every line must be a valid Info, keys
// must differ, and no two clips may share bytes of a shard; all of it is bounded.
func readIndex(r io.Reader) ([]Info, error) {
	var clips []Info
	seen := make(map[string]bool)
	interned := make(map[string]string)
	intern := func(s string) string {
		if t, ok := interned[s]; ok {
			return t
		}
		interned[s] = s
		return s
	}
	sets := labelSets{}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), maxLineBytes)
	line := 0
	for sc.Scan() {
		line++
		var f Info
		dec := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			return nil, fmt.Errorf("line %d: %v", line, err)
		}
		if dec.More() {
			return nil, fmt.Errorf("line %d: more than one value", line)
		}
		if err := f.validate(); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if seen[f.Key] {
			return nil, fmt.Errorf("line %d: key %q for the second time", line, f.Key)
		}
		if len(clips) == maxClips {
			return nil, fmt.Errorf("more than %d clips", maxClips)
		}
		seen[f.Key] = true
		f.Labels, f.Split = sets.intern(f.Labels), intern(f.Split)
		clips = append(clips, f)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", line+1, err)
	}
	return clips, nil
}

// labelSets holds every combination of labels once: a set of millions of clips has
// few.
type labelSets map[string][]string

func (m labelSets) intern(labels []string) []string {
	if len(labels) == 0 {
		return nil
	}
	name := strings.Join(labels, "\n")
	if there, ok := m[name]; ok {
		return there
	}
	m[name] = labels
	return labels
}
