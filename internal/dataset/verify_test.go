package dataset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/media"
)

func verify(t *testing.T, dir string, decode bool) dataset.Verified {
	t.Helper()
	v, err := dataset.Verify(t.Context(), dataset.VerifyConfig{Dir: dir, Decode: decode, Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// smallSet makes a set of several shards and returns its folder.
func smallSet(t testing.TB, clips int) string {
	t.Helper()
	dir := t.TempDir()
	datasettest.Make(t, datasettest.Config{Dir: dir, Clips: clips, Seconds: .5, ShardBytes: 100_000,
		Keep: []media.Outcome{media.NoAudio, media.NoVideo},
		Alter: func(i int, c *media.Clip) {
			switch i % 5 {
			case 3:
				c.Frames, c.Outcome = nil, media.NoVideo
			case 4:
				c.Samples, c.Outcome = nil, media.NoAudio
			}
		}})
	return dir
}

func readAll(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeAll(t testing.TB, b []byte, parts ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(parts...), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyGoodSet(t *testing.T) {
	dir := smallSet(t, 20)
	v := verify(t, dir, true)
	if len(v.Faults) > 0 || v.Clips != 20 || v.Broken != 0 || !v.Ledger || v.Shards < 2 || v.Bytes == 0 {
		t.Errorf("%+v", v)
	}
	var last int64
	_, err := dataset.Verify(t.Context(), dataset.VerifyConfig{Dir: dir, Workers: 1,
		Progress: func(done, total int64, broken int) {
			if done < last || total != v.Bytes || broken != 0 {
				t.Errorf("progress %d of %d, %d broken", done, total, broken)
			}
			last = done
		}})
	if err != nil || last != v.Bytes {
		t.Errorf("progress ends at %d of %d (%v)", last, v.Bytes, err)
	}
}

// Every bit of shards and index counts.
func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	dir := smallSet(t, 10)
	r := rand.New(rand.NewPCG(1, 2))
	names, err := filepath.Glob(filepath.Join(dir, "shard-*.tar"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	for _, path := range append(names, filepath.Join(dir, "index.jsonl")) {
		good := readAll(t, path)
		flip := func(at int) {
			bad := slices.Clone(good)
			bad[at/8] ^= 1 << (at % 8)
			writeAll(t, bad, path)
			if v := verify(t, dir, false); len(v.Faults) == 0 {
				t.Errorf("%s: bit %d flipped unnoticed", filepath.Base(path), at)
			}
		}
		for range 150 {
			flip(r.IntN(8 * len(good)))
		}
		for i := range 24 { // the end: of an archive, of a line
			flip(8*len(good) - 1 - i*17)
		}
		writeAll(t, good, path)
	}
	if v := verify(t, dir, false); len(v.Faults) > 0 {
		t.Errorf("restored: %+v", v.Faults)
	}
}

// What is lost or too much is told, and does not keep the rest from being checked.
func TestVerifyNamesDamage(t *testing.T) {
	whole := smallSet(t, 20)
	last := filepath.Base(glob(t, whole)[len(glob(t, whole))-1])
	for name, c := range map[string]struct {
		damage func(dir string)
		want   string
		broken bool
	}{
		"shard gone": {func(dir string) { os.Remove(filepath.Join(dir, "shard-000000.tar")) },
			"the shard is missing", true},
		"shard cut": {func(dir string) { cut(t, 3000, dir, "shard-000000.tar") },
			"the shard ends before the clip does", true},
		"end cut off": {func(dir string) { cut(t, -512, dir, last) }, "cut off", false},
		"shard too many": {func(dir string) { writeAll(t, make([]byte, 2048), dir, "shard-000099.tar") },
			"no clip of the index is in it", false},
		"bytes behind": {func(dir string) { appendTo(t, make([]byte, 99<<10), dir, last) },
			"belong to no clip", false},
		"zeros that others pad with": {func(dir string) { appendTo(t, make([]byte, 5120), dir, last) }, "", false},
		"line of the index gone": {func(dir string) {
			b := readAll(t, dir, "index.jsonl")
			writeAll(t, b[bytes.IndexByte(b, '\n')+1:], dir, "index.jsonl")
		}, "belong to no clip", false},
		"line twice": {func(dir string) {
			b := readAll(t, dir, "index.jsonl")
			writeAll(t, append(slices.Clone(b[:bytes.IndexByte(b, '\n')+1]), b...), dir, "index.jsonl")
		}, "second time", false},
		"torn index": {func(dir string) { cut(t, -10, dir, "index.jsonl") }, "has no end", false},
		"another ledger": {func(dir string) {
			b := readAll(t, dir, "ledger.jsonl")
			writeAll(t, bytes.Replace(b, []byte("class1"), []byte("class2"), 1), dir, "ledger.jsonl")
		}, "another one in the index", false},
		"classes":   {func(dir string) { writeAll(t, []byte("["), dir, "classes.json") }, "classes.json", false},
		"no ledger": {func(dir string) { os.Remove(filepath.Join(dir, "ledger.jsonl")) }, "", false},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		c.damage(dir)
		v := verify(t, dir, false)
		text := fmt.Sprint(v.Faults)
		if (c.want == "") != (len(v.Faults) == 0) || !strings.Contains(text, c.want) ||
			(v.Broken > 0) != c.broken || v.Broken >= 20 {
			t.Errorf("%s: %d broken, %.400s; want %q", name, v.Broken, text, c.want)
		}
	}
	if _, err := dataset.Verify(t.Context(), dataset.VerifyConfig{Dir: t.TempDir()}); !errors.Is(err, dataset.ErrNotDataset) {
		t.Errorf("no set: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dataset.Verify(ctx, dataset.VerifyConfig{Dir: whole}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func glob(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "shard-*.tar"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// cut shortens a file to n bytes, or by −n.
func cut(t *testing.T, n int, parts ...string) {
	t.Helper()
	b := readAll(t, parts...)
	if n < 0 {
		n += len(b)
	}
	writeAll(t, b[:n], parts...)
}

func appendTo(t *testing.T, tail []byte, parts ...string) {
	t.Helper()
	writeAll(t, append(readAll(t, parts...), tail...), parts...)
}

// A frame that was broken before it was stored has the right checksum: only decoding
// finds it.
func TestVerifyDecodes(t *testing.T) {
	dir := t.TempDir()
	datasettest.Make(t, datasettest.Config{Dir: dir, Clips: 3, Alter: func(i int, c *media.Clip) {
		if i == 1 {
			c.Frames[3] = c.Frames[3][:len(c.Frames[3])/2]
		}
	}})
	if v := verify(t, dir, false); len(v.Faults) > 0 {
		t.Errorf("without decoding: %+v", v.Faults)
	}
	v := verify(t, dir, true)
	if v.Broken != 1 || len(v.Faults) != 1 || v.Faults[0].Key != datasettest.Key(1) ||
		!strings.Contains(v.Faults[0].Problem, "frame 3") {
		t.Errorf("%+v", v)
	}
}
