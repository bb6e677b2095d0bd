package view

import (
	"errors"
	"fmt"
	"image"
)

// Decoded is a clip made ready for Fill and Eval: the log-mel of the whole
// clip and its frames, as pixels or, when lazy, still as JPEG. It is read-only
// and may be shared by goroutines. It belongs to makers whose Config agrees in
// what stored gives.
type Decoded struct {
	made    stored
	fps     float64
	count   int             // frames
	w, h    int             // of a JPEG
	part    image.Rectangle // of a JPEG that is used: Config.Box
	samples []int16
	jpeg    [][]byte // lazy: decoded by each Fill
	pixels  []byte   // (count, side, side, 3) when fitted, else (count, part, 3)
	mel     []float32
	frames  int // of mel (Bands, frames)
}

// stored is what a Decoded depends on.
type stored struct {
	rate, bands, side, resize int
	seconds                   float64
	box                       [4]float64
	fitted                    bool // frames are kept resized and cropped
	modality                  string
}

func (c *Config) stored() stored {
	return stored{c.SampleRateHz, c.Bands, c.Side, c.Resize, c.Seconds, c.Box,
		!c.LocalCrop && !c.EvalSquash, c.Modality}
}

// minSeconds is the shortest clip that can be used.
const minSeconds = .5

// maxDecodedBytes bounds the pixels of one clip.
const maxDecodedBytes = 2 << 30

// Decode decodes a clip: frames are JPEGs of equal size shown at a constant
// fps, samples are mono at the config's rate (none is silence). A clip may have no
// frames, only samples. Without random crops frames are kept at Side × Side, else at their stored size; see
// MemoryBytes. It keeps samples, which must not change any more. It returns an
// error for a clip that is broken, shorter than 0.5 s or too large.
func (m *Maker) Decode(frames [][]byte, fps float64, samples []int16) (*Decoded, error) {
	d, err := m.Open(frames, fps, samples)
	if err != nil {
		return nil, err
	}
	s := m.take()
	defer m.give(s)
	size := d.frameBytes()
	if total := d.count * size; total > maxDecodedBytes {
		return nil, fmt.Errorf("view: %d frames of %v take %d bytes decoded, more than %d: "+
			"store smaller frames or do not cache", d.count, d.part.Size(), total, maxDecodedBytes)
	}
	pixels := make([]byte, d.count*size)
	for i, data := range d.jpeg {
		if err := m.loadPixels(pixels[i*size:][:size], d, data, s); err != nil {
			return nil, fmt.Errorf("view: frame %d: %w", i, err)
		}
	}
	if m.cfg.HasAudio() {
		d.mel = make([]float32, m.cfg.Bands*d.frames)
		m.clipMel(d.mel, d, s)
	}
	d.pixels, d.jpeg = pixels, nil
	return d, nil
}

// Open is the lazy Decode: it checks every frame's header and keeps frames
// and samples, which must not change any more. Each Fill decodes what it needs.
// Of a modality that views do not have nothing is looked at or kept.
func (m *Maker) Open(frames [][]byte, fps float64, samples []int16) (*Decoded, error) {
	if !m.cfg.HasVideo() {
		if len(samples) == 0 {
			return nil, errors.New("view: clip without sound")
		}
		frames, fps = nil, 1
	}
	if !m.cfg.HasAudio() {
		samples = nil
	}
	if !(fps > 0 && fps <= 1000) {
		return nil, fmt.Errorf("view: %v frames per second is outside 0 to 1000", fps)
	}
	if len(frames) == 0 && len(samples) == 0 {
		return nil, errors.New("view: clip without frames and samples")
	}
	rate := float64(m.cfg.SampleRateHz)
	length := max(float64(len(frames))/fps, float64(len(samples))/rate)
	if !(length >= minSeconds && length <= 10*maxSecond) {
		return nil, fmt.Errorf("view: clip of %.3f s is outside %v to %d s",
			length, minSeconds, 10*maxSecond)
	}
	d := &Decoded{made: m.cfg.stored(), fps: fps, count: len(frames), samples: samples,
		jpeg: frames}
	for i, data := range frames {
		w, h, err := frameSize(data)
		if err != nil {
			return nil, fmt.Errorf("view: frame %d: %w", i, err)
		}
		if i > 0 && (w != d.w || h != d.h) {
			return nil, fmt.Errorf("view: frame %d has %d×%d pixels, the first %d×%d: "+
				"all must be alike", i, w, h, d.w, d.h)
		}
		d.w, d.h = w, h
	}
	if d.HasVideo() {
		d.part = boxPixels(m.cfg.Box, d.w, d.h)
	}
	if a, b := d.part.Dx(), d.part.Dy(); max(a, b) > 64*min(a, b) {
		return nil, fmt.Errorf("view: frame part of %d×%d pixels: one side exceeds 64 times "+
			"the other", a, b)
	}
	d.frames = m.mel.Frames(max(len(samples), m.cfg.Samples()))
	return d, nil
}

