package view

import (
	"bytes"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"avjepa/internal/rng"
)

// TestWindowMelIsDirect holds the log-mel cut from the clip's to that computed
// from the window's own samples, bit for bit.
func TestWindowMelIsDirect(t *testing.T) {
	for _, clip := range []float64{.5, 2.56, 3.2, 3.2071} {
		m := newMaker(t, demoConfig())
		c := m.Config()
		frames, samples := testClip(t, 40, 40, clip, 12.5)
		d := decode(t, m, frames, 12.5, samples)
		window, s := make([]float32, c.Samples()), m.mel.NewScratch()
		got := make([]float32, c.audioElems())
		want := make([]float32, c.audioElems())
		for start := 0; start <= d.slack(&c); start += 3 {
			for i := range window {
				window[i] = 0
				if j := start*160 + i; j < len(samples) {
					window[i] = float32(samples[j]) / 32768
				}
			}
			m.mel.Compute(want, window, s)
			m.windowMel(got, d.mel, d, start, &scratch{mel: s})
			if !slices.Equal(got, want) {
				t.Fatalf("clip of %v s, start %d: log-mel differs from the direct one", clip, start)
			}
		}
	}
}

// views are copies of the blocks of one slot.
func views(b *Batch, slot int, c Config) (out [][]float32) {
	cut := func(n, size int, at func(int) float32) {
		for v := range n {
			x := make([]float32, size)
			for i := range x {
				x[i] = at((v*b.Size+slot)*size + i)
			}
			out = append(out, x)
		}
	}
	cut(c.Globals, c.audioElems(), func(i int) float32 { return b.GlobalAudio[i] })
	cut(c.AudioLocals(), c.audioElems(), func(i int) float32 { return b.LocalAudio[i] })
	global := func(i int) float32 { return float32(b.GlobalVideo[i]) }
	local := func(i int) float32 { return float32(b.LocalVideo[i]) }
	if c.FloatVideo() {
		global = func(i int) float32 { return b.GlobalVideoF[i] }
		local = func(i int) float32 { return b.LocalVideoF[i] }
	}
	cut(c.Globals, c.videoElems(), global)
	cut(c.VideoLocals(), c.videoElems(), local)
	return out
}

// variants are configurations that take different paths through Fill.
func variants() map[string]Config {
	demo := demoConfig()
	crop := demo
	crop.LocalCrop, crop.Windows, crop.Resize, crop.Locals = true, WindowsPerView, 36, 3
	masked := crop
	masked.LocalModality, masked.Windows = LocalBoth, WindowsShared
	masked.Masking = Masking{ModalityDrop: .5, TubeArea: .5, TubeAspect: .5, TubePatch: 16,
		FreqBins: 20, TimeFrames: 100}
	altered := masked
	altered.Masking.TubeArea, altered.Masking.ModalityDrop = 0, 0
	altered.Augment = Augment{Jitter: .4, Grey: .3, Blur: .5, Solarise: .3, GainDB: 6, Noise: .5}
	return map[string]Config{"demo": demo, "crop": crop, "masked": masked, "altered": altered}
}

// TestFillIsAFunctionOfItsNames fills the same clip alone, in a crowd, cached
// and from JPEG.
func TestFillIsAFunctionOfItsNames(t *testing.T) {
	frames, samples := testClip(t, 48, 40, 3.2, 12.5)
	for name, c := range variants() {
		m := newMaker(t, c)
		d := decode(t, m, frames, 12.5, samples)
		lazy, err := m.Open(frames, 12.5, samples)
		if err != nil {
			t.Fatal(err)
		}
		one := m.NewBatch(1)
		fill(t, m, one, 0, d, 7, "clip")
		want := views(one, 0, c)

		crowd := m.NewBatch(5)
		var wg sync.WaitGroup
		for slot, key := range []string{"a", "b", "clip", "d", "clip"} {
			wg.Go(func() {
				if slot == 4 {
					fill(t, m, crowd, slot, lazy, 7, key)
				} else {
					fill(t, m, crowd, slot, d, 7, key)
				}
			})
		}
		wg.Wait()
		for _, slot := range []int{2, 4} {
			if !reflect.DeepEqual(views(crowd, slot, c), want) {
				t.Errorf("%s: slot %d differs from the clip filled alone", name, slot)
			}
			if crowd.Keys[slot] != "clip" {
				t.Errorf("%s: key %q in slot %d", name, crowd.Keys[slot], slot)
			}
		}
		for _, slot := range []int{0, 1, 3} {
			if reflect.DeepEqual(views(crowd, slot, c), want) {
				t.Errorf("%s: another key gives the same views", name)
			}
		}
		for seed := uint64(0); seed < 2; seed++ {
			if err := m.Fill(one, 0, d, 7+seed, 1-int(seed), "clip"); err != nil {
				t.Fatal(err)
			}
			if reflect.DeepEqual(views(one, 0, c), want) {
				t.Errorf("%s: another seed or epoch gives the same views", name)
			}
		}
	}
}

