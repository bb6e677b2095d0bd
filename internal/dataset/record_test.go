package dataset

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/media"
)

func readTarNames(t testing.TB, b []byte) []string {
	t.Helper()
	var names []string
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, sizes := range [][]int{{}, {0}, {1}, {511}, {512}, {513}, {3, 1024, 7}} {
		for _, samples := range []int{0, 1, 233, 234, 235, 5000} {
			if len(sizes) == 0 && samples == 0 {
				continue
			}
			c := Clip{Info: Info{Key: "a/b-1", Split: "train", Seconds: 1, FPS: 4, Width: 2,
				Height: 2, SampleRateHz: 16000, FrameCount: len(sizes), SampleCount: samples}}
			var frames [][]byte
			for i, n := range sizes {
				frames = append(frames, bytes.Repeat([]byte{byte(i + 1)}, n))
			}
			pcm := make([]int16, samples)
			for i := range pcm {
				pcm[i] = int16(i*1001 - 30000)
			}
			record, err := appendRecord([]byte("before"), &c.Info, frames, pcm)
			if err != nil {
				t.Fatal(err)
			}
			record = record[len("before"):]
			if int64(len(record)) != c.Bytes {
				t.Errorf("record of %d bytes, Bytes says %d", len(record), c.Bytes)
			}
			if err := c.validate(); err != nil {
				t.Errorf("frames %v, %d samples: %v", sizes, samples, err)
			}
			if err := parseRecord(&c, record); err != nil {
				t.Fatalf("frames %v, %d samples: %v", sizes, samples, err)
			}
			if !slices.Equal(c.Samples, pcm) {
				t.Errorf("%d samples differ", samples)
			}
			for i := range frames {
				if !bytes.Equal(c.Frames[i], frames[i]) {
					t.Errorf("frame %d of %v differs", i, sizes)
				}
			}
			for i := range record {
				record[i] ^= 0x10
				if parseRecord(&c, record) == nil {
					t.Fatalf("changed byte %d goes unnoticed", i)
				}
				record[i] ^= 0x10
			}
			names := readTarNames(t, append(record, make([]byte, tarTrailer)...))
			if names[0] != "a/b-1.json" || len(names) != 1+min(1, samples)+len(sizes) {
				t.Errorf("members %v", names)
			}
		}
	}
}

