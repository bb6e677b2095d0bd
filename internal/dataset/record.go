package dataset

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"
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
	meta, err := json.Marshal(memberInfo{
		Key: info.Key, Labels: info.Labels, Split: info.Split, Source: info.Source,
		Start: info.Start, Seconds: info.Seconds, FPS: info.FPS, FrameCount: info.FrameCount,
		Width: info.Width, Height: info.Height, SampleRateHz: info.SampleRateHz,
		SampleCount: info.SampleCount, Silent: info.Silent,
	})
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
}

func frameName(key string, i int) string {
	n := strconv.Itoa(i)
	return key + "." + "0000"[min(len(n), 4):] + n + ".jpg"
}

// parseRecord sets c's Frames and Samples from the bytes of its record, which
// Frames keeps pointing into. Every member must be the one that info promises.
func parseRecord(c *Clip, record []byte) error {
	if got := crc32.Checksum(record, castagnoli); got != c.CRC {
		return fmt.Errorf("checksum %08x, the index says %08x", got, c.CRC)
	}
	c.Frames, c.Samples = c.Frames[:0], c.Samples[:0]
	want := func(name string, rest []byte) (data, tail []byte, err error) {
		got, data, tail, err := nextMember(rest)
		if err == nil && got != name {
			err = fmt.Errorf("member %.120q where %q should be", got, name)
		}
		return data, tail, err
	}
	_, rest, err := want(c.Key+".json", record)
	if err != nil {
		return err
	}
	if c.SampleCount > 0 {
		var data []byte
		if data, rest, err = want(c.Key+".wav", rest); err != nil {
			return err
		}
		var rate int
		if c.Samples, rate, err = readWAV(c.Samples, data); err != nil {
			return err
		}
		if len(c.Samples) != c.SampleCount || rate != c.SampleRateHz {
			return fmt.Errorf("%d samples at %d Hz, the index says %d at %d",
				len(c.Samples), rate, c.SampleCount, c.SampleRateHz)
		}
	}
	for i := range c.FrameCount {
		var data []byte
		if data, rest, err = want(frameName(c.Key, i), rest); err != nil {
			return err
		}
		c.Frames = append(c.Frames, data)
	}
	if len(rest) != 0 {
		return fmt.Errorf("%d bytes behind the last member", len(rest))
	}
	return nil
}
