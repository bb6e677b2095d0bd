package dataset

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/rng"
)

// fakeDecoder reads files that say what they decode to: "SECONDS OUTCOME", such
// as "3.5 usable". Frames and samples are a function of file content, base name
// and start, so that a clip in a set can be checked against fakeClip.
type fakeDecoder struct {
	delay time.Duration
	calls *atomic.Int64
	hide  bool // containers claim no length
}

const fakeRate = 1000

func (d fakeDecoder) Decode(ctx context.Context, path string, cfg media.DecodeConfig,
	segs []media.Segment, yield func(i int, c *media.Clip) error) error {

	if d.calls != nil {
		d.calls.Add(1)
	}
	for i, s := range segs {
		select {
		case <-time.After(d.delay):
		case <-ctx.Done():
			return ctx.Err()
		}
		c := fakeClip(path, s)
		if d.hide {
			c.Info.Seconds = 0
		}
		if err := yield(i, c); err != nil {
			return err
		}
	}
	return nil
}

// fakeClip is what fakeDecoder makes of a segment.
func fakeClip(path string, s media.Segment) *media.Clip {
	text, err := os.ReadFile(path)
	if err != nil {
		return &media.Clip{Outcome: media.Missing, Reason: "no such file"}
	}
	var seconds float64
	var name string
	if _, err := fmt.Sscan(string(text), &seconds, &name); err != nil {
		return &media.Clip{Outcome: media.Corrupt, Reason: "not a fake"}
	}
	name = strings.ReplaceAll(name, "_", " ")
	c := &media.Clip{Outcome: media.Outcome(name), FPS: 4, Width: 8, Height: 6}
	c.Info.Seconds = seconds
	end := s.End
	if end == 0 || end > seconds {
		end = seconds
	}
	if c.Seconds = end - s.Start; !(c.Seconds >= 0.5) {
		return &media.Clip{Outcome: media.TooShort, Reason: "ends early", Info: c.Info}
	}
	if !c.Outcome.HasClip() {
		c.Reason = "made to fail"
		return c
	}
	r := rng.New(1, filepath.Base(path), int(s.Start*1000))
	if c.Outcome != media.NoVideo {
		for range int(c.Seconds * c.FPS) {
			frame := make([]byte, 1+r.IntN(700))
			for i := range frame {
				frame[i] = byte(r.Uint32())
			}
			c.Frames = append(c.Frames, frame)
		}
	}
	if c.Outcome != media.NoAudio {
		for range int(c.Seconds * fakeRate) {
			c.Samples = append(c.Samples, int16(r.Uint32()))
		}
	}
	return c
}

// testConfig is an ingest of small shards with the fake decoder.
func testConfig(dir string, entries []manifest.Entry) IngestConfig {
	cfg := DefaultIngestConfig()
	cfg.Dir, cfg.Entries, cfg.Decoder, cfg.Workers = dir, entries, fakeDecoder{}, 3
	cfg.Settings.SampleRateHz = fakeRate
	cfg.Settings.ShardBytes = 60_000
	return cfg
}

// makeFiles writes files with the given contents below a new folder.
func makeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// manyFiles are n sources in three classes: most usable, some broken, some long.
func manyFiles(n int) map[string]string {
	files := make(map[string]string)
	for i := range n {
		text := fmt.Sprintf("%d.%d usable", 1+i%4, i%10)
		switch i % 10 {
		case 3:
			text = "2 corrupt"
		case 6:
			text = "2 no_audio"
		case 9:
			text = fmt.Sprintf("%d usable", 25+i%20)
		}
		files[fmt.Sprintf("class%d/clip%03d.mp4", i%3, i)] = text
	}
	return files
}

func sources(t testing.TB, args ...string) []manifest.Entry {
	t.Helper()
	list, err := manifest.Read(args, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Entries
}

func classIDs(s *Set) (ids []string) {
	for _, c := range s.Classes() {
		ids = append(ids, c.ID)
	}
	return ids
}

// checkSet fails unless the set in dir consists of exactly the clips that entries
// decode to, each with the right bytes, and its shards are whole archives.
func checkSet(t testing.TB, dir string, entries []manifest.Entry) *Set {
	t.Helper()
	set, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]*media.Clip)
	for _, e := range entries {
		whole := fakeClip(e.Path, media.Segment{Start: e.Start, End: e.End})
		if seconds := whole.Info.Seconds; e.Whole() && seconds > 15 {
			for _, p := range cuts(e, seconds, 10) {
				want[p.Key] = fakeClip(p.Path, media.Segment{Start: p.Start, End: p.End})
			}
		} else if whole.Outcome == media.Usable {
			want[e.Key] = whole
		}
	}
	if set.Len() != len(want) {
		t.Errorf("%d clips in the set, want %d", set.Len(), len(want))
	}
	var c Clip
	for i := range set.Len() {
		if err := set.Read(context.Background(), i, &c); err != nil {
			t.Error(err)
			continue
		}
		w, ok := want[c.Key]
		if !ok {
			t.Errorf("clip %s is there and should not be", c.Key)
			continue
		}
		if !slices.Equal(c.Samples, w.Samples) || !reflect.DeepEqual(c.Frames, w.Frames) {
			t.Errorf("clip %s differs from what was decoded", c.Key)
		}
	}
	members := make(map[string]bool)
	shards, err := filepath.Glob(filepath.Join(dir, "shard-*.tar"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, shard := range shards {
		for _, name := range tarNames(t, shard) {
			if members[name] {
				t.Errorf("%s has %s for the second time", shard, name)
			}
			members[name] = true
			if strings.HasSuffix(name, ".json") {
				count++
			}
		}
	}
	if count != len(want) {
		t.Errorf("%d clips in the shards, want %d", count, len(want))
	}
	return set
}

func tarNames(t testing.TB, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < tarTrailer || !bytes.Equal(b[len(b)-tarTrailer:], make([]byte, tarTrailer)) {
		t.Errorf("%s does not end as an archive", path)
	}
	return readTarNames(t, b)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
