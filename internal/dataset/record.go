package dataset

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Clip is one clip in memory. Its slices belong to the Clip and are valid until
// it is read into again.
type Clip struct {
	Info
	Frames  [][]byte // JPEG files, evenly spaced at Info.FPS; nil = no video
	Samples []int16  // mono at Info.SampleRateHz; nil = no audio

	record []byte
}

// appendRecord appends the members of a clip to b: key.json, key.wav when there
// are samples, and one key.NNNN.jpg per frame. It sets info's Bytes and CRC.
func appendRecord(b []byte, info *Info, frames [][]byte, samples []int16) ([]byte, error) {
	meta, err := json.Marshal(memberOf(info))
	if err != nil {
		return b, fmt.Errorf("dataset: clip %s: %w", info.Key, err)
	}
	size := 2*tarBlock + tarPadded(len(meta)) + tarPadded(wavHeader+2*len(samples))
	for _, f := range frames {
		size += tarBlock + tarPadded(len(f))
	}
	if size > MaxRecordBytes {
		return b, fmt.Errorf("dataset: clip %s has %d bytes, at most %d: cut it shorter or "+
			"use a smaller short side", info.Key, size, MaxRecordBytes)
	}
	at := len(b)
	b = appendMember(b, info.Key+".json", meta)
	if len(samples) > 0 {
		wav := appendWAV(make([]byte, 0, wavHeader+2*len(samples)), samples, info.SampleRateHz)
		b = appendMember(b, info.Key+".wav", wav)
	}
	for i, f := range frames {
		b = appendMember(b, frameName(info.Key, i), f)
	}
	info.Bytes = int64(len(b) - at)
	info.CRC = crc32.Checksum(b[at:], castagnoli)
	return b, nil
}

// memberInfo is what key.json holds: Info without its place in the shards.
type memberInfo struct {
	Key          string   `json:"key"`
	Labels       []string `json:"labels,omitempty"`
	Split        string   `json:"split"`
	Source       string   `json:"source,omitempty"`
	Start        float64  `json:"start"`
	Seconds      float64  `json:"seconds"`
	FPS          float64  `json:"fps"`
	FrameCount   int      `json:"frames"`
	Width        int      `json:"width"`
	Height       int      `json:"height"`
	SampleRateHz int      `json:"sample_rate"`
	SampleCount  int      `json:"samples"`
	Silent       bool     `json:"silent,omitempty"`
	Quiet        bool     `json:"quiet,omitempty"`
	Still        bool     `json:"still,omitempty"`
	LowMotion    bool     `json:"low_motion,omitempty"`
	Signature    string   `json:"signature,omitempty"`
	Row          *int     `json:"row,omitempty"` // nil before there were rows, or by others
}

// memberOf returns what key.json holds of a clip.
func memberOf(f *Info) *memberInfo {
	row := f.Row
	return &memberInfo{
		Key: f.Key, Labels: f.Labels, Split: f.Split, Source: f.Source, Start: f.Start,
		Seconds: f.Seconds, FPS: f.FPS, FrameCount: f.FrameCount, Width: f.Width,
		Height: f.Height, SampleRateHz: f.SampleRateHz, SampleCount: f.SampleCount,
		Silent: f.Silent, Quiet: f.Quiet, Still: f.Still, LowMotion: f.LowMotion,
		Signature: f.Signature, Row: &row,
	}
}

// info returns the clip that m describes, without its place.
func (m *memberInfo) info() Info {
	f := Info{
		Key: m.Key, Labels: m.Labels, Split: m.Split, Source: m.Source, Start: m.Start,
		Seconds: m.Seconds, FPS: m.FPS, FrameCount: m.FrameCount, Width: m.Width,
		Height: m.Height, SampleRateHz: m.SampleRateHz, SampleCount: m.SampleCount,
		Silent: m.Silent, Quiet: m.Quiet, Still: m.Still, LowMotion: m.LowMotion,
		Signature: m.Signature,
	}
	if m.Row != nil {
		f.Row = *m.Row
	}
	return f
}

func frameName(key string, i int) string {
	n := strconv.Itoa(i)
	return key + "." + "0000"[min(len(n), 4):] + n + ".jpg"
}

// parseRecord sets c's Frames and Samples from the bytes of its record, which
// Frames keeps pointing into. Every member must be one that info promises.
func parseRecord(c *Clip, record []byte) error {
	if got := crc32.Checksum(record, castagnoli); got != c.CRC {
		return fmt.Errorf("checksum %08x, the index says %08x", got, c.CRC)
	}
	c.Frames, c.Samples = c.Frames[:0], c.Samples[:0]
	m, err := splitRecord(&c.Info, record, c.Frames)
	if err != nil {
		return err
	}
	c.Frames = m.frames
	if m.wav == nil {
		return nil
	}
	var rate int
	if c.Samples, rate, err = readWAV(c.Samples, m.wav); err != nil {
		return err
	}
	return checkSamples(&c.Info, len(c.Samples), rate)
}

func checkSamples(f *Info, samples, rate int) error {
	if samples != f.SampleCount || rate != f.SampleRateHz {
		return fmt.Errorf("%d samples at %d Hz, the index says %d at %d",
			samples, rate, f.SampleCount, f.SampleRateHz)
	}
	return nil
}

// members are the files of a record; they point into it.
type members struct {
	json, wav []byte
	frames    [][]byte
}

// splitRecord finds the members of a clip, frames into the memory of the given slice.
// They are all there and in order, as ingest writes them, or in any order that others
// do, who sort names for instance.
func splitRecord(f *Info, record []byte, frames [][]byte) (members, error) {
	m := members{frames: slices.Grow(frames[:0], f.FrameCount)[:f.FrameCount]}
	clear(m.frames)
	for rest := record; len(rest) > 0; {
		name, data, tail, err := nextMember(rest)
		if err != nil {
			return m, err
		}
		place := m.place(f, name)
		if place == nil || *place != nil {
			return m, fmt.Errorf("member %.120q does not belong there", name)
		}
		*place, rest = data, tail
	}
	lacking := slices.IndexFunc(m.frames, func(b []byte) bool { return b == nil })
	switch {
	case m.json == nil:
		return m, fmt.Errorf("no %s.json", f.Key)
	case m.wav == nil && f.SampleCount > 0:
		return m, fmt.Errorf("no %s.wav", f.Key)
	case lacking >= 0:
		return m, fmt.Errorf("no %s", frameName(f.Key, lacking))
	}
	return m, nil
}

// place returns where a member of this name is kept, nil when the clip has none such.
func (m *members) place(f *Info, name string) *[]byte {
	ext, ok := strings.CutPrefix(name, f.Key)
	switch {
	case !ok:
		return nil
	case ext == ".json":
		return &m.json
	case ext == ".wav" && f.SampleCount > 0:
		return &m.wav
	}
	if n, ok := frameNumber(ext); ok && n < f.FrameCount {
		return &m.frames[n]
	}
	return nil
}

// frameNumber reads ".0000.jpg".
func frameNumber(ext string) (n int, ok bool) {
	if len(ext) != len(".0000.jpg") || ext[0] != '.' || ext[5:] != ".jpg" {
		return 0, false
	}
	for _, c := range []byte(ext[1:5]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
