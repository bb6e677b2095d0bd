package view

import (
	"fmt"
	"image"
	"sync"
	"time"

	"avjepa/internal/rng"
)

// Maker makes views. Any number of goroutines may use it.
type Maker struct {
	cfg Config
	mel *LogMel

	mu   sync.Mutex
	idle []*scratch
}

// scratch is the working memory of one call.
type scratch struct {
	random *rng.Stream
	mel    *MelScratch
	clip   []float32 // log-mel of a lazy clip
	rgb    []byte    // one frame
	fit    resampler // of global views
	crop   resampler // of local views
	blur   resampler
	starts []int
	plans  []plan
	video  []byte // (T, S, S, 3), before normalisation
	// plain is audio of this Fill as it was computed, in the batch; its start.
	plain      []float32
	plainStart int
	slot       []int // of each frame of a lazy clip in pixels, −1 when not decoded
	pixels     []byte
}

// NewMaker returns a Maker, or every fault of cfg.
func NewMaker(cfg Config) (*Maker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	mel, err := NewLogMel(cfg.Mel())
	if err != nil {
		return nil, err
	}
	return &Maker{cfg: cfg, mel: mel}, nil
}

// Config returns the configuration.
func (m *Maker) Config() Config { return m.cfg }

func (m *Maker) take() *scratch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.idle); n > 0 {
		s := m.idle[n-1]
		m.idle = m.idle[:n-1]
		return s
	}
	return &scratch{random: rng.New(0), mel: m.mel.NewScratch()}
}

func (m *Maker) give(s *scratch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = append(m.idle, s)
}

// Fill sets place slot of b to the views of the clip d with the given key. The
// same seed, epoch and key give the same views whatever else was made before.
// Calls for different slots may run at the same time. The error is that of a
// frame of a lazy clip that cannot be decoded; the slot is then undefined.
func (m *Maker) Fill(b *Batch, slot int, d *Decoded, seed uint64, epoch int, key string) error {
	m.check(d, slot, b.Size)
	s := m.take()
	defer m.give(s)
	c := &m.cfg
	s.random.Restart(seed, "view", epoch, key)
	m.draw(s, d, s.random)
	mel := m.melOf(d, s)
	m.beginVideo(d, s)
	b.Keys[slot] = key

	s.plain = nil
	video, audio := 0, 0 // views of the present group made so far
	for v := range s.plans {
		if v == c.Globals {
			video, audio = 0, 0
		}
		p := &s.plans[v]
		pixels, floats, levels := b.GlobalVideo, b.GlobalVideoF, b.GlobalAudio
		if v >= c.Globals {
			pixels, floats, levels = b.LocalVideo, b.LocalVideoF, b.LocalAudio
		}
		if p.audio {
			m.fillAudio(part(levels, audio*b.Size+slot, c.audioElems()), mel, d, p, s)
			audio++
		}
		if !p.video {
			continue
		}
		var err error
		if at := video*b.Size + slot; floats == nil {
			err = m.fillVideo(part(pixels, at, c.videoElems()), d, p, s)
		} else {
			err = m.fillVideoF(part(floats, at, c.videoElems()), d, p, s)
		}
		if err != nil {
			return err
		}
		video++
	}
	return nil
}

// fillAudio sets dst (F, MelFrames) to the planned view's audio. Views with
// the same start differ at most in what is altered and masked.
func (m *Maker) fillAudio(dst, mel []float32, d *Decoded, p *plan, s *scratch) {
	if p.dropAudio {
		clear(dst)
		return
	}
	if s.plain != nil && s.plainStart == p.start {
		copy(dst, s.plain)
	} else {
		m.audio(dst, mel, d, p.start, s)
	}
	if p.plain() {
		s.plain, s.plainStart = dst, p.start
		return
	}
	p.alter.audio(dst, &m.cfg)
	p.maskAudio(dst, &m.cfg)
}

// fillVideo sets dst (T, S, S, 3) to the planned view's video.
func (m *Maker) fillVideo(dst []byte, d *Decoded, p *plan, s *scratch) error {
	if err := m.video(dst, d, p, s); err != nil {
		return err
	}
	p.alter.video(dst, &m.cfg, s)
	return nil
}

// fillVideoF sets dst (3, T, S, S) to the same, normalised and masked.
func (m *Maker) fillVideoF(dst []float32, d *Decoded, p *plan, s *scratch) error {
	c := &m.cfg
	if p.dropVideo {
		clear(dst)
		return nil
	}
	s.video = grow(s.video, c.videoElems())
	if err := m.fillVideo(s.video, d, p, s); err != nil {
		return err
	}
	normalise(dst, s.video, c.Frames, c.Side*c.Side)
	p.maskVideo(dst, c)
	return nil
}

// Eval sets video (T, S, S, 3) and audio (F, MelFrames, normalised) to
// evaluation window number window of windows: no random choice, windows evenly
// over the clip. Either may be nil. Errors are those of Fill.
func (m *Maker) Eval(video []byte, audio []float32, d *Decoded, window, windows int) error {
	m.check(d, window, windows)
	start := evalStart(d.slack(&m.cfg), window, windows)
	return m.eval(video, audio, d, start, start)
}

