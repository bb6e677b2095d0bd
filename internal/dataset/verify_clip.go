package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"slices"
)

// maxDecodePixels bounds the memory for decoding one frame.
const maxDecodePixels = 1 << 25

// clip checks the bytes of one clip's record.
func (r *spanReader) clip(c *Info, b []byte) error {
	if got := crc32.Checksum(b, castagnoli); got != c.CRC {
		return fmt.Errorf("checksum %08x, the index says %08x", got, c.CRC)
	}
	m, err := splitRecord(c, b, r.frames)
	if err != nil {
		return err
	}
	r.frames = m.frames
	if m.wav != nil {
		samples, rate, err := wavSize(m.wav)
		if err == nil {
			err = checkSamples(c, samples, rate)
		}
		if err != nil {
			return err
		}
	}
	if err := checkMember(c, m.json); err != nil {
		return err
	}
	if !r.v.cfg.Decode {
		return nil
	}
	for i, data := range m.frames {
		if i > 0 && bytes.Equal(data, m.frames[i-1]) {
			continue // repeated to fill up
		}
		if err := checkFrame(data, c.Width, c.Height); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
	return nil
}

// checkMember compares the JSON in a record with the index. What ingest wrote is the
// same in all; what others wrote may lack what followed from the files.
func checkMember(c *Info, text []byte) error {
	var m memberInfo
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	want := memberOf(c)
	if m.Row != nil {
		if again, err := json.Marshal(want); err != nil || !bytes.Equal(again, text) {
			return fmt.Errorf("the JSON is %.300q, from the index follows %.300q", text, again)
		}
		return nil
	}
	for _, x := range []struct {
		name       string
		said, have any
		lacks      bool
	}{
		{"key", m.Key, c.Key, m.Key == ""},
		{"split", m.Split, c.Split, false},
		{"start", m.Start, c.Start, false},
		{"seconds", m.Seconds, c.Seconds, m.Seconds == 0},
		{"fps", m.FPS, c.FPS, false},
		{"frames", m.FrameCount, c.FrameCount, m.FrameCount == 0},
		{"width", m.Width, c.Width, m.Width == 0},
		{"height", m.Height, c.Height, m.Height == 0},
		{"sample_rate", m.SampleRateHz, c.SampleRateHz, m.SampleRateHz == 0},
		{"samples", m.SampleCount, c.SampleCount, m.SampleCount == 0},
	} {
		if x.said != x.have && !x.lacks {
			return fmt.Errorf("the JSON says %s %v, the index %v", x.name, x.said, x.have)
		}
	}
	if !slices.Equal(m.Labels, c.Labels) {
		return fmt.Errorf("the JSON has the labels %.200q, the index %.200q", m.Labels, c.Labels)
	}
	return nil
}

// checkFrame decodes a JPEG file, which must be of the given size.
func checkFrame(data []byte, w, h int) error {
	conf, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if conf.Width != w || conf.Height != h {
		return fmt.Errorf("%d×%d pixels, the index says %d×%d", conf.Width, conf.Height, w, h)
	}
	if w*h > maxDecodePixels {
		return fmt.Errorf("%d×%d pixels, at most %d are decoded", w, h, maxDecodePixels)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err == nil && img.Bounds() != image.Rect(0, 0, w, h) {
		err = errors.New("the picture has another size than its header")
	}
	return err
}