// HasVideo and HasAudio report what the clip has. Of one without pictures only views of
// its sound can be made; one without sound is silent in views that have audio.
func (d *Decoded) HasVideo() bool { return d.count > 0 }
func (d *Decoded) HasAudio() bool { return len(d.samples) > 0 }

// MemoryBytes returns the memory d holds.
func (d *Decoded) MemoryBytes() int64 {
	n := int64(len(d.pixels)) + 4*int64(len(d.mel)) + 2*int64(len(d.samples)) + 256
	for _, j := range d.jpeg {
		n += int64(len(j)) + 24
	}
	return n
}

// frameSide returns width and height of a frame as kept for views.
func (d *Decoded) frameSide() (w, h int) {
	if d.made.fitted {
		return d.made.side, d.made.side
	}
	return d.part.Dx(), d.part.Dy()
}

func (d *Decoded) frameBytes() int {
	w, h := d.frameSide()
	return 3 * w * h
}

// decodeFrame sets the pixels need of dst (part, 3), the used part of a frame, from
// its JPEG; the others it may leave or change.
func (d *Decoded) decodeFrame(dst, data []byte, need image.Rectangle, s *scratch) error {
	stride := 3 * d.part.Dx()
	at := need.Min.Y*stride + 3*need.Min.X
	return s.jpeg.Decode(dst[at:], stride, data, d.w, d.h, need.Add(d.part.Min))
}

// loadPixels sets dst to a frame as kept for views: the used part, resized and
// cropped when that is all that any view takes of it.
func (m *Maker) loadPixels(dst []byte, d *Decoded, data []byte, s *scratch) error {
	w, h := d.part.Dx(), d.part.Dy()
	if !d.made.fitted {
		return d.decodeFrame(dst, data, image.Rect(0, 0, w, h), s)
	}
	s.rgb = grow(s.rgb, 3*w*h)
	s.fit.fit(w, h, m.cfg.Resize, m.cfg.Side, false)
	if err := d.decodeFrame(s.rgb, data, s.fit.source(), s); err != nil {
		return err
	}
	s.fit.run(dst, s.rgb, 0, 3*w)
	return nil
}

// clipMel sets mel (Bands, d.frames) to the log-mel of the whole clip, padded
// with silence to the length of a view.
func (m *Maker) clipMel(mel []float32, d *Decoded, s *scratch) {
	m.clipMelSpan(mel, d, 0, d.frames, s)
}

// clipMelSpan sets the frames lo … hi−1 of clipMel and leaves the others.
func (m *Maker) clipMelSpan(mel []float32, d *Decoded, lo, hi int, s *scratch) {
	m.mel.span(mel, d.frames, d.samples, max(len(d.samples), m.cfg.Samples()), lo, hi, s.mel)
}

// windowMel sets dst (Bands, MelFrames) to the log-mel in dB of the window
// that starts at hop start: the inner frames are those of the clip, the ones
// that reach over an edge of the window are computed from its samples.
func (m *Maker) windowMel(dst, mel []float32, d *Decoded, start int, s *scratch) {
	hop, reach, n := m.mel.cfg.Hop, m.mel.cfg.NFFT/2, m.cfg.Samples()
	frames := m.cfg.MelFrames()
	lo := min((reach+hop-1)/hop, frames) // first inner frame
	hi := frames                         // behind the last one
	for hi > lo && (hi-1)*hop+reach > n {
		hi--
	}
	for b := range m.cfg.Bands {
		copy(dst[b*frames+lo:b*frames+hi], mel[b*d.frames+start+lo:])
	}
	from := min(start*hop, len(d.samples))
	samples := d.samples[from:min(from+n, len(d.samples))]
	m.mel.span(dst, frames, samples, n, 0, lo, s.mel)
	m.mel.span(dst, frames, samples, n, hi, frames, s.mel)
}
