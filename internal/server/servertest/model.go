package servertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"sync/atomic"
	"time"

	_ "image/jpeg" // frames

	"avjepa/internal/media"
	"avjepa/internal/server"
)

// ModelID is that of Model, and of the vectors in Library.
const ModelID = "0123456789abcdef"

// Model embeds colours and pitches. Reading files takes ffmpeg; embedding panics when it is
// not one at a time, as a real one would do worse.
type Model struct {
	Tools media.Tools
	Pause time.Duration // that a call takes longer
	Calls atomic.Int64  // of Embed
	Reads atomic.Int64
	busy  atomic.Bool
}

// Info is the card.
func (m *Model) Info() server.ModelInfo {
	chance := .01
	return server.ModelInfo{ID: ModelID, Name: "colours and pitches", Run: "first", Step: 300,
		Parameters: 1234, Dims: 2 * Kinds, Projected: 2 * Kinds, Seconds: 1, Frames: 4, Side: 16,
		Bands: bands, RateHz: RateHz, Engine: "test",
		Settings: []server.Setting{{Key: "model.width", Value: "16", Origin: "default"}},
		Files: []server.File{{Name: "step-00000300.safetensors", Bytes: 4936,
			SHA256: fmt.Sprintf("%064x", 7)}},
		Measured: []server.Figure{{Name: "A→V R@1", Value: .5, Chance: &chance, Clips: 100,
			Command: "avjepa retrieve runs/first"}},
		Data: &server.DataInfo{Name: "data/toy", Clips: 120, Seconds: 240}}
}

// Read decodes a file or a JPEG picture.
func (m *Model) Read(ctx context.Context, path string, limits media.Limits) (*server.Medium, error) {
	m.Reads.Add(1)
	var out *server.Medium
	cfg := media.DecodeConfig{ShortSide: 128, FPS: FPS, SampleRateHz: RateHz, MinSeconds: .5,
		Limits: limits}
	var broken error
	err := m.Tools.Decode(ctx, path, cfg, []media.Segment{{}}, func(_ int, c *media.Clip) error {
		if !c.Outcome.HasClip() {
			broken = &media.FileError{Outcome: c.Outcome, Reason: c.Reason}
			return nil
		}
		out = &server.Medium{Outcome: c.Outcome, Reason: c.Reason, Seconds: c.Seconds,
			HasVideo: c.HasVideo, HasAudio: c.HasAudio, Frames: c.Frames, FPS: c.FPS, Width: c.Width,
			Height: c.Height, Samples: c.Samples, RateHz: RateHz}
		return nil
	})
	if err = cmp.Or(err, broken); err != nil {
		return nil, err
	}
	return out, cut(out)
}

// cut makes the one window of a medium: its first frame and the spectrum of its first
// second.
func cut(m *server.Medium) error {
	var w server.Window
	if m.HasVideo {
		img, _, err := image.Decode(bytes.NewReader(m.Frames[0]))
		if err != nil {
			return &media.FileError{Outcome: media.Corrupt, Reason: err.Error()}
		}
		var sum [3]float64
		b := img.Bounds()
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				r, g, bl, _ := img.At(x, y).RGBA()
				sum[0], sum[1], sum[2] = sum[0]+float64(r>>8), sum[1]+float64(g>>8), sum[2]+float64(bl>>8)
			}
		}
		n := float64(b.Dx() * b.Dy())
		w.Video = []byte{byte(sum[0] / n), byte(sum[1] / n), byte(sum[2] / n)}
	}
	if m.HasAudio {
		mel := spectrum(m.Samples[:min(len(m.Samples), RateHz)])
		w.Audio = mel.Values
	}
	m.Windows = []server.Window{w}
	return nil
}

const bands = 32

// spectrum returns the energy in bands from 150 to 3000 Hz, every 10 ms, in deviations from
// what is usual.
func spectrum(samples []int16) *server.Mel {
	const size, hop = 512, RateHz / 100
	n := max(1, len(samples)/hop)
	mel := &server.Mel{Bands: bands, Frames: n, Values: make([]float32, bands*n)}
	for b := range bands {
		w := 2 * math.Pi * bandHz(b) / RateHz
		cos := 2 * math.Cos(w)
		for t := range n {
			var s1, s2 float64 // Goertzel's recurrence
			for _, x := range samples[t*hop : min(len(samples), t*hop+size)] {
				s1, s2 = float64(x)/32768+cos*s1-s2, s1
			}
			power := s1*s1 + s2*s2 - cos*s1*s2
			mel.Values[b*n+t] = float32((10*math.Log10(power+1e-6) + 10) / 15)
		}
	}
	return mel
}

