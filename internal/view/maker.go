package view

import (
	"fmt"
	"image"
	"sync"

	"avjepa/internal/rng"
)

// Batch holds the views of Size clips, view-major, as the engine takes them:
//
//	GlobalVideo   (G, B, T, S, S, 3)   pixels, not normalised
//	GlobalAudio   (G, B, F, M)         normalised log-mel, M = MelFrames
//	LocalVideo    (Kv, B, T, S, S, 3)  Kv = Config.VideoLocals
//	LocalAudio    (Ka, B, F, M)        Ka = Config.AudioLocals
//	GlobalVideoF  (G, B, 3, T, S, S)   normalised, instead of GlobalVideo when
//	LocalVideoF   (Kv, B, 3, T, S, S)  Config.FloatVideo; likewise
//	Keys          (B)
//
// With alternating locals, local 2i is audio view i and local 2i+1 video view
// i; with both modalities in each, local i is audio view i and video view i.
type Batch struct {
	Size                      int
	GlobalVideo, LocalVideo   []byte
	GlobalVideoF, LocalVideoF []float32
	GlobalAudio, LocalAudio   []float32
	Keys                      []string
}

// Maker makes views. Any number of goroutines may use it.
type Maker struct {
	cfg Config
	mel *LogMel

	mu   sync.Mutex
	idle []*scratch
}

// scratch is the working memory of one call.
type scratch struct {
	mel    *MelScratch
	clip   []float32 // log-mel of a lazy clip
	rgb    []byte    // one frame
	fit    resampler // of global views
	crop   resampler // of local views
	starts []int
	plans  []plan
	video  []byte // (T, S, S, 3), before normalisation
	slot   []int  // of each frame of a lazy clip in pixels, −1 when not decoded
	pixels []byte
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
	return &scratch{mel: m.mel.NewScratch()}
}

func (m *Maker) give(s *scratch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.idle = append(m.idle, s)
}

// videoElems and audioElems return the size of one view.
func (c *Config) videoElems() int { return c.Frames * c.Side * c.Side * 3 }
func (c *Config) audioElems() int { return c.Bands * c.MelFrames() }

// NewBatch returns a batch for size clips.
func (m *Maker) NewBatch(size int) *Batch {
	c := &m.cfg
	b := &Batch{Size: size, Keys: make([]string, size)}
	b.GlobalAudio = make([]float32, c.Globals*size*c.audioElems())
	b.LocalAudio = make([]float32, c.AudioLocals()*size*c.audioElems())
	global, local := c.Globals*size*c.videoElems(), c.VideoLocals()*size*c.videoElems()
	if c.FloatVideo() {
		b.GlobalVideoF, b.LocalVideoF = make([]float32, global), make([]float32, local)
	} else {
		b.GlobalVideo, b.LocalVideo = make([]byte, global), make([]byte, local)
	}
	return b
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
	m.draw(s, d, rng.New(seed, "view", epoch, key))
	mel := m.begin(d, s)
	b.Keys[slot] = key

	unmasked, from := []float32(nil), 0 // audio made before that can be copied
	video, audio := 0, 0                // views of the present group made so far
	for v := range s.plans {
		if v == c.Globals {
			video, audio = 0, 0
		}
		p := &s.plans[v]
		gv, gf, ga := b.GlobalVideo, b.GlobalVideoF, b.GlobalAudio
		if v >= c.Globals {
			gv, gf, ga = b.LocalVideo, b.LocalVideoF, b.LocalAudio
		}
		if p.audio {
			dst := part(ga, audio*b.Size+slot, c.audioElems())
			audio++
			switch {
			case p.dropAudio:
				clear(dst)
			case unmasked != nil && from == p.start:
				copy(dst, unmasked)
				p.maskAudio(dst, c)
			default:
				m.audio(dst, mel, d, p.start, s)
				if p.maskAudio(dst, c); !p.bands.masked() && !p.times.masked() {
					unmasked, from = dst, p.start
				}
			}
		}
		if p.video {
			at := video*b.Size + slot
			video++
			if gf == nil {
				if err := m.video(part(gv, at, c.videoElems()), d, p, s); err != nil {
					return err
				}
				continue
			}
			dst := part(gf, at, c.videoElems())
			if p.dropVideo {
				clear(dst)
				continue
			}
			s.video = grow(s.video, c.videoElems())
			if err := m.video(s.video, d, p, s); err != nil {
				return err
			}
			normalise(dst, s.video, c.Frames, c.Side*c.Side)
			p.maskVideo(dst, c)
		}
	}
	return nil
}

// Eval sets video (T, S, S, 3) and audio (F, MelFrames, normalised) to
// evaluation window number window of windows: no random choice, windows evenly
// over the clip. Either may be nil. Errors are those of Fill.
func (m *Maker) Eval(video []byte, audio []float32, d *Decoded, window, windows int) error {
	m.check(d, window, windows)
	s := m.take()
	defer m.give(s)
	p := plan{start: evalStart(d.slack(&m.cfg), window, windows)}
	if audio != nil {
		m.audio(part(audio, 0, m.cfg.audioElems()), m.melOf(d, s), d, p.start, s)
	}
	if video == nil {
		return nil
	}
	m.beginVideo(d, s)
	if m.cfg.EvalSquash {
		w, h := d.frameSide()
		p.crop = image.Rect(0, 0, w, h)
	}
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

// part returns block i of x, blocks having n elements.
func part[T any](x []T, i, n int) []T { return x[i*n : (i+1)*n : (i+1)*n] }

// begin readies scratch for a clip and returns its log-mel.
func (m *Maker) begin(d *Decoded, s *scratch) []float32 {
	m.beginVideo(d, s)
	return m.melOf(d, s)
}

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
			return nil, fmt.Errorf("frame %d: %w", i, err)
		}
		s.slot[i] = n / size
	}
	return part(s.pixels, s.slot[i], size), nil
}

// PixelMean and PixelStd normalise pixels on [0, 1], per channel R, G, B.
var (
	PixelMean = [3]float32{.485, .456, .406}
	PixelStd  = [3]float32{.229, .224, .225}
)

// normalise sets dst (3, T, n) to the normalised pixels src (T, n, 3).
func normalise(dst []float32, src []byte, frames, n int) {
	for c := range 3 {
		scale, mean := 1/(255*PixelStd[c]), PixelMean[c]/PixelStd[c]
		out := dst[c*frames*n:][:frames*n]
		for i := range out {
			out[i] = float32(src[3*i+c])*scale - mean
		}
	}
}
