package jpeg

import (
	"errors"
	"fmt"
	"image"
)

// Decoder decodes pictures, one after the other, in memory that it keeps. The
// zero Decoder is ready. One goroutine at a time may use it.
type Decoder struct {
	header header
	tables [2][4]huffman
	bits   reader
	blocks [3]pair         // the MCU being read: luma first; a last one may be unused
	quant  [3][128]int16   // of each of blocks
	strip  []byte          // a row of MCUs: planes of luma, Cb, Cr, and one unused
	stride int             // between the rows of all planes
	line   []byte          // a row of pixels
	planes [4]int          // where each begins in strip
	layout []placed        // of the blocks of an MCU
	part   image.Rectangle // in pixels
	mcus   image.Rectangle // that part needs, in MCUs
}

// placed is a block of an MCU: its component, and where its first pixel lies in
// the strip, counted from the place of the MCU.
type placed struct{ comp, at int }

// Decode sets dst to the part r of a JPEG, which must have w × h pixels: row y of
// r goes, as R, G, B, to dst[(y−r.Min.Y)·stride:]. Coded blocks behind the last
// row of r are not looked at, and so their faults not found.
func (d *Decoder) Decode(dst []byte, stride int, data []byte, w, h int, r image.Rectangle) error {
	if r.Empty() || !r.In(image.Rect(0, 0, w, h)) || stride < 3*r.Dx() ||
		len(dst) < (r.Dy()-1)*stride+3*r.Dx() {
		panic(fmt.Sprintf("jpeg: part %v of %d×%d pixels into %d bytes, rows of %d",
			r, w, h, len(dst), stride))
	}
	switch err := d.header.read(data); {
	case errors.Is(err, errOther):
		return decodeOther(dst, stride, data, w, h, r)
	case err != nil:
		return err
	case d.header.w != w || d.header.h != h:
		return sizeError(d.header.w, d.header.h, w, h)
	}
	if err := d.prepare(r); err != nil {
		return err
	}
	return d.scan(dst, stride)
}

func sizeError(w, h, wantW, wantH int) error {
	return fmt.Errorf("jpeg: %d×%d pixels, not %d×%d", w, h, wantW, wantH)
}

// prepare makes tables and memory ready for the picture of d.header.
func (d *Decoder) prepare(r image.Rectangle) error {
	hd := &d.header
	for i := range hd.count {
		c := &hd.comps[i]
		if err := d.tables[0][c.dc].build(hd.huffman[0][c.dc], false); err != nil {
			return err
		}
		if err := d.tables[1][c.ac].build(hd.huffman[1][c.ac], true); err != nil {
			return err
		}
	}
	size := hd.mcu()
	d.part = r
	d.mcus = image.Rect(r.Min.X/size.X, r.Min.Y/size.Y,
		(r.Max.X+size.X-1)/size.X, (r.Max.Y+size.Y-1)/size.Y)
	// Rows are as long as the conversion to RGB, 32 pixels at a time, may read.
	d.stride = (d.mcus.Dx()*size.X+31)/32*32 + 32
	d.planes = [4]int{0, 16 * d.stride, 24 * d.stride, 32 * d.stride}
	d.strip = grow(d.strip, 40*d.stride)
	d.line = grow(d.line, 3*d.stride)
	d.layout = d.layout[:0]
	for i := range hd.count {
		c := &hd.comps[i]
		for y := range c.v {
			for x := range c.h {
				d.layout = append(d.layout, placed{i, d.planes[i] + 8*y*d.stride + 8*x})
			}
		}
	}
	for i, b := range d.layout {
		q := hd.quant[hd.comps[b.comp].quant]
		for k, v := range q {
			d.quant[i/2][places[i%2][k]] = int16(v)
		}
	}
	if hd.count == 1 { // grey: no chroma
		for i := d.planes[1]; i < d.planes[3]; i++ {
			d.strip[i] = 128
		}
	}
	d.blocks = [3]pair{} // an error may have left something
	return nil
}