func bandHz(b int) float64 { return 150 * math.Pow(20, float64(b)/(bands-1)) }

// Mel is the spectrum of the whole medium.
func (m *Model) Mel(x *server.Medium) (*server.Mel, error) {
	if !x.HasAudio {
		return nil, errors.New("no sound")
	}
	return spectrum(x.Samples), nil
}

// Embed makes vectors of colours and pitches.
func (m *Model) Embed(ctx context.Context, windows []server.Window, of server.Modality) (
	[]server.Vectors, error) {

	if !m.busy.CompareAndSwap(false, true) {
		panic("two calls of the model at once")
	}
	defer m.busy.Store(false)
	m.Calls.Add(1)
	time.Sleep(m.Pause)
	out := make([]server.Vectors, len(windows))
	for i, w := range windows {
		v := make([]float32, 2*Kinds)
		if of != server.Audio {
			if w.Video == nil {
				return nil, fmt.Errorf("window %d has no picture", i)
			}
			addColour(v, w.Video)
		}
		if of != server.Video {
			if w.Audio == nil {
				return nil, fmt.Errorf("window %d has no sound", i)
			}
			addPitch(v, w.Audio)
		}
		out[i] = server.Vectors{CLS: v, Projected: v, Patches: v}
	}
	return out, nil
}

// addColour adds how near a colour is to that of each kind.
func addColour(v []float32, rgb []byte) {
	for k := range Kinds {
		c := colour(k)
		d := 0.0
		for i, x := range [3]uint8{c.R, c.G, c.B} {
			d += math.Pow((float64(x)-float64(rgb[i]))/100, 2)
		}
		v[k] += float32(math.Exp(-d))
	}
	v[Kinds] += .1 * float32(rgb[1]) / 255 // so that no two are equal
	v[Kinds+1] += .05
}

// addPitch adds how near the loudest pitch is to that of each kind.
func addPitch(v []float32, mel []float32) {
	n := len(mel) / bands
	best, most := 0, math.Inf(-1)
	for b := range bands {
		sum := 0.0
		for t := range n {
			sum += float64(mel[b*n+t])
		}
		if sum > most {
			best, most = b, sum
		}
	}
	for k := range Kinds {
		d := 2 * math.Log2(bandHz(best)/pitch(k))
		v[k] += float32(math.Exp(-d * d))
	}
	v[Kinds+1] += .05
}

// Explainer looks at a spot that moves.
type Explainer struct{}

// Explain returns maps of 4 × 6 × 8 and 4 × 10.
func (Explainer) Explain(ctx context.Context, sound, picture *server.Medium, start float64) (
	*server.Explanation, error) {

	e := &server.Explanation{Model: ModelID, Start: start, Seconds: 1,
		AudioToVideo: &server.VideoMap{Steps: 4, Rows: 6, Columns: 8,
			Crop: server.Crop{X: 1. / 6, Width: 2. / 3, Height: 1}},
		VideoToAudio: &server.AudioMap{Bands: 4, Steps: 10}}
	for t := range 4 {
		for y := range 6 {
			for x := range 8 {
				d := math.Pow(float64(x-2*t), 2) + math.Pow(float64(y-t), 2)
				e.AudioToVideo.Weights = append(e.AudioToVideo.Weights, float32(math.Exp(-d/3)))
			}
		}
	}
	for b := range 4 {
		for t := range 10 {
			e.VideoToAudio.Weights = append(e.VideoToAudio.Weights,
				float32(math.Exp(-math.Pow(float64(t-2*b), 2)/4)))
		}
	}
	scale(e.AudioToVideo.Weights)
	scale(e.VideoToAudio.Weights)
	return e, nil
}

// scale makes the sum 1.
func scale(w []float32) {
	sum := float32(0)
	for _, x := range w {
		sum += x
	}
	for i := range w {
		w[i] /= sum
	}
}

// Components draws a square for each medium, as wide as its name is long.
func (Explainer) Components(ctx context.Context, of []*server.Medium, names []string, dark bool) (
	image.Image, error) {

	img := image.NewRGBA(image.Rect(0, 0, 100, 20*len(of)))
	for i, name := range names {
		shade := color.Gray{uint8(250 - 40*i)}
		if dark {
			shade.Y = uint8(40 * i)
		}
		draw.Draw(img, image.Rect(0, 20*i, min(100, 5*len(name)), 20*(i+1)), image.NewUniform(shade), image.Point{}, draw.Src)
	}
	return img, nil
}
