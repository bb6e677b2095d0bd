package view

import (
	"math"
	"strings"
	"testing"

	"avjepa/internal/rng"

	"pgregory.net/rapid"
)

// TestFlashAndClickCoincide puts a bright frame and a click at one moment of a
// clip and looks for both in views at several frame rates: the middle of the
// flash's pictures must be where the click is, as well as frames can tell.
func TestFlashAndClickCoincide(t *testing.T) {
	for _, fps := range []float64{8, 12.5, 24, 29.97, 60} {
		c := demoConfig()
		m := newMaker(t, c)
		const moment = 1.6
		dark, bright := testJPEG(t, 32, 32, 0), testJPEG(t, 32, 32, 50)
		frames := make([][]byte, int(3.2*fps))
		for i := range frames {
			frames[i] = dark
			if at := float64(i) / fps; at >= moment-.2 && at < moment+.2 {
				frames[i] = bright
			}
		}
		samples := make([]int16, 3.2*16000)
		for i := -20; i < 20; i++ {
			samples[int(moment*16000)+i] = int16(20000 * (1 - 2*(i&1)))
		}
		d := decode(t, m, frames, fps, samples)
		for start := 0; start <= d.slack(&c); start += 7 {
			mel := make([]float32, c.audioElems())
			m.windowMel(mel, d.mel, d, start, &scratch{mel: m.mel.NewScratch()})
			loudest := 0
			for f := range c.MelFrames() {
				if mel[40*c.MelFrames()+f] > mel[40*c.MelFrames()+loudest] {
					loudest = f
				}
			}
			click := float64(loudest) / 100
			if want := moment - float64(start)/100; !(math.Abs(click-want) <= .011) {
				t.Fatalf("%v fps, start %d: click at %.3f s of the view, want %.3f",
					fps, start, click, want)
			}
			var sum, count float64
			for i := range c.Frames {
				if part(d.pixels, d.frameAt(&c, start, i), d.frameBytes())[2] > 100 {
					sum += (float64(i) + .5) * c.Seconds / float64(c.Frames)
					count++
				}
			}
			if diff := math.Abs(sum/count - click); !(diff <= .09+.5/fps) {
				t.Fatalf("%v fps, start %d: flash %.3f s from the click", fps, start, diff)
			}
		}
	}
}

// TestFramesOnScreen states the rule again without floor: the frame shown at
// the middle of each share.
func TestFramesOnScreen(t *testing.T) {
	c := Default()
	d := &Decoded{fps: 25, count: 250}
	for i, want := range []int{6, 18, 31, 43, 56, 68, 81, 93, 106, 118, 131, 143, 156, 168, 181, 193} {
		if got := d.frameAt(&c, 0, i); got != want {
			t.Errorf("picture %d is frame %d, want %d", i, got, want)
		}
		if got := d.frameAt(&c, 200, i); got != want+50 {
			t.Errorf("picture %d from 2 s is frame %d, want %d", i, got, want+50)
		}
	}
	demo := demoConfig() // every second frame at 12.5 per second, wherever it starts
	d = &Decoded{fps: 12.5, count: 40}
	for start := range 65 {
		first := int(math.Floor((float64(start)/100+.08)*12.5 + 1e-9))
		for i := range 16 {
			if got, want := d.frameAt(&demo, start, i), min(first+2*i, 39); got != want {
				t.Errorf("start %d, picture %d is frame %d, want %d", start, i, got, want)
			}
		}
	}
}

func TestDrawsStayInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Default()
		c.Seconds = rapid.Float64Range(.1, 20).Draw(t, "seconds")
		c.Frames = rapid.IntRange(1, 40).Draw(t, "frames")
		c.Windows = rapid.SampledFrom([]string{WindowsPerView, WindowsShared, WindowsOne}).
			Draw(t, "windows")
		lo := rapid.Float64Range(.01, 1).Draw(t, "scale")
		c.CropScale = [2]float64{lo, 1}
		c.CropRatio = [2]float64{rapid.Float64Range(.1, 1).Draw(t, "narrow"),
			rapid.Float64Range(1, 10).Draw(t, "wide")}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		d := &Decoded{
			fps:     rapid.Float64Range(.5, 120).Draw(t, "fps"),
			count:   rapid.IntRange(1, 3000).Draw(t, "count"),
			samples: make([]int16, rapid.IntRange(0, 400000).Draw(t, "samples")),
		}
		r := rng.New(rapid.Uint64().Draw(t, "seed"))
		slack := d.slack(&c)
		for _, start := range drawStarts(nil, &c, slack, r) {
			if start < 0 || start > slack {
				t.Fatalf("start %d of %d", start, slack)
			}
			if start > 0 && len(d.samples) > 0 && start*160+c.Samples() > len(d.samples)+1 {
				t.Fatalf("window from hop %d ends behind the samples", start)
			}
			if end := float64(start)/100 + c.Seconds; start > 0 && end > float64(d.count)/d.fps+1e-6 {
				t.Fatalf("window ends at %v s, behind the frames", end)
			}
			last := 0
			for i := range c.Frames {
				k := d.frameAt(&c, start, i)
				if k < last || k >= d.count {
					t.Fatalf("picture %d is frame %d of %d after frame %d", i, k, d.count, last)
				}
				last = k
			}
		}
		n := rapid.IntRange(1, 9).Draw(t, "n")
		before := -1
		for i := range n {
			start := evalStart(slack, i, n)
			if start < before || start > slack {
				t.Fatalf("evaluation window %d of %d starts at %d of %d", i, n, start, slack)
			}
			before = start
		}
		w := rapid.IntRange(1, 500).Draw(t, "w")
		h := rapid.IntRange(1, 500).Draw(t, "h")
		crop := drawCrop(&c, w, h, r)
		if crop.Empty() || crop.Min.X < 0 || crop.Min.Y < 0 || crop.Max.X > w || crop.Max.Y > h {
			t.Fatalf("crop %v of %d×%d", crop, w, h)
		}
	})
}

func TestStartsAreDealt(t *testing.T) {
	c := Default()
	c.Locals, c.Windows = 4, WindowsShared
	s := drawStarts(nil, &c, 1<<40, rng.New(1))
	a, b := s[0], s[1]
	if a == b || s[2] != a || s[3] != b || s[4] != b || s[5] != a {
		t.Errorf("shared starts %v", s)
	}
	c.Windows = WindowsOne
	s = drawStarts(s, &c, 1<<40, rng.New(1))
	for _, v := range s {
		if v != s[0] {
			t.Errorf("one start for all, got %v", s)
		}
	}
	c.Windows = WindowsPerView
	seen := map[int]bool{}
	for _, v := range drawStarts(s, &c, 1<<40, rng.New(1)) {
		seen[v] = true
	}
	if len(seen) != 6 {
		t.Errorf("%d different starts in 6 views", len(seen))
	}
}

// TestCropStatistics: the area of crops is uniform on CropScale, and the log of
// their aspect on CropRatio, when nearly all fit.
func TestCropStatistics(t *testing.T) {
	c := Default()
	c.CropScale = [2]float64{.2, .6}
	r := rng.New(3)
	const n = 20000
	var area, ratio, spread, x float64
	for range n {
		b := drawCrop(&c, 1000, 1000, r)
		area += float64(b.Dx()*b.Dy()) / 1e6 / n
		aspect := math.Log(float64(b.Dx()) / float64(b.Dy()))
		ratio += aspect / n
		spread += aspect * aspect / n
		x += float64(b.Min.X) / float64(1000-b.Dx()) / n
	}
	if !(math.Abs(area-.4) <= .005) || !(math.Abs(ratio) <= .01) || !(math.Abs(x-.5) <= .01) {
		t.Errorf("mean area %.4f, log aspect %.4f, place %.4f, want .4, 0, .5", area, ratio, x)
	}
	if want := math.Log(4./3) / math.Sqrt(3); !(math.Abs(math.Sqrt(spread)-want) <= .005) {
		t.Errorf("log aspects have std %.4f, want %.4f", math.Sqrt(spread), want)
	}
}

// TestPlans: which modalities views have, how often they are flipped, and that
// only local video is cropped.
func TestPlans(t *testing.T) {
	c := Default()
	c.Locals = 3
	m := newMaker(t, c)
	d := &Decoded{made: c.stored(), fps: 25, count: 250}
	d.part.Max.X, d.part.Max.Y = 340, 256
	s, r := m.take(), rng.New(9)
	const n = 4000
	var flips [5]float64
	for range n {
		m.draw(s, d, r)
		for v, p := range s.plans {
			if p.flip {
				flips[v] += 1. / n
			}
			video, audio := v != 2 && v != 4, v != 3
			if p.video != video || p.audio != audio {
				t.Fatalf("view %d has video %v, audio %v", v, p.video, p.audio)
			}
			if cropped := v == 3; p.crop.Empty() == cropped {
				t.Fatalf("view %d has crop %v", v, p.crop)
			}
		}
	}
	for v, share := range flips {
		if !(math.Abs(share-.5) <= .03) {
			t.Errorf("view %d is flipped in %.3f of the clips, want .5", v, share)
		}
	}
}

