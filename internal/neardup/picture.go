package neardup

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
)

// Cells of the small luma picture. Its 9 × 8 averages of 2 × 2 cells give the hash:
// one bit for every two neighbours in a row.
const (
	gridWidth  = 18
	gridHeight = 16

	// edge is the least difference of two neighbours, in levels of 255, that sets a
	// bit: in a flat surface what an encoder left decides nothing.
	edge = 1.5

	maxSide   = 16384
	maxPixels = 1 << 25
)

// grid is a picture's luma as averages of cells, 0 to 255, in rows.
type grid [gridWidth * gridHeight]float32

// lumaOf decodes a JPEG file to its grid.
func lumaOf(file []byte) (*grid, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	if c.Width > maxSide || c.Height > maxSide || c.Width*c.Height > maxPixels {
		return nil, fmt.Errorf("neardup: %d×%d pixels, at most %d", c.Width, c.Height, maxPixels)
	}
	img, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	b := img.Bounds()
	if b.Dx() < gridWidth || b.Dy() < gridHeight {
		return nil, fmt.Errorf("neardup: %d×%d pixels, at least %d×%d",
			b.Dx(), b.Dy(), gridWidth, gridHeight)
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return average(img.Y, img.YStride, b.Dx(), b.Dy()), nil
	case *image.Gray:
		return average(img.Pix, img.Stride, b.Dx(), b.Dy()), nil
	}
	grey := image.NewGray(b) // RGB and CMYK are rare
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			grey.Set(x, y, img.At(x, y))
		}
	}
	return average(grey.Pix, grey.Stride, b.Dx(), b.Dy()), nil
}

// average returns the means of the cells of a w × h picture.
func average(pix []byte, stride, w, h int) *grid {
	var sums [gridWidth * gridHeight]uint64
	for y := range h {
		row := pix[y*stride:][:w]
		out := sums[y*gridHeight/h*gridWidth:][:gridWidth]
		for i := range out {
			sum := uint32(0) // a row has at most maxSide bytes
			for _, v := range row[i*w/gridWidth : (i+1)*w/gridWidth] {
				sum += uint32(v)
			}
			out[i] += uint64(sum)
		}
	}
	g := new(grid)
	for j := range gridHeight {
		rows := ceilDiv((j+1)*h, gridHeight) - ceilDiv(j*h, gridHeight) // y·gridHeight÷h = j
		for i := range gridWidth {
			columns := (i+1)*w/gridWidth - i*w/gridWidth
			g[j*gridWidth+i] = float32(sums[j*gridWidth+i]) / float32(rows*columns)
		}
	}
	return g
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// hash has a bit for every two horizontal neighbours of the 9 × 8 picture: whether
// the left one is brighter.
func (g *grid) hash() uint64 {
	const w, h = gridWidth / 2, gridHeight / 2
	var small [w * h]float32
	for y := range h {
		for x := range w {
			at := 2*y*gridWidth + 2*x
			small[y*w+x] = (g[at] + g[at+1] + g[at+gridWidth] + g[at+gridWidth+1]) / 4
		}
	}
	var bits uint64
	for y := range h {
		for x := range w - 1 {
			bits <<= 1
			if small[y*w+x]-small[y*w+x+1] > edge {
				bits |= 1
			}
		}
	}
	return bits
}

// change returns the largest difference of two grids' cells.
func (g *grid) change(o *grid) float64 {
	most := float32(0)
	for i := range g {
		most = max(most, g[i]-o[i], o[i]-g[i])
	}
	return float64(most)
}
