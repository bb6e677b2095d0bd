package dataset

import (
	"bytes"
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