func TestMaskStatistics(t *testing.T) {
	c := Default()
	c.LocalModality = LocalBoth
	c.Masking = Masking{ModalityDrop: .5, TubeArea: .8, TubeAspect: .5, TubePatch: 16,
		FreqBins: 64, TimeFrames: 400}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	r := rng.New(5)
	const n = 20000
	var noVideo, noAudio, tube, bands, times float64
	var lastBand, lastTime int
	for range n {
		p := plan{video: true, audio: true}
		p.drawMasks(&c, r)
		if p.dropVideo && p.dropAudio {
			t.Fatal("both modalities are hidden")
		}
		if p.dropVideo {
			noVideo += 1. / n
		} else {
			share := float64(p.tube.Dx()*p.tube.Dy()) / (224 * 224)
			if !(share >= .71 && share <= .80) {
				t.Fatalf("tube hides %.3f of the frame", share)
			}
			tube += share / n
		}
		if p.dropAudio {
			noAudio += 1. / n
		}
		lastBand, lastTime = max(lastBand, p.bands.hi), max(lastTime, p.times.hi)
		bands += float64(p.bands.hi-p.bands.lo) / n
		times += float64(p.times.hi-p.times.lo) / n
	}
	if !(math.Abs(noVideo-.25) <= .01) || !(math.Abs(noAudio-.25) <= .01) {
		t.Errorf("video hidden in %.3f, audio in %.3f of the views, want .25 each", noVideo, noAudio)
	}
	if mean := tube / (1 - noVideo); !(mean >= .71 && mean <= .80) {
		t.Errorf("tubes hide %.3f of the frame on average", mean)
	}
	if b, s := bands/(1-noAudio), times/(1-noAudio); !(math.Abs(b-32) <= .5) ||
		!(math.Abs(s-200) <= 3) {
		t.Errorf("on average %.2f bands and %.1f frames are hidden, want 32 and 200", b, s)
	}
	if lastBand != c.Bands || lastTime != c.MelFrames() {
		t.Errorf("masks reach band %d and frame %d, want the ends", lastBand, lastTime)
	}
	c.Masking.KeepSurvivor = true
	for range 200 {
		p := plan{video: true, audio: true}
		p.drawMasks(&c, r)
		if (p.dropVideo || p.dropAudio) && (!p.tube.Empty() || p.bands.masked() || p.times.masked()) {
			t.Fatal("the only modality left is masked")
		}
	}
}

func TestValidateReportsEveryField(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	c := Config{SampleRateHz: 7, Seconds: nan, Frames: 0, Side: 0, Resize: -1, Bands: 0,
		MelMean: nan, MelStd: 0, Globals: 0, Locals: -1, LocalModality: "x", Windows: "y",
		Flip: 2, LocalCrop: true, CropScale: [2]float64{0, nan}, CropRatio: [2]float64{2, 1},
		Box: [4]float64{.5, 0, .5, 1}, Masking: Masking{ModalityDrop: nan, TubeArea: nan,
			FreqBins: -1, TimeFrames: -1},
		Augment: Augment{Jitter: nan, Grey: 2, Blur: -1, Solarise: nan, GainDB: -1, Noise: nan}}
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, word := range []string{"sample rate", "seconds", "frames", "side", "resize", "bands",
		"mel mean", "mel std", "globals", "locals", "local modality", "windows", "flip",
		"crop scale", "crop ratio", "box", "modality drop", "tube area", "frequency mask",
		"time mask", "jitter", "grey", "blur", "solarise", "gain", "noise"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("nothing said about %s", word)
		}
	}
	c = Default()
	c.Masking = Masking{TubeArea: .8, TubeAspect: nan, TubePatch: 15, ModalityDrop: .5}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "tube patch 15") ||
		!strings.Contains(err.Error(), "tube aspect") || !strings.Contains(err.Error(), "needs local") {
		t.Errorf("tube options: %v", err)
	}
}
