package scenes

import (
	"math"
	"testing"

	"avjepa/internal/media"
)

// What comes back from the files is the picture and the sound that was put in,
// at its time: colours, places, onsets, pitch.
func TestRoundTrip(t *testing.T) {
	tools := findTools(t)
	dir, cfg := t.TempDir(), testConfig()
	if err := Write(t.Context(), tools, dir, cfg, nil); err != nil {
		t.Fatal(err)
	}
	clips := decoded(t, tools, dir, cfg, Train)
	if len(clips) != 24 {
		t.Fatalf("%d clips, want 24", len(clips))
	}
	var worst struct{ color, place, lag, pitch float64 }
	var psnr float64
	for i, clip := range clips {
		s := cfg.Scene(Train, i)
		film := s.Film(cfg.Side, cfg.FPS, cfg.Seconds)
		psnr += checkPictures(t, s, film, &clip) / float64(len(clips))
		worst.color = max(worst.color, colorError(s, film, &clip))
		worst.place = max(worst.place, placeError(s, film, &clip))

		samples := make([]int16, len(clip.Samples))
		s.Sound(cfg.SampleRateHz, samples)
		worst.lag = max(worst.lag, math.Abs(lagMillis(samples, clip.Samples)))
		if e, ok := pitchError(s, clip.Samples); ok {
			worst.pitch = max(worst.pitch, e)
		}
	}
	t.Logf("PSNR %.1f dB; worst: colour %.1f levels, place %.2f pixels, "+
		"lag %.2f ms, pitch %.2f %%", psnr, worst.color, worst.place, worst.lag, 100*worst.pitch)
	if !(psnr > 30) {
		t.Errorf("mean PSNR %.1f dB, want more than 30", psnr)
	}
	if !(worst.color < 25) {
		t.Errorf("an object's colour is %.1f levels off", worst.color)
	}
	if !(worst.place < 1) {
		t.Errorf("an object is %.2f pixels off", worst.place)
	}
	if !(worst.lag < 1) {
		t.Errorf("sound is %.2f ms off", worst.lag)
	}
	if !(worst.pitch < .01) {
		t.Errorf("pitch is %.2f %% off", 100*worst.pitch)
	}
}

// checkPictures returns the PSNR of a clip, and fails when the pictures fit
// better one earlier or later.
func checkPictures(t *testing.T, s Scene, film *Film, clip *media.Clip) float64 {
	t.Helper()
	var mse [3]float64 // shifted by −1, 0, +1
	rgb := make([]byte, len(film.still))
	for n := 1; n+1 < film.Len(); n++ {
		film.Render(n, rgb)
		for k := range mse {
			for j, v := range clip.Frames[n+k-1] {
				d := float64(v) - float64(rgb[j])
				mse[k] += d * d / float64(len(rgb)*(film.Len()-2))
			}
		}
	}
	if !(mse[1] < mse[0] && mse[1] < mse[2]) {
		t.Errorf("%s: squared error %.1f, but %.1f and %.1f with a picture's shift",
			s.Kind, mse[1], mse[0], mse[2])
	}
	return 10 * math.Log10(255*255/mse[1])
}

// colorError returns by how many levels the mean colour inside the object is
// off in the middle of the clip.
func colorError(s Scene, film *Film, clip *media.Clip) float64 {
	n := film.Len() / 2
	rgb := make([]byte, len(film.still))
	film.Render(n, rgb)
	worst := 0.0
	for c := range 3 {
		var sum, count float64
		for j := c; j < len(rgb); j += 3 {
			inside := false
			for k := range 3 {
				at := j - c + k
				inside = inside || film.line[at] != film.still[at]
			}
			if inside {
				sum += float64(clip.Frames[n][j]) - float64(rgb[j])
				count++
			}
		}
		worst = max(worst, math.Abs(sum/count))
	}
	return worst
}

// placeError returns the largest distance in pixels between the centre of what
// differs from the scenery before and after encoding.
func placeError(s Scene, film *Film, clip *media.Clip) float64 {
	if s.Kind == Wood || s.Kind == Snare {
		return 0 // too close to the greys to cut out
	}
	rgb := make([]byte, len(film.still))
	worst := 0.0
	for n := range film.Len() {
		film.Render(n, rgb)
		a, _ := silhouette(rgb, film.still, film.side)
		b, _ := silhouette(clip.Frames[n], film.still, film.side)
		worst = max(worst, math.Hypot(a.X-b.X, a.Y-b.Y)*float64(film.side))
	}
	return worst
}

// lagMillis returns by how much got is later than want, by cross-correlation
// over ±20 ms.
func lagMillis(want, got []int16) float64 {
	const reach = 320
	best, bestSum := 0, math.Inf(-1)
	for lag := -reach; lag <= reach; lag++ {
		sum := 0.0
		for i := reach; i+reach < len(want); i++ {
			sum += float64(want[i]) * float64(got[i+lag])
		}
		if sum > bestSum {
			best, bestSum = lag, sum
		}
	}
	return float64(best) * 1000 / testRateHz
}

// pitchError measures the pitch after the first floor impact that sounds alone
// for .4 s, as a share of the true one.
func pitchError(s Scene, samples []int16) (float64, bool) {
	if s.Kind == Snare || s.Kind == Chirp {
		return 0, false
	}
	_, impacts := s.Move(1, 3.2)
	for n, hit := range impacts {
		end := 3.2
		if n+1 < len(impacts) {
			end = impacts[n+1].Time
		}
		if hit.Speed < .5 || end-hit.Time < .42 {
			continue
		}
		x := toFloat(samples[int(hit.Time*testRateHz):])
		return math.Abs(pitchOf(s.Kind, x, testRateHz, s.PitchHz())/s.PitchHz() - 1), true
	}
	return 0, false
}

// The onset of an impact in the middle of a file is heard within 5 ms of the
// truth, in sync with the picture in which the object turns around.
func TestOnsetsInFile(t *testing.T) {
	tools := findTools(t)
	dir, cfg := t.TempDir(), testConfig()
	cfg.Train, cfg.HeldOut, cfg.ScenesPerFile = 1, 40, 40
	if err := Write(t.Context(), tools, dir, cfg, nil); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for i, clip := range decoded(t, tools, dir, cfg, HeldOut) {
		s := cfg.Scene(HeldOut, i)
		if i < 10 || (s.Kind != Wood && s.Kind != Drum && s.Kind != Saw && s.Kind != Chirp) {
			continue
		}
		_, impacts := s.Move(1, cfg.Seconds)
		last := -9.0
		for _, hit := range impacts {
			at := int(math.Round(hit.Time * testRateHz))
			if hit.Speed > .8 && hit.Time-last > .6 && at > 1600 && at+800 < len(clip.Samples) {
				// The onset: where the 1 ms power passes an eighth of its maximum.
				const w = 16
				peak, onset := 0.0, -1
				for k := at - 640; k < at+640; k++ {
					peak = max(peak, power(clip.Samples[k:k+w]))
				}
				for k := at - 640; onset < 0; k++ {
					if power(clip.Samples[k:k+w]) > peak/8 {
						onset = k + w/2
					}
				}
				if ms := float64(onset-at) * 1000 / testRateHz; !(math.Abs(ms) <= 5) {
					t.Errorf("scene %d (%s): onset %.1f ms after the impact at %.3f s",
						i, s.Kind, ms, hit.Time)
				}
				checked++
			}
			last = hit.Time
		}
	}
	if checked < 8 {
		t.Errorf("only %d onsets checked", checked)
	}
}
