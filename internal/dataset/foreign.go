package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image/jpeg"
	"math"

	"avjepa/internal/neardup"
)

// statedInfo is key.json as anybody may write it: what is nil was left out.
type statedInfo struct {
	memberInfo
	Seconds      *float64 `json:"seconds"`
	FrameCount   *int     `json:"frames"`
	Width        *int     `json:"width"`
	Height       *int     `json:"height"`
	SampleRateHz *int     `json:"sample_rate"`
	SampleCount  *int     `json:"samples"`
}

// clip describes the clip that a record holds, all but its place. foreign: it was not
// written by this program, at least not by one that noted rows; flags and signature are
// measured then.
func (s *shardScan) clip(key string, b []byte) (f Info, foreign bool, err error) {
	m, err := s.membersOf(key, b)
	if err != nil {
		return f, false, err
	}
	var j statedInfo
	if len(m.json) > maxLineBytes {
		return f, false, fmt.Errorf("JSON of %d bytes, at most %d", len(m.json), maxLineBytes)
	}
	if err := json.Unmarshal(m.json, &j); err != nil {
		return f, false, fmt.Errorf("JSON: %w", err)
	}
	if j.Key != "" && j.Key != key {
		return f, false, fmt.Errorf("JSON of key %.100q", j.Key)
	}
	f, foreign = j.info(), j.Row == nil
	f.Key, f.Source = key, plainText(f.Source)
	f.Bytes, f.CRC = int64(len(b)), crc32.Checksum(b, castagnoli)
	var samples []int16
	if f.SampleRateHz = 0; m.wav != nil {
		if samples, f.SampleRateHz, err = readWAV(nil, m.wav); err != nil {
			return f, foreign, err
		}
	}
	f.FrameCount, f.SampleCount = len(m.frames), len(samples)
	f.Width, f.Height, err = sides(m.frames)
	err = errors.Join(err, agrees("frames", j.FrameCount, f.FrameCount),
		agrees("samples", j.SampleCount, f.SampleCount),
		agrees("width", j.Width, f.Width), agrees("height", j.Height, f.Height),
		agrees("sample_rate", j.SampleRateHz, f.SampleRateHz), f.length(j.Seconds))
	if err == nil && foreign {
		s.measure(&f, m.frames, samples)
	}
	return f, foreign, err
}

// membersOf returns the members of a record, whatever they are: what belongs together
// is known only when all have been seen.
func (s *shardScan) membersOf(key string, b []byte) (members, error) {
	f := Info{Key: key}
	for rest := b; len(rest) > 0; {
		name, _, tail, err := nextMember(rest)
		if err != nil {
			return members{}, err
		}
		if ext := name[len(key):]; ext == ".wav" {
			f.SampleCount = 1
		} else if ext != ".json" {
			if f.FrameCount++; f.FrameCount > MaxFrames {
				return members{}, fmt.Errorf("more than %d frames", MaxFrames)
			}
		}
		rest = tail
	}
	return splitRecord(&f, b, nil)
}

// agrees compares what the JSON says with what is there.
func agrees(name string, said *int, found int) error {
	if said != nil && *said != found {
		return fmt.Errorf("the JSON says %s %d, there are %d", name, *said, found)
	}
	return nil
}

// length sets the seconds, or checks those that are given.
func (f *Info) length(said *float64) error {
	longest, slack := 0., .5
	if f.SampleCount > 0 && f.SampleRateHz > 0 {
		longest = float64(f.SampleCount) / float64(f.SampleRateHz)
	}
	if f.FrameCount > 0 && f.FPS > 0 {
		longest = max(longest, float64(f.FrameCount)/f.FPS)
		slack += 1 / f.FPS
	}
	if f.Seconds = longest; said != nil {
		f.Seconds = *said
	}
	if !(math.Abs(f.Seconds-longest) <= slack) {
		return fmt.Errorf("the JSON says %v s, the files have %.3f", f.Seconds, longest)
	}
	return nil
}

// sides returns the pixels of frames, which must be JPEG files of one size.
func sides(frames [][]byte) (w, h int, err error) {
	for i, data := range frames {
		c, err := jpeg.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return w, h, fmt.Errorf("frame %d: %w", i, err)
		}
		if i > 0 && (c.Width != w || c.Height != h) {
			return w, h, fmt.Errorf("frame %d has %d×%d pixels, the first %d×%d",
				i, c.Width, c.Height, w, h)
		}
		w, h = c.Width, c.Height
	}
	return w, h, nil
}

// measure sets what ingest would have: flags and signature.
func (s *shardScan) measure(f *Info, frames [][]byte, samples []int16) {
	if s.maker == nil || s.makerRate != f.SampleRateHz {
		s.maker, s.makerRate = neardup.NewMaker(max(f.SampleRateHz, 1)), f.SampleRateHz
	}
	f.Still = len(frames) > 0
	for _, data := range frames {
		f.Still = f.Still && bytes.Equal(data, frames[0])
	}
	peak := 0
	for _, v := range samples {
		peak = max(peak, int(v), -int(v))
	}
	f.Silent = len(samples) > 0 && peak <= silentPeak
	measure(f, s.maker, frames, samples)
}

// silentPeak is the largest sample of silence at DefaultIngestConfig's SilenceDB.
const silentPeak = 2

// fitsLine returns an error when a clip's line of the index would be too long to read.
func fitsLine(f *Info) error {
	text, err := json.Marshal(f)
	if err == nil && len(text) >= maxLineBytes {
		err = fmt.Errorf("its line of the index would have %d bytes, at most %d: fewer labels",
			len(text), maxLineBytes-1)
	}
	return err
}
