package view

import (
	"fmt"
	"image"
	"math"

	"avjepa/internal/jpeg"
)

// Limits of a stored frame, checked before its pixels are decoded.
const (
	maxFrameSide   = 4096
	maxFramePixels = 1 << 23
)

// frameSize returns width and height of a JPEG from its header.
func frameSize(data []byte) (w, h int, err error) {
	w, h, err = jpeg.Size(data)
	if err != nil {
		return 0, 0, fmt.Errorf("header: %w", err)
	}
	if w < 1 || h < 1 || w > maxFrameSide || h > maxFrameSide || w*h > maxFramePixels {
		return 0, 0, fmt.Errorf("%d×%d pixels exceed a side of %d or %d pixels",
			w, h, maxFrameSide, maxFramePixels)
	}
	return w, h, nil
}

// boxPixels returns the part of a w × h frame that box (fractions) names: at
// least one pixel each way.
func boxPixels(box [4]float64, w, h int) image.Rectangle {
	if box == ([4]float64{}) {
		return image.Rect(0, 0, w, h)
	}
	edge := func(lo, hi float64, n int) (int, int) {
		a := min(int(math.Round(lo*float64(n))), n-1)
		return a, max(int(math.Round(hi*float64(n))), a+1)
	}
	x0, x1 := edge(box[0], box[2], w)
	y0, y1 := edge(box[1], box[3], h)
	return image.Rect(x0, y0, x1, y1)
}
