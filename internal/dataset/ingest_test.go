package dataset

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"avjepa/internal/manifest"
	"avjepa/internal/media"
)

func TestIngest(t *testing.T) {
	files := map[string]string{
		"dog/a.mp4": "3 usable", "dog/long.mp4": "34 usable", "dog/tail.mp4": "36 usable",
		"cat/short.mp4": "0.2 usable", "cat/broken.mp4": "x", "cat/mute.mp4": "3 no_audio",
		"cat/still.mp4": "3 still_image", "loose.mp4": "15 usable",
	}
	dir, src := t.TempDir(), makeFiles(t, files)
	entries := sources(t, src)
	entries = append(entries, manifest.Entry{Key: "gone", Path: filepath.Join(src, "gone.mp4")})
	cfg := testConfig(dir, entries)
	var last Progress
	cfg.Progress = func(p Progress) { last = p }
	sum, err := Ingest(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	set := checkSet(t, dir, entries)
	var got []string
	for i := range set.Len() {
		f := set.Info(i)
		got = append(got, fmt.Sprintf("%s %v+%v", f.Key, f.Start, f.Seconds))
	}
	want := []string{"dog/a 0+3", "dog/long_00000000 0+10", "dog/long_00010000 10+10",
		"dog/long_00020000 20+14", "dog/tail_00000000 0+10", "dog/tail_00010000 10+10",
		"dog/tail_00020000 20+10", "dog/tail_00030000 30+6", "loose 0+15"}
	if !slices.Equal(got, want) {
		t.Errorf("clips %v, want %v", got, want)
	}
	if sum.Clips != 9 || sum.Seconds != 88 || sum.Files != 8 || len(sum.Leaks) != 0 {
		t.Errorf("summary %+v", sum)
	}
	var out []string
	for _, l := range sum.LeftOut {
		out = append(out, fmt.Sprintf("%s: %s", l.Key, l.Outcome))
	}
	if want := []string{"cat/broken: corrupt", "cat/mute: no audio", "cat/short: too short",
		"cat/still: still image", "gone: missing"}; !slices.Equal(out, want) {
		t.Errorf("left out %v, want %v", out, want)
	}
	f, err := os.Open(filepath.Join(dir, leftOutFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 6 || rows[1][0] != "cat/broken" || rows[1][5] != "not a fake" {
		t.Errorf("%s: %v (%v)", leftOutFile, rows, err)
	}
	var bytes int64
	for _, text := range files {
		bytes += int64(len(text))
	}
	if last != (Progress{9, 9, 9, 5, bytes, bytes}) {
		t.Errorf("last progress %+v", last)
	}
	if got := classIDs(set); !slices.Equal(got, []string{"dog"}) {
		t.Errorf("labels %v", got)
	}
}

func TestCutsOfFilesThatLie(t *testing.T) {
	// No length claimed: cut until nothing comes, and what does not come is no loss.
	dir := t.TempDir()
	entries := sources(t, makeFiles(t, map[string]string{"a.mp4": "34 usable"}))
	cfg := testConfig(dir, entries)
	cfg.Decoder = fakeDecoder{hide: true}
	sum, err := Ingest(t.Context(), cfg)
	if err != nil || sum.Clips != 4 || len(sum.LeftOut) != 0 || sum.Seconds != 34 {
		t.Errorf("no length: %+v (%v)", sum, err)
	}
	// A long file of which nothing decodes is one line, not one for every piece.
	entries = sources(t, makeFiles(t, map[string]string{"a.mp4": "3000 corrupt", "b.mp4": "2 usable"}))
	sum, err = Ingest(t.Context(), testConfig(t.TempDir(), entries))
	if err != nil || len(sum.LeftOut) != 1 || sum.LeftOut[0].Key != "a" {
		t.Errorf("broken: %+v (%v)", sum.LeftOut, err)
	}
	entries = sources(t, makeFiles(t, map[string]string{"a.mp4": "1e9 usable", "b.mp4": "2 usable"}))
	sum, err = Ingest(t.Context(), testConfig(t.TempDir(), entries))
	if err != nil || len(sum.LeftOut) != 1 || sum.LeftOut[0].Outcome != media.TooLarge {
		t.Errorf("endless: %+v (%v)", sum.LeftOut, err)
	}
}

func TestIngestGivenParts(t *testing.T) {
	src := makeFiles(t, map[string]string{"v.mp4": "60 usable"})
	list := filepath.Join(src, "list.csv")
	write(t, list, "path,label,split,start,end\nv.mp4,x,test,30,38\nv.mp4,y,test,2.5,9\n")
	dir, entries := t.TempDir(), sources(t, list)
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	set := checkSet(t, dir, entries)
	if set.Len() != 2 || set.Info(0).Key != "v_00002500" || set.Info(0).Split != "test" ||
		set.Info(0).Labels[0] != "y" || set.Info(1).Seconds != 8 {
		t.Errorf("%+v, %+v", set.Info(0), set.Info(1))
	}
	// Parts that are added later are taken up, the others not decoded again.
	write(t, list, "path,label,split,start,end\nv.mp4,x,test,30,38\nv.mp4,y,test,2.5,9\n"+
		"v.mp4,z,test,50,\n")
	entries = sources(t, list)
	cfg := testConfig(dir, entries)
	cfg.Decoder = fakeDecoder{calls: new(atomic.Int64)}
	sum, err := Ingest(t.Context(), cfg)
	if err != nil || sum.Clips != 3 {
		t.Errorf("%+v (%v)", sum, err)
	}
	checkSet(t, dir, entries)
}

func TestSplitsFollowContent(t *testing.T) {
	files := make(map[string]string)
	for i := range 400 {
		files[fmt.Sprintf("c/%03d.mp4", i)] = fmt.Sprintf("1 usable %d", i%200) // each twice
	}
	dir, entries := t.TempDir(), sources(t, makeFiles(t, files))
	cfg := testConfig(dir, entries)
	cfg.Settings.ValFraction = 0.25
	sum, err := Ingest(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	// 200 draws with p = 0.25 twice: mean 100, standard deviation 12.2.
	if n := sum.Splits["val"]; !(n >= 50 && n <= 150) || n%2 != 0 {
		t.Errorf("%d of 400 in val", n)
	}
	if len(sum.Leaks) != 0 {
		t.Errorf("copies in different splits: %v", sum.Leaks)
	}
	// Given splits win, and copies across them are named.
	for i := range entries {
		entries[i].Split = []string{"train", "test"}[i/200]
	}
	sum, err = Ingest(t.Context(), testConfig(t.TempDir(), entries))
	if err != nil || sum.Splits["test"] != 200 || len(sum.Leaks) != 200 {
		t.Errorf("%v, %d leaks (%v)", sum.Splits, len(sum.Leaks), err)
	}
}

func TestIngestAgain(t *testing.T) {
	dir, src := t.TempDir(), makeFiles(t, manyFiles(40))
	entries := sources(t, src)
	calls := new(atomic.Int64)
	cfg := testConfig(dir, entries[:25])
	cfg.Decoder = fakeDecoder{calls: calls}
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	checkSet(t, dir, entries[:25])
	before := calls.Swap(0)
	again, err := Ingest(t.Context(), cfg)
	if err != nil || calls.Load() != 0 {
		t.Errorf("%d of %d decoded again (%v)", calls.Load(), before, err)
	}
	cfg.Entries = entries
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	checkSet(t, dir, entries)
	// What was left out is tried again on request, and repaired files are kept.
	for _, l := range again.LeftOut {
		if l.Outcome == media.Corrupt {
			write(t, l.Path, "2 usable")
		}
	}
	cfg.RetryLeftOut = true
	if _, err := Ingest(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	checkSet(t, dir, entries)
	cfg.RetryLeftOut = false
	calls.Store(0)
	if _, err := Ingest(t.Context(), cfg); err != nil || calls.Load() != 0 {
		t.Errorf("%d decoded again after a retry (%v)", calls.Load(), err)
	}
}

func TestIngestRefuses(t *testing.T) {
	src := makeFiles(t, manyFiles(4))
	entries := sources(t, src)
	dir := t.TempDir()
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(dir, entries)
	cfg.Settings.ClipSeconds, cfg.Settings.FPS = 5, 12
	_, err := Ingest(t.Context(), cfg)
	if !errors.Is(err, ErrSettings) ||
		!strings.Contains(err.Error(), "clip_seconds is 10 there, 5 was asked for; fps is 8") {
		t.Errorf("other settings: %v", err)
	}
	other := makeFiles(t, manyFiles(4))
	if _, err := Ingest(t.Context(), testConfig(dir, sources(t, other))); !errors.Is(err, manifest.ErrManifest) {
		t.Errorf("other sources under the same keys: %v", err)
	}
	if _, err := Ingest(t.Context(), testConfig(t.TempDir(), nil)); !errors.Is(err, manifest.ErrEmpty) {
		t.Errorf("no entries: %v", err)
	}
	foreign := makeFiles(t, map[string]string{"shard-000000.tar": "precious"})
	if _, err := Ingest(t.Context(), testConfig(foreign, entries)); !errors.Is(err, ErrNotDataset) {
		t.Errorf("somebody's shards: %v", err)
	}
	bad := sources(t, makeFiles(t, map[string]string{"a.mp4": "1 corrupt"}))
	sum, err := Ingest(t.Context(), testConfig(t.TempDir(), bad))
	if !errors.Is(err, ErrNoClips) || len(sum.LeftOut) != 1 {
		t.Errorf("nothing usable: %+v, %v", sum, err)
	}
	// A piece of a.mp4 would have the key of the other file.
	clash := sources(t, makeFiles(t, map[string]string{"a.mp4": "30 usable",
		"a_00010000.mp4": "2 usable"}))
	if _, err := Ingest(t.Context(), testConfig(t.TempDir(), clash)); !errors.Is(err, manifest.ErrManifest) {
		t.Errorf("keys that could meet: %v", err)
	}
	cfg = testConfig(dir, entries)
	cfg.Settings.FPS, cfg.Settings.ShardBytes = 0, 1
	if _, err := Ingest(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "fps") ||
		!strings.Contains(err.Error(), "shard_bytes") {
		t.Errorf("bad settings: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, ledgerFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("ledger gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, shardName(0))); err != nil {
		t.Errorf("shards went with the ledger: %v", err)
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNotDataset) {
		t.Errorf("open an empty folder: %v", err)
	}
}

func TestStoppedIngestGoesOn(t *testing.T) {
	dir, entries := t.TempDir(), sources(t, makeFiles(t, manyFiles(60)))
	for stop := 5; ; stop += 20 {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := testConfig(dir, entries)
		start := -1
		cfg.Progress = func(p Progress) {
			if start < 0 {
				start = p.Clips
			}
			if p.Clips-start >= 5 && p.Clips >= stop {
				cancel()
			}
		}
		sum, err := Ingest(ctx, cfg)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if sum.Clips == 0 {
			t.Errorf("nothing kept when stopped")
		}
	}
	checkSet(t, dir, entries)
}

// A decoder that cannot run at all ends the ingest; it is no broken file.
func TestDecoderFails(t *testing.T) {
	entries := sources(t, makeFiles(t, manyFiles(9)))
	cfg := testConfig(t.TempDir(), entries)
	cfg.Decoder = failingDecoder{}
	if _, err := Ingest(t.Context(), cfg); !errors.Is(err, errNoDecoder) {
		t.Errorf("%v", err)
	}
}

var errNoDecoder = errors.New("no decoder")

type failingDecoder struct{}

func (failingDecoder) Decode(context.Context, string, media.DecodeConfig, []media.Segment,
	func(int, *media.Clip) error) error {
	return errNoDecoder
}
