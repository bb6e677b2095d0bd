package view

import (
	"errors"
	"fmt"
	"image"
	"sync"
	"time"

	"avjepa/internal/jpeg"
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
	jpeg   jpeg.Decoder
	pixels []byte    // a frame of a lazy clip, as kept for views
	rgb    []byte    // one frame
	fit    resampler // of frames kept fitted
	blur   resampler
	starts []int
	plans  []plan
	shown  []shown // the views with video
	takes  []take  // what they take of the clip's frames
	// plain is audio of this Fill as it was computed, in the batch; its start.
	plain      []float32
	plainStart int
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
// frame of a lazy clip that cannot be decoded, or of a clip without pictures; the slot
// is then undefined.
func (m *Maker) Fill(b *Batch, slot int, d *Decoded, seed uint64, epoch int, key string) error {
	m.check(d, slot, b.Size)
	if m.cfg.HasVideo() && !d.HasVideo() {
		return errNoVideo // global views have both modalities
	}
	s := m.take()
	defer m.give(s)
	c := &m.cfg
	s.random.Restart(seed, "view", epoch, key)
	m.draw(s, d, s.random)
	mel := m.melOfPlans(d, s)
	b.Keys[slot] = key

	s.plain = nil
	s.shown = s.shown[:0]
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
		if at := video*b.Size + slot; floats == nil {
			m.show(d, p, part(pixels, at, c.videoElems()), nil, s)
		} else {
			m.show(d, p, nil, part(floats, at, c.videoElems()), s)
		}
		video++
	}
	return m.fillVideo(d, s)
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

// FillEval sets place slot of b, whose clips have one global view and no local ones,
// to the evaluation view of the clip d: no random choice.
func (m *Maker) FillEval(b *Batch, slot int, d *Decoded, key string) error {
	m.check(d, slot, b.Size)
	if m.cfg.Globals != 1 || m.cfg.Locals != 0 || m.cfg.FloatVideo() {
		panic("view: FillEval of batches with more than a global view")
	}
	var video []byte
	var audio []float32
	if m.cfg.HasVideo() {
		video = part(b.GlobalVideo, slot, m.cfg.videoElems())
	}
	if m.cfg.HasAudio() {
		audio = part(b.GlobalAudio, slot, m.cfg.audioElems())
	}
	b.Keys[slot] = key
	return m.Eval(video, audio, d, 0, 1)
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

// EvalStart returns where evaluation window number window of windows begins.
func (m *Maker) EvalStart(d *Decoded, window, windows int) time.Duration {
	m.check(d, window, windows)
	return time.Duration(evalStart(d.slack(&m.cfg), window, windows)) * 10 * time.Millisecond
}

// LastStart returns the latest start of a window that lies within the clip.
func (m *Maker) LastStart(d *Decoded) time.Duration {
	return time.Duration(d.slack(&m.cfg)) * 10 * time.Millisecond
}

func (m *Maker) eval(video []byte, audio []float32, d *Decoded, videoStart, audioStart int) error {
	s := m.take()
	defer m.give(s)
	if audio != nil {
		m.audio(part(audio, 0, m.cfg.audioElems()),
			m.melOf(d, audioStart, audioStart+m.cfg.MelFrames(), s), d, audioStart, s)
	}
	if video == nil {
		return nil
	}
	if !d.HasVideo() {
		return errNoVideo
	}
	p := plan{start: videoStart}
	if m.cfg.EvalSquash {
		w, h := d.frameSide()
		p.crop = image.Rect(0, 0, w, h)
	}
	s.shown = s.shown[:0]
	m.show(d, &p, part(video, 0, m.cfg.videoElems()), nil, s)
	return m.showFrames(d, s)
}

// errNoVideo is the error of a view that shows what the clip does not have.
var errNoVideo = errors.New("view: the clip has no picture")

func (m *Maker) check(d *Decoded, i, n int) {
	if i < 0 || i >= n {
		panic(fmt.Sprintf("view: slot or window %d of %d", i, n))
	}
	if d.made != m.cfg.stored() {
		panic(fmt.Sprintf("view: clip decoded for %+v, used with %+v", d.made, m.cfg.stored()))
	}
}

// melOf returns the log-mel of the whole clip (Bands, d.frames), in scratch when d
// is lazy; then only frames lo … hi−1 are valid.
func (m *Maker) melOf(d *Decoded, lo, hi int, s *scratch) []float32 {
	if d.mel != nil {
		return d.mel
	}
	s.clip = grow(s.clip, m.cfg.Bands*d.frames)
	m.clipMelSpan(s.clip, d, lo, min(hi, d.frames), s)
	return s.clip
}

// melOfPlans is melOf for what the planned views show.
func (m *Maker) melOfPlans(d *Decoded, s *scratch) []float32 {
	lo, hi := d.frames, 0
	for i := range s.plans {
		if p := &s.plans[i]; p.audio && !p.dropAudio {
			lo, hi = min(lo, p.start), max(hi, p.start+m.cfg.MelFrames())
		}
	}
	return m.melOf(d, lo, hi, s)
}

// audio sets dst (F, MelFrames) to the normalised log-mel of a window.
func (m *Maker) audio(dst, mel []float32, d *Decoded, start int, s *scratch) {
	m.windowMel(dst, mel, d, start, s)
	mean, scale := float32(m.cfg.MelMean), float32(1/m.cfg.MelStd)
	for i, v := range dst {
		dst[i] = (v - mean) * scale
	}
}
