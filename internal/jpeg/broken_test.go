package jpeg

import (
	"bytes"
	"errors"
	"image"
	"slices"
	"strings"
	"testing"
	"time"
)

// segment returns a marker segment.
func segment(marker byte, body ...byte) []byte {
	n := len(body) + 2
	return append([]byte{0xFF, marker, byte(n >> 8), byte(n)}, body...)
}

// at returns where a marker's body begins.
func at(t *testing.T, data []byte, marker byte) int {
	t.Helper()
	i := bytes.Index(data, []byte{0xFF, marker})
	if i < 0 {
		t.Fatalf("no marker %#x", marker)
	}
	return i + 4
}

// TestBroken changes one thing of a good file.
func TestBroken(t *testing.T) {
	good := drawn(t, 40, 30, 90, false)
	restart := files(t)["restart"]
	change := func(data []byte, f func(b []byte) []byte) []byte { return f(slices.Clone(data)) }
	set := func(data []byte, marker byte, offset int, v ...byte) []byte {
		return change(data, func(b []byte) []byte {
			copy(b[at(t, b, marker)+offset:], v)
			return b
		})
	}
	ones := bytes.Repeat([]byte{0xFF, 0}, 600)
	scan := at(t, good, markerSOS) + 10
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"empty":          {nil, "do not begin"},
		"text":           {[]byte("<html></html>"), "do not begin"},
		"header cut":     {good[:30], "of"},
		"scan cut":       {good[:len(good)-200], "ends early"},
		"no scan":        {good[:scan], "ends early"},
		"zero width":     {set(good, markerSOF0, 3, 0, 0), "0×"},
		"larger":         {set(good, markerSOF0, 1, 0, 200), "not 40×30"},
		"huge":           {set(good, markerSOF0, 1, 0xFF, 0xFF, 0xFF, 0xFF), "65535×65535"},
		"no such table":  {set(good, markerSOS, 2, 0x33), "missing"},
		"quant 9":        {set(good, markerSOF0, 8, 9), "quantisation table 9"},
		"quant cut":      {set(good, markerDQT, -1, 40), ""},
		"too many codes": {set(good, markerDHT, 1, 3, 1, 2), "more codes of 1 bits"},
		"all ones":       {append(slices.Clone(good[:scan]), ones...), "no Huffman code"},
		"two frames": {change(good, func(b []byte) []byte {
			i := at(t, b, markerSOF0) - 4
			return slices.Insert(b, i, b[i:i+19]...)
		}), "two frame headers"},
		"no frame": {slices.Concat(good[:2], good[at(t, good, markerSOS)-4:]), "before the frame"},
		"no restart": {change(restart, func(b []byte) []byte {
			i := bytes.Index(b, []byte{0xFF, markerRST0})
			return append(b[:i], b[i+2:]...)
		}), ""},
		"other marker": {change(restart, func(b []byte) []byte {
			b[bytes.Index(b, []byte{0xFF, markerRST0})+1] = markerEOI
			return b
		}), "restart marker"},
		"many scans": {change(files(t)["progressive"], func(b []byte) []byte {
			i := bytes.Index(b, []byte{0xFF, markerSOS})
			return append(b[:len(b)-2], bytes.Repeat(b[i:i+14], 1000)...)
		}), "scans"},
	} {
		w, h := 40, 30
		if strings.HasPrefix(name, "no res") || name == "other marker" || name == "many scans" {
			w, h = 61, 45
		}
		var d Decoder
		dst := make([]byte, 3*w*h)
		err := d.Decode(dst, 3*w, tc.data, w, h, image.Rect(0, 0, w, h))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
		if name != "larger" && name != "huge" && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v is not ErrFormat", name, err)
		}
	}
}

// TestCut cuts a file at every byte: an error, or the pixels above the cut.
func TestCut(t *testing.T) {
	for _, name := range []string{"ffmpeg", "restart", "422", "grey"} {
		data := files(t)[name]
		whole := image.Rect(0, 0, 61, 45)
		top := image.Rect(0, 0, 61, 16)
		var d Decoder
		want, err := decode(t, &d, data, 61, 45, top)
		if err != nil {
			t.Fatal(err)
		}
		fails, tops := 0, 0
		for n := range data {
			if _, err := decode(t, &d, data[:n], 61, 45, whole); err != nil {
				fails++
			}
			if got, err := decode(t, &d, data[:n], 61, 45, top); err == nil {
				if tops++; !bytes.Equal(got, want) {
					t.Fatalf("%s cut at %d: the upper rows differ", name, n)
				}
			}
		}
		if fails < len(data)-8 || tops < 50 {
			t.Errorf("%s: %d of %d cuts give errors, %d the upper rows", name, fails, len(data), tops)
		}
	}
}

// TestTimeIsBounded decodes what is made to take long.
func TestTimeIsBounded(t *testing.T) {
	good := drawn(t, 40, 30, 90, false)
	table := good[at(t, good, markerDHT)-4:]
	table = table[:2+int(table[2])<<8+int(table[3])]
	zeros := make([]byte, 0, 6<<20)
	zeros = append(zeros, 0xFF, markerSOI)
	comment := segment(0xFE)
	for len(zeros) < 2<<20 {
		zeros = append(zeros, comment...)
	}
	for len(zeros) < 4<<20 {
		zeros = append(zeros, table...)
	}
	zeros = append(zeros, good[2:]...)
	wide := slices.Clone(good) // 4096 × 2048 pixels in 2 KB
	copy(wide[at(t, wide, markerSOF0)+1:], []byte{8, 0, 16, 0})
	begin := time.Now()
	var d Decoder
	dst := make([]byte, 3*4096*2048)
	if err := d.Decode(dst, 3*40, zeros, 40, 30, image.Rect(0, 0, 40, 30)); err != nil {
		t.Errorf("many segments: %v", err)
	}
	if err := d.Decode(dst, 3*4096, wide, 4096, 2048, image.Rect(0, 0, 4096, 2048)); err == nil {
		t.Error("a wide picture in 2 KB is taken")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it takes %v", took)
	}
}

// FuzzDecode decodes anything: an error or a picture, whose parts are those of
// the whole.
func FuzzDecode(f *testing.F) {
	for _, data := range files(f) {
		f.Add(data, uint16(5), uint16(3))
	}
	f.Add(drawn(f, 20, 16, 50, false), uint16(1), uint16(1))
	f.Add(drawn(f, 9, 9, 50, true), uint16(0), uint16(8))
	f.Fuzz(func(t *testing.T, data []byte, x, y uint16) {
		w, h, err := Size(data)
		if err != nil || w < 1 || h < 1 || w*h > 1<<16 {
			t.Skip("no picture, or a large one: slow, not different")
		}
		var d Decoder
		whole, err := decode(t, &d, data, w, h, image.Rect(0, 0, w, h))
		if err != nil {
			return
		}
		r := image.Rect(int(x)%w, int(y)%h, w, h)
		got, err := decode(t, &d, data, w, h, r)
		if err != nil {
			t.Fatalf("part %v: %v", r, err)
		}
		for i := range r.Dy() {
			row := whole[3*((r.Min.Y+i)*w+r.Min.X):][:3*r.Dx()]
			if !bytes.Equal(got[3*i*r.Dx():][:3*r.Dx()], row) {
				t.Fatalf("part %v: row %d differs from that of the whole", r, i)
			}
		}
	})
}