// EvalAt is Eval with a start of its own for each modality, in steps of 10 ms
// from 0 to LastStart, to test what a shift between the two does.
func (m *Maker) EvalAt(video []byte, audio []float32, d *Decoded,
	videoStart, audioStart time.Duration) error {
	m.check(d, 0, 1)
	last := m.LastStart(d)
	for _, t := range []time.Duration{videoStart, audioStart} {
		if t < 0 || t > last {
			return fmt.Errorf("view: a window cannot start at %v in this clip, only at 0 to %v",
				t, last)
		}
	}
	const step = 10 * time.Millisecond
	return m.eval(video, audio, d, int(videoStart/step), int(audioStart/step))
}

// LastStart returns the latest start of a window that lies within the clip.
func (m *Maker) LastStart(d *Decoded) time.Duration {
	return time.Duration(d.slack(&m.cfg)) * 10 * time.Millisecond
}

func (m *Maker) eval(video []byte, audio []float32, d *Decoded, videoStart, audioStart int) error {
	s := m.take()
	defer m.give(s)
	if audio != nil {
		m.audio(part(audio, 0, m.cfg.audioElems()), m.melOf(d, s), d, audioStart, s)
	}
	if video == nil {
		return nil
	}
	p := plan{start: videoStart}
	if m.cfg.EvalSquash {
		w, h := d.frameSide()
		p.crop = image.Rect(0, 0, w, h)
	}
	m.beginVideo(d, s)
	return m.video(part(video, 0, m.cfg.videoElems()), d, &p, s)
}

func (m *Maker) check(d *Decoded, i, n int) {
	if i < 0 || i >= n {
		panic(fmt.Sprintf("view: slot or window %d of %d", i, n))
	}
	if d.made != m.cfg.stored() {
		panic(fmt.Sprintf("view: clip decoded for %+v, used with %+v", d.made, m.cfg.stored()))
	}
}

// beginVideo readies scratch for the frames of a clip.
func (m *Maker) beginVideo(d *Decoded, s *scratch) {
	if d.jpeg == nil {
		return
	}
	s.slot = grow(s.slot, d.count)
	for i := range s.slot {
		s.slot[i] = -1
	}
	s.pixels = s.pixels[:0]
}

// melOf returns the log-mel of the whole clip, in scratch when d is lazy.
func (m *Maker) melOf(d *Decoded, s *scratch) []float32 {
	if d.mel != nil {
		return d.mel
	}
	s.clip = grow(s.clip, m.cfg.Bands*d.frames)
	m.clipMel(s.clip, d, s)
	return s.clip
}

// audio sets dst (F, MelFrames) to the normalised log-mel of a window.
func (m *Maker) audio(dst, mel []float32, d *Decoded, start int, s *scratch) {
	m.windowMel(dst, mel, d, start, s)
	mean, scale := float32(m.cfg.MelMean), float32(1/m.cfg.MelStd)
	for i, v := range dst {
		dst[i] = (v - mean) * scale
	}
}

// video sets dst (T, S, S, 3) to the frames of a planned view.
func (m *Maker) video(dst []byte, d *Decoded, p *plan, s *scratch) error {
	c := &m.cfg
	size := c.Side * c.Side * 3
	w, h := d.frameSide()
	r := &s.crop
	switch {
	case d.made.fitted:
	case p.crop.Empty():
		r = &s.fit
		r.fit(w, h, c.Resize, c.Side, p.flip)
	default:
		r.stretch(p.crop.Dx(), p.crop.Dy(), c.Side, c.Side, p.flip)
	}
	for i := range c.Frames {
		frame, err := m.pixelsOf(d, d.frameAt(c, p.start, i), s)
		if err != nil {
			return err
		}
		out := part(dst, i, size)
		switch {
		case !d.made.fitted:
			r.run(out, frame, (p.crop.Min.Y*w+p.crop.Min.X)*3, w*3)
		case p.flip:
			for y := range c.Side {
				mirror(part(out, y, 3*c.Side), part(frame, y, 3*c.Side))
			}
		default:
			copy(out, frame)
		}
	}
	return nil
}

// pixelsOf returns frame i as kept for views, decoding it when d is lazy.
func (m *Maker) pixelsOf(d *Decoded, i int, s *scratch) ([]byte, error) {
	size := d.frameBytes()
	if d.jpeg == nil {
		return part(d.pixels, i, size), nil
	}
	if s.slot[i] < 0 {
		n := len(s.pixels)
		if n+size > cap(s.pixels) {
			s.pixels = append(make([]byte, 0, max(2*cap(s.pixels), n+size)), s.pixels...)
		}
		s.pixels = s.pixels[:n+size]
		if err := m.loadPixels(s.pixels[n:], d, d.jpeg[i], s); err != nil {
			return nil, fmt.Errorf("view: frame %d: %w", i, err)
		}
		s.slot[i] = n / size
	}
	return part(s.pixels, s.slot[i], size), nil
}