// scan decodes the rows of MCUs down to the last that is needed.
func (d *Decoder) scan(dst []byte, stride int) error {
	hd := &d.header
	size := hd.mcu()
	across := (hd.w + size.X - 1) / size.X
	rest := d.bits.open(hd.scan)
	var last [3]int32 // DC coefficients
	left := hd.interval
	for my := range d.mcus.Max.Y {
		for mx := range across {
			if hd.interval > 0 {
				if left == 0 {
					for len(rest) > 1 && rest[1] == 0xFF {
						rest = rest[1:] // filling
					}
					if len(rest) < 2 || rest[1] < markerRST0 || rest[1] > markerRST7 {
						return broken("no restart marker before block %d of row %d", mx, my)
					}
					rest = d.bits.open(rest[2:])
					last = [3]int32{}
					left = hd.interval
				}
				left--
			}
			var err error
			if my >= d.mcus.Min.Y && mx >= d.mcus.Min.X && mx < d.mcus.Max.X {
				err = d.mcu(&last, (mx-d.mcus.Min.X)*size.X)
			} else {
				err = d.skip(&last)
			}
			if err == nil && d.bits.over() {
				err = broken("it ends early")
			}
			if err != nil {
				return fmt.Errorf("block %d of row %d: %w", mx, my, err)
			}
		}
		if my >= d.mcus.Min.Y {
			d.convert(dst, stride, my*size.Y)
		}
	}
	return nil
}

// mcu decodes one MCU to the strip, from pixel x on.
func (d *Decoder) mcu(last *[3]int32, x int) error {
	for i := range d.layout {
		comp := d.layout[i].comp
		c := &d.header.comps[comp]
		diff, err := d.bits.dc(&d.tables[0][c.dc])
		if err != nil {
			return err
		}
		last[comp] += diff
		p := &d.blocks[i/2]
		p[8*(i&1)] = int16(last[comp])
		if err := d.bits.ac(&d.tables[1][c.ac], p, &places[i&1]); err != nil {
			return err
		}
	}
	for i := 0; i < len(d.layout); i += 2 {
		a, b := d.at(i, x), d.strip[d.planes[3]:]
		if i+1 < len(d.layout) {
			b = d.at(i+1, x)
		}
		idct(&d.blocks[i/2], &d.quant[i/2], a, b, d.stride)
	}
	return nil
}

// at returns the strip from the first pixel of block i on.
func (d *Decoder) at(i, x int) []byte {
	b := &d.layout[i]
	if b.comp > 0 {
		x /= d.header.comps[0].h
	}
	return d.strip[b.at+x:]
}

// skip passes over one MCU.
func (d *Decoder) skip(last *[3]int32) error {
	for i := range d.layout {
		comp := d.layout[i].comp
		c := &d.header.comps[comp]
		diff, err := d.bits.dc(&d.tables[0][c.dc])
		if err != nil {
			return err
		}
		last[comp] += diff
		if err := d.bits.ac(&d.tables[1][c.ac], &d.blocks[0], &nowhere); err != nil {
			return err
		}
	}
	return nil
}

// convert sets the rows of the picture that the strip holds, from row top on.
func (d *Decoder) convert(dst []byte, stride, top int) {
	luma := &d.header.comps[0]
	rows := 8 * luma.v
	skip := d.part.Min.X - d.mcus.Min.X*8*luma.h
	n := skip + d.part.Dx()
	for y := max(top, d.part.Min.Y); y < min(top+rows, d.part.Max.Y); y++ {
		cy := (y - top) / luma.v * d.stride
		rgb(d.line, d.strip[(y-top)*d.stride:], d.strip[d.planes[1]+cy:],
			d.strip[d.planes[2]+cy:], n, uint(luma.h-1))
		copy(dst[(y-d.part.Min.Y)*stride:], d.line[3*skip:3*n])
	}
}

// grow returns a slice of n elements, s itself when it is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
