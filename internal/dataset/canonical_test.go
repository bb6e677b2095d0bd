package dataset

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"avjepa/internal/media"
)

func newBlockReader() *blockReader {
	return &blockReader{labels: map[string][]string{}, words: map[string]string{}, shared: newShared()}
}

// randomClip returns values of every length that a line may have; about half of the
// fields that may be left out are.
func randomClip(r *rand.Rand) Info {
	whole := func() int { return int(r.Uint64() >> (1 + r.IntN(63))) }
	float := func() float64 {
		x := float64(whole()) / float64(1+r.IntN(1000))
		if r.IntN(3) == 0 {
			x = r.Float64() * 100
		}
		if r.IntN(3) == 0 {
			x = float64(whole() % 10000)
		}
		return x
	}
	words := []string{"", "train", "Çé 犬", "a b", strings.Repeat("k", 300), "dog/x"}
	word := func() string { return words[r.IntN(len(words))] }
	f := Info{Key: word(), Split: word(), Source: word(), Start: float(), Seconds: float(), FPS: float(),
		FrameCount: whole(), Width: whole(), Height: whole(), SampleRateHz: whole(),
		SampleCount: whole(), Silent: r.IntN(2) == 0, Row: whole(), Shard: whole(),
		Offset: int64(whole()), Bytes: int64(whole()), CRC: r.Uint32()}
	for range r.IntN(4) {
		f.Labels = append(f.Labels, word())
	}
	return f
}

// TestCanonicalLines: what encoding/json writes is read without it, but for numbers
// with an exponent, and as it would.
func TestCanonicalLines(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	b := newBlockReader()
	fast := 0
	const lines = 3000
	for i := range lines {
		f := randomClip(r)
		text, err := json.Marshal(&f)
		if err != nil {
			t.Fatal(err)
		}
		compareInfo(t, b, text)
		var got Info
		if b.readInfo(&got, text) {
			fast++
		}
		b.undo(0)
		l := ledgerLine{Source: f.Source, Key: f.Key, Start: f.Start, Outcome: media.Outcome(f.Split),
			Reason: f.Source, Whole: f.Silent, Hash: f.Key, Split: f.Split, Retry: i%5 == 0}
		if i%2 == 0 {
			l.Clip = &f
		}
		if text, err = json.Marshal(&l); err != nil {
			t.Fatal(err)
		}
		compareLine(t, b, text)
	}
	if fast < lines*9/10 {
		t.Errorf("%d of %d lines are read fast", fast, lines)
	}
}

// TestOtherLines: what writeIndex does not write is left to encoding/json.
func TestOtherLines(t *testing.T) {
	b := newBlockReader()
	f := Info{Key: "a", Labels: []string{"x", "y"}, Split: "train", Source: "a.mp4", Start: 1.5,
		Seconds: 2, CRC: 7}
	good, err := json.Marshal(&f)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{{`"key":"a"`, `"key":"\u0061"`}, {`"key":"a"`, "\"key\":\"\xff\""},
		{`"row":0`, `"row":-0`}, {`"row":0`, `"row":00`}, {`"row":0`, `"row":01`}, {`"row":0`, `"row":1.0`},
		{`"row":0`, `"row":9223372036854775808`}, {`"row":0`, `"row":99999999999999999999`},
		{`"start":1.5`, `"start":1.`}, {`"start":1.5`, `"start":.5`}, {`"start":1.5`, `"start":1e3`},
		{`"start":1.5`, `"start":1.5E1`}, {`"start":1.5`, `"start":01.5`}, {`"start":1.5`, `"start":`},
		{`"start":1.5`, `"start":1.5.5`}, {`"crc":7`, `"crc":4294967296`}, {`"crc":7}`, `"crc":7} `},
		{`"crc":7}`, `"crc":7}{}`}, {`"crc":7}`, `"crc":7`}, {`"x","y"`, ``}, {`"x","y"`, `"x",`},
		{`"x","y"`, `"x" ,"y"`}, {`"x","y"`, `"x\n","y"`}, {`{"key"`, ` {"key"`},
		{`"labels":["x","y"]`, `"labels":null`}, {`"row":0`, `"row":0,"row":1`},
	} {
		text := strings.Replace(string(good), change[0], change[1], 1)
		if text == string(good) {
			t.Fatalf("%v changes nothing", change)
		}
		if b.readInfo(new(Info), []byte(text)) {
			t.Errorf("%s is taken for a line of writeIndex", text)
		}
		compareInfo(t, b, []byte(text))
	}
	if !b.readInfo(new(Info), good) {
		t.Errorf("%s is not", good)
	}
}

