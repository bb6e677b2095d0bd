package jpeg

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
)

// ErrFormat is wrapped by errors for bytes that are no JPEG or a broken one.
var ErrFormat = errors.New("not a JPEG, or a broken one")

// errOther says that a file is not of the kind this package decodes itself.
var errOther = errors.New("left to image/jpeg")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// Markers, the second byte behind 0xFF.
const (
	markerSOF0 = 0xC0 // baseline
	markerSOF1 = 0xC1 // sequential with Huffman codes
	markerSOFF = 0xCF // the last of them
	markerDHT  = 0xC4
	markerJPG  = 0xC8
	markerDAC  = 0xCC
	markerRST0 = 0xD0
	markerRST7 = 0xD7
	markerSOI  = 0xD8
	markerEOI  = 0xD9
	markerSOS  = 0xDA
	markerDQT  = 0xDB
	markerDRI  = 0xDD
	markerAPPE = 0xEE // Adobe: how colours are stored
)

// component is one channel of a picture.
type component struct {
	id     byte
	h, v   int // blocks of a minimum coded unit (MCU) across and down
	quant  int // number of a quantisation table
	dc, ac int // numbers of Huffman tables
}

// header is what stands before the coded blocks. Slices point into the file.
type header struct {
	w, h     int
	comps    [3]component
	count    int // of comps: 3, or 1 for grey
	quant    [4][]byte
	huffman  [2][4][]byte // DC and AC: 16 counts, then the symbols
	interval int          // MCUs between restart markers; 0 is none
	scan     []byte       // coded blocks and what follows them
}

// segments calls f with each marker segment of data up to the coded blocks or
// until f returns true. The body of SOS is its header, rest follows.
func segments(data []byte, f func(marker byte, body, rest []byte) (bool, error)) error {
	if len(data) < 4 || data[0] != 0xFF || data[1] != markerSOI {
		return broken("%d bytes that do not begin with FF D8", len(data))
	}
	for at := 2; ; {
		for at < len(data) && data[at] == 0xFF && at+1 < len(data) && data[at+1] == 0xFF {
			at++ // filling
		}
		if at+4 > len(data) {
			return broken("it ends at byte %d, in its header", len(data))
		}
		marker := data[at+1]
		if data[at] != 0xFF || marker < markerSOF0 || marker == markerEOI {
			return broken("no marker of a header at byte %d", at)
		}
		if marker >= markerRST0 && marker <= markerSOI {
			at += 2 // markers without a segment
			continue
		}
		n := int(data[at+2])<<8 | int(data[at+3])
		if n < 2 || at+2+n > len(data) {
			return broken("the segment at byte %d has %d bytes of %d", at, n, len(data)-at-2)
		}
		end := at + 2 + n
		stop, err := f(marker, data[at+4:end], data[end:])
		if stop || err != nil {
			return err
		}
		at = end
	}
}

// Size returns width and height of a JPEG from its header.
func Size(data []byte) (w, h int, err error) {
	err = segments(data, func(marker byte, body, _ []byte) (bool, error) {
		switch {
		case marker < markerSOF0 || marker > markerSOFF:
			return false, nil
		case marker == markerDHT || marker == markerDAC || marker == markerJPG:
			return false, nil
		}
		var hd header
		err := hd.frame(marker, body)
		w, h = hd.w, hd.h
		return true, err
	})
	if err == errOther {
		c, err := jpeg.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return 0, 0, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		return c.Width, c.Height, nil
	}
	return w, h, err
}