// TestClipsDoNotMix fills two clips whose windows all start at 0, one after
// the other, cached and lazy.
func TestClipsDoNotMix(t *testing.T) {
	for name, c := range variants() {
		frames, samples := testClip(t, 48, 40, 2.56, 12.5)
		m := newMaker(t, c)
		d := decode(t, m, frames, 12.5, samples)
		lazy, err := m.Open(frames, 12.5, samples)
		if err != nil {
			t.Fatal(err)
		}
		other := slices.Clone(frames)
		slices.Reverse(other)
		quiet, err := m.Open(other, 12.5, make([]int16, len(samples)))
		if err != nil {
			t.Fatal(err)
		}
		b := m.NewBatch(1)
		fill(t, m, b, 0, d, 1, "clip")
		want := views(b, 0, c)
		for _, clip := range []*Decoded{d, lazy} {
			fill(t, m, b, 0, quiet, 1, "clip")
			for i, x := range views(b, 0, c) {
				if reflect.DeepEqual(x, want[i]) && slices.Max(x) != slices.Min(x) {
					t.Fatalf("%s: block %d is the same for another clip", name, i)
				}
			}
			fill(t, m, b, 0, clip, 1, "clip")
			if !reflect.DeepEqual(views(b, 0, c), want) {
				t.Errorf("%s: views differ after another clip was filled", name)
			}
		}
	}
}

// TestFillMakesWhatIsPlanned compares each view with a plain rendering of its
// plan from the parts that the golden vectors hold.
func TestFillMakesWhatIsPlanned(t *testing.T) {
	frames, samples := testClip(t, 48, 40, 2.58, 50) // starts 0, 1 and 2 are possible
	for name, c := range variants() {
		m := newMaker(t, c)
		d := decode(t, m, frames, 50, samples)
		full := c
		full.LocalCrop = true
		original := decode(t, newMaker(t, full), frames, 50, samples)
		for seed := range uint64(8) {
			b := m.NewBatch(2)
			fill(t, m, b, 1, d, seed, "clip")
			got := views(b, 1, c)
			s := m.take()
			m.draw(s, d, rng.New(seed, "view", 0, "clip"))
			var audio, video [][]float32
			for _, p := range s.plans {
				if p.audio {
					audio = append(audio, plainAudio(m, d, &p))
				}
				if p.video {
					video = append(video, plainVideo(c, original, &p))
				}
			}
			for i, want := range append(audio, video...) {
				for j, v := range got[i] {
					if diff := math.Abs(float64(v - want[j])); !(diff <= 1e-4) {
						t.Fatalf("%s seed %d: block %d value %d is %v, want %v",
							name, seed, i, j, v, want[j])
					}
				}
			}
		}
	}
}

func plainAudio(m *Maker, d *Decoded, p *plan) []float32 {
	c := m.cfg
	x := make([]float32, c.audioElems())
	m.windowMel(x, d.mel, d, p.start, &scratch{mel: m.mel.NewScratch()})
	for i, v := range x {
		x[i] = float32((float64(v) - c.MelMean) / c.MelStd)
	}
	p.alter.audio(x, &c)
	for i := range x {
		band, frame := i/c.MelFrames(), i%c.MelFrames()
		if p.dropAudio || band >= p.bands.lo && band < p.bands.hi ||
			frame >= p.times.lo && frame < p.times.hi {
			x[i] = 0
		}
	}
	return x
}

