package dataset

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"testing"

	"avjepa/internal/manifest"
)

// FuzzIndex: every clip that the parser accepts can be looked for without harm.
func FuzzIndex(f *testing.F) {
	good := Info{Key: "a/b", Labels: []string{"dog"}, Split: "train", Seconds: 2, FPS: 8, FrameCount: 16,
		Width: 4, Height: 4, SampleRateHz: 16000, SampleCount: 32000, Bytes: 4096}
	var b bytes.Buffer
	if err := writeIndex(&b, []Info{good}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(encodeLines([]*ledgerLine{{Source: "/a/b.mp4", Key: "a/b", End: 2, Outcome: "usable", Clip: &good},
		{Source: "/a/b.mp4", Whole: true, Hash: "00", Split: "train"}, {Retry: true}}))
	f.Add([]byte("{}\n"))
	f.Add([]byte("[1]\n{\"key\":\"a\"}"))
	f.Add(bytes.Replace(b.Bytes(), []byte("4096"), []byte("1e99"), 1))
	f.Add(bytes.Repeat(b.Bytes(), 2))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := newBlockReader()
		for line := range bytes.Lines(text) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			compareInfo(t, b, line)
			compareLine(t, b, line)
		}
		clips, err := readIndex(bytes.NewReader(text))
		if err != nil {
			return
		}
		for i := range clips {
			c := &clips[i]
			if c.Bytes > MaxRecordBytes || c.Offset+c.Bytes < c.Offset || c.Offset < 0 ||
				c.Shard < 0 || c.FrameCount > MaxFrames || manifest.CheckKey(c.Key) != nil {
				t.Errorf("accepted %+v", c)
			}
		}
		if checkOverlap(clips) == nil && len(clips) > 1 && clips[0].Key == clips[1].Key {
			t.Error("one key twice")
		}
	})
}

// FuzzRecord: bytes of a shard that are no clip give an error, never a panic.
func FuzzRecord(f *testing.F) {
	c := Clip{Info: Info{Key: "k", FrameCount: 2, SampleCount: 3, SampleRateHz: 8000}}
	record, err := appendRecord(nil, &c.Info, [][]byte{{1}, {2}}, []int16{1, 2, 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(record)
	f.Add(record[:700])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			_, data, tail, err := nextMember(rest)
			if err != nil {
				break
			}
			if len(tail) >= len(rest) {
				t.Fatal("no progress")
			}
			if samples, _, err := readWAV(nil, data); err == nil && 2*len(samples) > len(data) {
				t.Fatalf("%d samples in %d bytes", len(samples), len(data))
			}
			rest = tail
		}
	})
}

// FuzzScan: whatever a shard holds, each clip that is found in it lies within it, is
// valid and can be read, and no two share bytes.
func FuzzScan(f *testing.F) {
	var frame bytes.Buffer
	if err := jpeg.Encode(&frame, image.NewGray(image.Rect(0, 0, 20, 16)), nil); err != nil {
		f.Fatal(err)
	}
	var shard []byte
	for _, key := range []string{"a", "b/c"} {
		var err error
		c := Info{Key: key, Split: "train", Seconds: .5, FPS: 2, FrameCount: 1, Width: 20, Height: 16,
			SampleRateHz: 1000, SampleCount: 500}
		shard, err = appendRecord(shard, &c, [][]byte{frame.Bytes()}, make([]int16, 500))
		if err != nil {
			f.Fatal(err)
		}
	}
	shard = append(shard, make([]byte, tarTrailer)...)
	f.Add(shard)
	f.Add(bytes.Replace(shard, []byte(`,"row":0`), nil, 1))
	f.Add(shard[:len(shard)/2])
	f.Add(append(make([]byte, tarBlock), shard...))
	f.Fuzz(func(t *testing.T, shard []byte) {
		var out scanned
		s := shardScan{file: bytes.NewReader(shard), size: int64(len(shard)), out: &out, tell: func(int64) {}}
		if err := s.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		end := int64(0)
		for _, c := range out.clips {
			if err := c.validate(); err != nil || c.Offset < end || c.Offset+c.Bytes > int64(len(shard)) {
				t.Fatalf("%+v: %v", c, err)
			}
			end = c.Offset + c.Bytes
			if err := parseRecord(&Clip{Info: c}, shard[c.Offset:end]); err != nil {
				t.Error(err)
			}
		}
	})
}

// FuzzLedger: whatever a ledger says, what is taken from it obeys the bounds of a clip,
// lies in order in its shards, and reads the same when it is written again.
func FuzzLedger(f *testing.F) {
	clip := Info{Key: "a/b", Split: "train", Seconds: 2, SampleRateHz: 8000, SampleCount: 16000,
		Bytes: 4096}
	lines := []*ledgerLine{{Source: "/v/b.mp4", Key: "a/b", Outcome: "usable", Clip: &clip},
		{Source: "/v/c.mp4", Key: "a/c", Outcome: "corrupt", Reason: "cut off"},
		{Source: "/v/b.mp4", Whole: true, Hash: "00", Split: "train"}, {Retry: true}}
	f.Add(encodeLines(lines))
	f.Add(encodeLines(lines[:2])[:150])
	f.Add([]byte("{\"key\":\"k\",\"start\":1e999}\n"))
	f.Add([]byte("{}\n{\"retry\":true}\n\"clip\":{\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		read := func(text []byte) (*ledger, int64, error) {
			l := &ledger{clips: map[string]*ledgerLine{}, sources: map[string]*ledgerLine{},
				ends: map[int]int64{}}
			good, err := l.read(bytes.NewReader(text))
			return l, good, err
		}
		l, good, err := read(text)
		if err != nil {
			return
		}
		if good > int64(len(text)) || good > 0 && text[good-1] != '\n' {
			t.Fatalf("%d of %d bytes are good", good, len(text))
		}
		var again []*ledgerLine
		for _, key := range l.order {
			line := l.clips[key]
			if manifest.CheckKey(key) != nil {
				t.Errorf("key %q", key)
			}
			if c := line.Clip; c != nil && (c.validate() != nil || c.Offset+c.Bytes > l.ends[c.Shard]) {
				t.Errorf("accepted %+v, its shard ends at %d", c, l.ends[c.Shard])
			}
			again = append(again, line)
		}
		m, _, err := read(encodeLines(again))
		if err != nil || len(m.order) != len(l.order) || len(m.kept()) != len(l.kept()) {
			t.Errorf("written again: %v, %d of %d clips", err, len(m.order), len(l.order))
		}
	})
}

// FuzzSamples: a sound that is read is the one that would be written.
func FuzzSamples(f *testing.F) {
	f.Add(appendWAV(nil, []int16{0, 1, -1, 32767, -32768}, 16000))
	f.Add(appendWAV(nil, nil, 8000)[:43])
	f.Fuzz(func(t *testing.T, b []byte) {
		samples, rate, err := readWAV(nil, b)
		if err != nil {
			return
		}
		again, same, err := readWAV(nil, appendWAV(nil, samples, rate))
		if err != nil || same != rate || !slices.Equal(again, samples) {
			t.Errorf("%d samples at %d Hz, written again %d at %d (%v)", len(samples), rate, len(again),
				same, err)
		}
	})
}