// compareInfo holds what the fast parser accepts to encoding/json.
func compareInfo(t *testing.T, b *blockReader, line []byte) {
	t.Helper()
	var got, want Info
	ok := b.readInfo(&got, line)
	b.settle()
	if !ok {
		return
	}
	if err := parseInfo(&want, line, newShared()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q is read as\n%+v, want\n%+v, %v", line, got, want, err)
	}
}

func compareLine(t *testing.T, b *blockReader, line []byte) {
	t.Helper()
	var got, want ledgerLine
	clips := make([]Info, 0, 1)
	ok := b.readLine(&got, line, &clips)
	b.settle()
	if !ok {
		return
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&want); err != nil || !sameLine(got, want) {
		t.Errorf("%q is read as\n%+v, want\n%+v, %v", line, got, want, err)
	}
}

// sameLine compares lines; an empty list of labels is none.
func sameLine(a, b ledgerLine) bool {
	if b.Clip != nil && len(b.Clip.Labels) == 0 {
		b.Clip.Labels = nil
	}
	return reflect.DeepEqual(a, b)
}

// TestBlocks cuts an index at every kind of place: many blocks, lines of any length,
// a last line without its end, one that is too long.
func TestBlocks(t *testing.T) {
	clips := manyClips(9000) // more than two blocks
	for i := range clips {
		if i%1000 == 0 {
			clips[i].Source = strings.Repeat("é", i+1)
		}
	}
	var b bytes.Buffer
	if err := writeIndex(&b, clips); err != nil {
		t.Fatal(err)
	}
	if b.Len() < 2*blockBytes {
		t.Fatalf("%d bytes are too few for this test", b.Len())
	}
	text := b.Bytes()
	for _, end := range []string{"\n", "", "\r\n"} {
		got, err := readIndex(strings.NewReader(strings.TrimSuffix(string(text), "\n") + end))
		if err != nil || !reflect.DeepEqual(got, clips) {
			t.Errorf("end %q: %d clips, %v", end, len(got), err)
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for name, c := range map[string]struct {
		at   int
		line string
		want string
	}{
		"broken":    {7000, "{\"key\":\n", "line 7001: "},
		"invalid":   {4000, strings.Replace(string(lines[0]), `"shard":0`, `"shard":1000001`, 1), "line 4001: "},
		"twice":     {8000, string(lines[17]), `line 8001: key "train/v_00000017_017" for the second time`},
		"too long":  {5000, strings.Repeat("x", maxLineBytes) + "\n", "line 5001: longer than"},
		"very long": {5000, strings.Repeat("x", 3*blockBytes) + "\n", "line 5001: longer than"},
		"torn":      {9000, "{\"key\":\"zz", "line 9001: "},
		"empty":     {10, "\n", "line 11: "},
	} {
		bad := bytes.Join(append(append([][]byte{}, lines[:c.at]...),
			append([][]byte{[]byte(c.line)}, lines[c.at:]...)...), nil)
		if _, err := readIndex(bytes.NewReader(bad)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %.200v, want %s", name, err, c.want)
		}
	}
	backwards := bytes.Join(reversed(lines[:9000]), nil)
	if got, err := readIndex(bytes.NewReader(backwards)); err != nil || !reflect.DeepEqual(got, clips) {
		t.Errorf("backwards: %d clips, %v", len(got), err)
	}
}

func reversed[T any](x []T) []T {
	out := make([]T, 0, len(x))
	for i := len(x) - 1; i >= 0; i-- {
		out = append(out, x[i])
	}
	return out
}

// TestOpenMany holds the memory that a clip of a large set takes, selections included.
func TestOpenMany(t *testing.T) {
	const n = 20_000
	dir := t.TempDir()
	makeMany(t, dir, n)
	before := heap()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	odd := s.Where(func(f *Info) bool { return f.Row%2 == 1 })
	third := odd.Where(func(f *Info) bool { return f.Row%3 == 0 })
	text := 0
	for i := range s.Len() {
		text += len(s.Info(i).Key) + len(s.Info(i).Source)
	}
	if per := float64(heap()-before-int64(text)) / n; !(per <= 250) {
		t.Errorf("a clip takes %.0f bytes beside its strings", per)
	}
	if s.Where(func(*Info) bool { return true }) != s {
		t.Error("all of a set is another set")
	}
	if odd.Len() != n/2 || third.Len() != (n+3)/6 {
		t.Errorf("%d and %d clips", odd.Len(), third.Len())
	}
	for i := range third.Len() {
		if want := fmt.Sprintf("train/v_%08d_%03d", 6*i+3, (6*i+3)%300); third.Key(i) != want ||
			third.Info(i).Row != 6*i+3 {
			t.Fatalf("clip %d is %s, want %s", i, third.Key(i), want)
		}
	}
	if none := s.Where(func(*Info) bool { return false }); none.Len() != 0 {
		t.Errorf("none is %d clips", none.Len())
	}
}