func plainVideo(c Config, d *Decoded, p *plan) []float32 {
	pixels := make([]byte, c.videoElems())
	for i := range c.Frames {
		var r resampler
		w, h := d.frameSide()
		if p.crop.Empty() {
			r.fit(w, h, c.Resize, c.Side, false)
		} else {
			r.stretch(p.crop.Dx(), p.crop.Dy(), c.Side, c.Side, false)
		}
		out := make([]byte, c.Side*c.Side*3)
		frame := part(d.pixels, d.frameAt(&c, p.start, i), d.frameBytes())
		r.run(out, frame, (p.crop.Min.Y*w+p.crop.Min.X)*3, 3*w)
		for j, v := range out {
			y, x, ch := j/3/c.Side, j/3%c.Side, j%3
			if p.flip {
				x = c.Side - 1 - x
			}
			pixels[((i*c.Side+y)*c.Side+x)*3+ch] = v
		}
	}
	p.alter.video(pixels, &c, new(scratch))
	out := make([]float32, len(pixels))
	for j, v := range pixels {
		i, y, x, ch := j/3/c.Side/c.Side, j/3/c.Side%c.Side, j/3%c.Side, j%3
		if !c.FloatVideo() {
			out[j] = float32(v)
			continue
		}
		value := (float32(v)/255 - PixelMean[ch]) / PixelStd[ch]
		if p.dropVideo || x >= p.tube.Min.X && x < p.tube.Max.X &&
			y >= p.tube.Min.Y && y < p.tube.Max.Y {
			value = 0
		}
		out[((ch*c.Frames+i)*c.Side+y)*c.Side+x] = value
	}
	return out
}

func TestFillAllocatesOnlyItsStream(t *testing.T) {
	frames, samples := testClip(t, 48, 40, 3.2, 12.5)
	stream := testing.AllocsPerRun(20, func() { rng.New(1, "view", 1, "clip").Float64() })
	for name, c := range variants() {
		m := newMaker(t, c)
		lazy, err := m.Open(frames, 12.5, samples)
		if err != nil {
			t.Fatal(err)
		}
		for i, d := range []*Decoded{decode(t, m, frames, 12.5, samples), lazy} {
			b, epoch := m.NewBatch(2), 0
			step := func() {
				epoch++
				if err := m.Fill(b, 1, d, 1, epoch, "clip"); err != nil {
					t.Fatal(err)
				}
			}
			for range 30 {
				step() // scratch grows to the largest crop
			}
			if n := testing.AllocsPerRun(50, step); n > stream+2 {
				t.Errorf("%s: %v allocations a fill of clip %d, %v for the stream", name, n, i, stream)
			}
		}
	}
}

func TestEval(t *testing.T) {
	c := demoConfig()
	c.Flip, c.Resize = 0, 40
	m := newMaker(t, c)
	frames, samples := testClip(t, 60, 48, 4, 25)
	d := decode(t, m, frames, 25, samples)
	lazy, err := m.Open(frames, 25, samples)
	if err != nil {
		t.Fatal(err)
	}
	video, audio := make([]byte, c.videoElems()), make([]float32, c.audioElems())
	video2, audio2 := make([]byte, c.videoElems()), make([]float32, c.audioElems())
	starts := []int{0, 29, 58, 86, 115, 144} // 0 to 1.44 s in five steps
	for i, start := range starts {
		if got := evalStart(d.slack(&c), i, 6); got != start {
			t.Errorf("window %d starts at hop %d, want %d", i, got, start)
		}
		if err := m.Eval(video, audio, d, i, 6); err != nil {
			t.Fatal(err)
		}
		if err := m.Eval(video2, nil, lazy, i, 6); err != nil {
			t.Fatal(err)
		}
		if err := m.Eval(nil, audio2, lazy, i, 6); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(video, video2) || !slices.Equal(audio, audio2) {
			t.Errorf("window %d: lazy and cached clip differ", i)
		}
		m.audio(audio2, d.mel, d, start, &scratch{mel: m.mel.NewScratch()})
		if !slices.Equal(audio, audio2) {
			t.Errorf("window %d: audio is not that of its start", i)
		}
		for j := range c.Frames {
			k := d.frameAt(&c, start, j)
			if !bytes.Equal(part(video, j, 32*32*3), part(d.pixels, k, 32*32*3)) {
				t.Errorf("window %d: picture %d is not frame %d", i, j, k)
			}
		}
	}
	if got := evalStart(d.slack(&c), 0, 1); got != 72 {
		t.Errorf("a single window starts at hop %d, want the middle, 72", got)
	}
}