// frame reads the segment SOF.
func (hd *header) frame(marker byte, s []byte) error {
	if hd.count != 0 {
		return broken("two frame headers")
	}
	if len(s) < 6 {
		return broken("a frame header of %d bytes", len(s))
	}
	n := int(s[5])
	if marker > markerSOF1 || s[0] != 8 || n != 1 && n != 3 || len(s) != 6+3*n {
		return errOther
	}
	hd.h, hd.w = int(s[1])<<8|int(s[2]), int(s[3])<<8|int(s[4])
	if hd.w == 0 || hd.h == 0 {
		return broken("%d×%d pixels", hd.w, hd.h)
	}
	for i := range n {
		c := s[6+3*i:][:3]
		k := component{id: c[0], h: int(c[1] >> 4), v: int(c[1] & 15), quant: int(c[2])}
		if k.quant > 3 {
			return broken("quantisation table %d", k.quant)
		}
		hd.comps[i] = k
	}
	hd.count = n
	y, cb, cr := &hd.comps[0], &hd.comps[1], &hd.comps[2]
	if n == 1 {
		y.h, y.v = 1, 1 // of one component, an MCU is a block whatever the header says
		return nil
	}
	if y.h < 1 || y.h > 2 || y.v < 1 || y.v > 2 || cb.h != 1 || cb.v != 1 || cr.h != 1 || cr.v != 1 {
		return errOther
	}
	if y.id == 'R' && cb.id == 'G' && cr.id == 'B' {
		return errOther // RGB, perhaps
	}
	return nil
}

// read sets hd to the header of data. errOther is its error for a valid header
// of a kind that Decoder leaves to image/jpeg.
func (hd *header) read(data []byte) error {
	*hd = header{}
	return segments(data, hd.segment)
}

func (hd *header) segment(marker byte, s, rest []byte) (stop bool, err error) {
	switch {
	case marker == markerDHT:
		err = hd.huffmanTables(s)
	case marker == markerDQT:
		err = hd.quantTables(s)
	case marker == markerDRI:
		if len(s) != 2 {
			return false, broken("a restart interval of %d bytes", len(s))
		}
		hd.interval = int(s[0])<<8 | int(s[1])
	case marker == markerSOS:
		hd.scan = rest
		return true, hd.scanHeader(s)
	case marker == markerAPPE:
		if len(s) >= 12 && string(s[:5]) == "Adobe" && s[11] != 1 {
			return false, errOther // not YCbCr
		}
	case marker == markerDAC || marker == markerJPG:
		return false, errOther
	case marker >= markerSOF0 && marker <= markerSOFF:
		err = hd.frame(marker, s)
	}
	return false, err
}

func (hd *header) huffmanTables(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 || s[0]>>4 > 1 || s[0]&15 > 3 {
			return broken("a Huffman table of class and number %#x", s[0])
		}
		n := 0
		for _, c := range s[1:17] {
			n += int(c)
		}
		if n == 0 || n > 256 || len(s) < 17+n {
			return broken("a Huffman table of %d codes", n)
		}
		hd.huffman[s[0]>>4][s[0]&15] = s[1 : 17+n]
		s = s[17+n:]
	}
	return nil
}

func (hd *header) quantTables(s []byte) error {
	for len(s) > 0 {
		if s[0]>>4 != 0 {
			return errOther // 16 bits
		}
		if len(s) < 65 || s[0] > 3 {
			return broken("a quantisation table of %d bytes", len(s))
		}
		hd.quant[s[0]] = s[1:65]
		s = s[65:]
	}
	return nil
}

// scanHeader reads the segment SOS and checks that nothing is missing.
func (hd *header) scanHeader(s []byte) error {
	if hd.count == 0 {
		return broken("coded blocks before the frame header")
	}
	if len(s) < 1 || int(s[0]) != hd.count || len(s) != 4+2*hd.count {
		return errOther // a scan of some of the components
	}
	for i := range hd.count {
		c := &hd.comps[i]
		if s[1+2*i] != c.id {
			return errOther
		}
		t := s[2+2*i]
		c.dc, c.ac = int(t>>4), int(t&15)
		if c.dc > 3 || c.ac > 3 || hd.huffman[0][c.dc] == nil || hd.huffman[1][c.ac] == nil ||
			hd.quant[c.quant] == nil {
			return broken("component %d names a table that is missing", i)
		}
	}
	return nil
}

// mcu returns width and height of an MCU in pixels.
func (hd *header) mcu() image.Point {
	return image.Pt(8*hd.comps[0].h, 8*hd.comps[0].v)
}
