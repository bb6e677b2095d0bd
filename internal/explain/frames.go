package explain

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"

	"avjepa/internal/chart"
	"avjepa/internal/encoder"
	"avjepa/internal/view"
)

// frames decodes a clip's frames and cuts out what the encoder sees of them. It keeps
// the last one.
type frames struct {
	clip *encoder.Clip
	view view.Config
	at   int
	last image.Image
}

// mostPixels bounds the memory for one frame.
const mostPixels = 1 << 25

// show returns the square of the frame on screen at t seconds of the clip.
func (f *frames) show(t float64) (image.Image, error) {
	n := len(f.clip.Frames)
	i := max(0, min(int(t*f.clip.FPS+1e-6), n-1))
	if f.last != nil && f.at == i {
		return f.last, nil
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(f.clip.Frames[i]))
	if err != nil {
		return nil, fmt.Errorf("explain: frame %d: %w", i, err)
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > mostPixels/c.Height {
		return nil, fmt.Errorf("explain: frame %d of %d×%d pixels, at most %d are drawn", i, c.Width,
			c.Height, mostPixels)
	}
	img, err := jpeg.Decode(bytes.NewReader(f.clip.Frames[i]))
	if err != nil {
		return nil, fmt.Errorf("explain: frame %d: %w", i, err)
	}
	b, sq := img.Bounds(), f.view.EvalSquare(c.Width, c.Height)
	at := func(i int) int { return int(sq[i]*float64([]int{c.Width, c.Height}[i%2]) + .5) }
	box := image.Rect(at(0), at(1), at(2), at(3)).Add(b.Min).Intersect(b)
	if sub, ok := img.(interface {
		SubImage(image.Rectangle) image.Image
	}); ok && !box.Empty() {
		img = sub.SubImage(box)
	}
	f.at, f.last = i, img
	return img, nil
}

// Levels of a log-mel's darkest and brightest colour, in deviations.
const melLow, melHigh = -2.0, 2.5

// melPicture draws n frames of a normalised log-mel (bands, stride).
func melPicture(mel []float32, bands, stride, n int) image.Image {
	if n == stride {
		return chart.Mel(mel, bands, n, melLow, melHigh, 1, 1)
	}
	part := make([]float32, bands*n)
	for b := range bands {
		copy(part[b*n:(b+1)*n], mel[b*stride:])
	}
	return chart.Mel(part, bands, n, melLow, melHigh, 1, 1)
}