func TestEvalAt(t *testing.T) {
	c := demoConfig()
	m := newMaker(t, c)
	frames, samples := testClip(t, 32, 32, 4, 25)
	d := decode(t, m, frames, 25, samples)
	video, audio := make([]byte, c.videoElems()), make([]float32, c.audioElems())
	if err := m.Eval(video, nil, d, 1, 2); err != nil {
		t.Fatal(err)
	}
	if err := m.Eval(nil, audio, d, 0, 2); err != nil {
		t.Fatal(err)
	}
	video2, audio2 := make([]byte, len(video)), make([]float32, len(audio))
	if err := m.EvalAt(video2, audio2, d, m.LastStart(d), 0); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(video, video2) || !slices.Equal(audio, audio2) {
		t.Error("windows given by their starts differ from those given by number")
	}
	if m.LastStart(d) != 1440*time.Millisecond {
		t.Errorf("last start %v", m.LastStart(d))
	}
	if err := m.EvalAt(video, audio, d, 0, 1450*time.Millisecond); err == nil {
		t.Error("a window that leaves the clip is accepted")
	}
}

func TestEvalSquash(t *testing.T) {
	c := demoConfig()
	c.EvalSquash = true
	m := newMaker(t, c)
	frames, samples := testClip(t, 60, 40, 4, 5)
	d := decode(t, m, frames, 5, samples)
	video := make([]byte, c.videoElems())
	if err := m.Eval(video, nil, d, 0, 1); err != nil {
		t.Fatal(err)
	}
	row := video[:32*3] // red rises from 0 to 255 over the whole width
	if left, right := row[0], row[31*3]; left > 8 || right < 245 {
		t.Errorf("red goes from %d to %d: the frame's sides are missing", left, right)
	}
	b := m.NewBatch(1)
	fill(t, m, b, 0, d, 1, "clip")
	if lo, hi := b.GlobalVideo[0], b.GlobalVideo[31*3]; max(lo, hi) > 220 || min(lo, hi) < 35 {
		t.Errorf("red of a global view goes from %d to %d: not cut to its centre", lo, hi)
	}
}

func TestStats(t *testing.T) {
	m := newMaker(t, demoConfig())
	var stats, other Stats
	var all []float64
	for i, seconds := range []float64{2, 3.2, 4} {
		frames, samples := testClip(t, 8, 8, seconds, 1)
		d := decode(t, m, frames, 1, samples)
		for _, v := range d.mel {
			all = append(all, float64(v))
		}
		if i == 1 {
			other.Add(m, d)
		} else {
			stats.Add(m, d)
		}
	}
	stats.Merge(other)
	mean, sq := 0., 0.
	for _, v := range all {
		mean += v / float64(len(all))
	}
	for _, v := range all {
		sq += (v - mean) * (v - mean) / float64(len(all))
	}
	if !(math.Abs(stats.Mean()-mean) <= 1e-9) || !(math.Abs(stats.Std()-math.Sqrt(sq)) <= 1e-9) {
		t.Errorf("mean %v std %v, want %v %v", stats.Mean(), stats.Std(), mean, math.Sqrt(sq))
	}
	if stats.Clips != 3 {
		t.Errorf("%d clips counted, want 3", stats.Clips)
	}
}