// A record whose checksum is right but whose members are not those of the index
// must be refused all the same: an index may be made to fit.
func TestParseRecordChecksMembers(t *testing.T) {
	make := func() (Clip, []byte) {
		c := Clip{Info: Info{Key: "k", FrameCount: 2, SampleCount: 4, SampleRateHz: 8000}}
		record, err := appendRecord(nil, &c.Info, [][]byte{{1}, {2}}, []int16{1, 2, 3, 4})
		if err != nil {
			t.Fatal(err)
		}
		return c, record
	}
	for name, change := range map[string]func(f *Info){
		"key":           func(f *Info) { f.Key = "l" },
		"fewer frames":  func(f *Info) { f.FrameCount = 1 },
		"more frames":   func(f *Info) { f.FrameCount = 3 },
		"fewer samples": func(f *Info) { f.SampleCount = 3 },
		"no samples":    func(f *Info) { f.SampleCount = 0 },
		"sample rate":   func(f *Info) { f.SampleRateHz = 8001 },
	} {
		c, record := make()
		change(&c.Info)
		if parseRecord(&c, record) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	c, record := make()
	if err := parseRecord(&c, record); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestShardsAreReadableByTar(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("no tar on the PATH")
	}
	dir := t.TempDir()
	entries := sources(t, makeFiles(t, map[string]string{"dog/a.mp4": "2 usable",
		"b.mp4": "1 usable"}))
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	shard := filepath.Join(dir, shardName(0))
	out, err := exec.Command("tar", "tf", shard).CombinedOutput()
	if err != nil {
		t.Fatalf("tar tf: %v\n%s", err, out)
	}
	got := strings.Fields(string(out))
	want := []string{"b.json", "b.wav", "b.0000.jpg", "b.0001.jpg", "b.0002.jpg", "b.0003.jpg",
		"dog/a.json", "dog/a.wav", "dog/a.0000.jpg", "dog/a.0001.jpg", "dog/a.0002.jpg",
		"dog/a.0003.jpg", "dog/a.0004.jpg", "dog/a.0005.jpg", "dog/a.0006.jpg", "dog/a.0007.jpg"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	into := t.TempDir()
	if out, err := exec.Command("tar", "xf", shard, "-C", into).CombinedOutput(); err != nil ||
		len(out) > 0 {
		t.Fatalf("tar xf: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(into, "dog/a.json"))
	if err != nil {
		t.Fatal(err)
	}
	var info memberInfo
	if err := json.Unmarshal(text, &info); err != nil || info.Labels[0] != "dog" || info.FrameCount != 8 {
		t.Errorf("dog/a.json is %s (%v)", text, err)
	}
}

func TestOpenRefusesLies(t *testing.T) {
	dir := t.TempDir()
	entries := sources(t, makeFiles(t, map[string]string{"a.mp4": "2 usable", "b.mp4": "1 usable"}))
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(dir, indexFile))
	if err != nil {
		t.Fatal(err)
	}
	clips, err := readIndex(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(c []Info){
		"offset behind the end":  func(c []Info) { c[0].Offset = 1 << 40 },
		"negative offset":        func(c []Info) { c[0].Offset = -512 },
		"offset off the blocks":  func(c []Info) { c[0].Offset = 100 },
		"overflowing offset":     func(c []Info) { c[0].Offset = 1<<63 - 512 },
		"huge record":            func(c []Info) { c[0].Bytes = 1 << 40 },
		"overlap":                func(c []Info) { c[1].Offset = c[0].Offset },
		"missing shard":          func(c []Info) { c[0].Shard = 7 },
		"negative shard":         func(c []Info) { c[0].Shard = -1 },
		"path in the key":        func(c []Info) { c[0].Key = "../../x" },
		"too many frames":        func(c []Info) { c[0].FrameCount = 1 << 30 },
		"negative samples":       func(c []Info) { c[0].SampleCount = -1 },
		"the same key twice":     func(c []Info) { c[1].Key = c[0].Key },
		"side of a million":      func(c []Info) { c[0].Width = 1_000_000 },
		"label with a line feed": func(c []Info) { c[0].Labels = []string{"a\nb"} },
	} {
		bad := slices.Clone(clips)
		change(bad)
		var b bytes.Buffer
		if err := writeIndex(&b, bad); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, indexFile), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The shard shrinks while the set is open.
	if err := os.WriteFile(filepath.Join(dir, indexFile), good, 0o644); err != nil {
		t.Fatal(err)
	}
	set, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, shardName(0)), 600); err != nil {
		t.Fatal(err)
	}
	for i := range set.Len() {
		if err := set.Read(context.Background(), i, new(Clip)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut shard: %v", err)
		}
	}
}

func TestConcurrentRead(t *testing.T) {
	dir := t.TempDir()
	entries := sources(t, makeFiles(t, manyFiles(30)))
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	set := checkSet(t, dir, entries)
	done := make(chan error)
	for range 4 {
		go func() {
			var c, again Clip
			for i := range set.Len() {
				if err := errors.Join(set.Read(context.Background(), i, &c), set.Read(context.Background(), i, &again)); err != nil {
					done <- err
					return
				}
				if !reflect.DeepEqual(c.Frames, again.Frames) {
					done <- errors.New("two reads differ")
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	val, train := set.Select("val"), set.Select("train")
	if val.Len()+train.Len() != set.Len() || train.Len() == 0 {
		t.Errorf("%d train + %d val of %d", train.Len(), val.Len(), set.Len())
	}
	if all := val.All(); all.Len() != set.Len() || val.Find(train.Key(0)) >= 0 {
		t.Errorf("%d of %d clips, or clip %s in both splits", all.Len(), set.Len(), train.Key(0))
	}
	for i := range train.Len() {
		if at := train.Find(train.Key(i)); at != i {
			t.Errorf("clip %d is found at %d", i, at)
		}
	}
	if !slices.Equal(classIDs(val), []string{"class0", "class1", "class2"}) {
		t.Errorf("labels of val: %v", classIDs(val))
	}
}

func TestReadReusesMemory(t *testing.T) {
	dir := t.TempDir()
	entries := sources(t, makeFiles(t, map[string]string{"a.mp4": "3 usable"}))
	if _, err := Ingest(t.Context(), testConfig(dir, entries)); err != nil {
		t.Fatal(err)
	}
	set, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var c Clip
	if err := set.Read(context.Background(), 0, &c); err != nil {
		t.Fatal(err)
	}
	if want := fakeClip(entries[0].Path, media.Segment{}); len(c.Frames) != len(want.Frames) {
		t.Fatalf("%d frames, want %d", len(c.Frames), len(want.Frames))
	}
	first := &c.record[0]
	if err := set.Read(context.Background(), 0, &c); err != nil || &c.record[0] != first {
		t.Errorf("read into new memory (%v)", err)
	}
}
