package media

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
)

// jpegFile returns a noisy JPEG file with an end marker hidden in a comment and a
// restart marker's bytes in another.
func jpegFile(t *testing.T, seed uint64, width, height int) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range picture.Pix {
		picture.Pix[i] = byte(random.Uint32())
	}
	picture.Set(0, 0, color.White)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	comments := []byte{0xff, 0xfe, 0, 6, 0xff, 0xd9, 0xff, 0xd8, 0xff, 0xff, 0xfe, 0, 4, 0xff, 0xd0}
	return slices.Concat(b.Bytes()[:2], comments, b.Bytes()[2:])
}

func TestJPEGStreamIsSplit(t *testing.T) {
	var files [][]byte
	for i := range 12 {
		files = append(files, jpegFile(t, uint64(i), 5+7*i, 90-7*i))
	}
	stream := slices.Concat(files...)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(stream),
		"bytes": iotest.OneByteReader(bytes.NewReader(stream)),
		"data and end together": iotest.DataErrReader(
			iotest.HalfReader(bytes.NewReader(stream))),
	} {
		frames := newFrameReader(r, false, 1<<20)
		frames.r = bufio.NewReaderSize(r, 16) // smaller than any file
		for i, want := range files {
			x, err := frames.next()
			if err != nil || !bytes.Equal(x.frame, want) {
				t.Fatalf("%s: file %d: %d bytes of %d, %v", name, i, len(x.frame), len(want), err)
			}
			if x.width != 5+7*i || x.height != 90-7*i {
				t.Errorf("%s: file %d is %d × %d", name, i, x.width, x.height)
			}
		}
		if _, err := frames.next(); err != io.EOF {
			t.Errorf("%s: after the end: %v", name, err)
		}
	}
	one := files[0]
	for n := 1; n < len(one); n++ {
		x, err := newFrameReader(bytes.NewReader(one[:n]), false, 1<<20).next()
		if err == nil || x.frame != nil {
			t.Fatalf("%d of %d bytes passed for a file", n, len(one))
		}
	}
	var broken *FileError
	_, err := newFrameReader(bytes.NewReader(one[1:]), false, 1<<20).next()
	if !errors.As(err, &broken) || broken.Outcome != Corrupt {
		t.Errorf("a stream out of step: %v", err)
	}
}

func TestMeanRoundsHalfAway(t *testing.T) {
	data := []byte{0, 1, 0, 2, 0xff, 0xff, 0xff, 0xfe, 0x7f, 0xff, 0x7f, 0xff, 0x80, 0, 0x80, 0, 9, 9}
	want := []int16{2, -2, 32767, -32768}
	if got := meanOfChannels(data, 2); !slices.Equal(got, want) {
		t.Errorf("means %v, want %v", got, want)
	}
}

// The quantisation steps are libjpeg's at the same quality, on average.
func TestJPEGQualityIsLibjpegs(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "clip.mp4")
	writeClip(t, tools, path, 1)
	for _, quality := range []int{50, 75, 90} {
		cfg := smallConfig
		cfg.JPEGQuality = quality
		var b bytes.Buffer
		err := jpeg.Encode(&b, image.NewRGBA(image.Rect(0, 0, 8, 8)), &jpeg.Options{Quality: quality})
		if err != nil {
			t.Fatal(err)
		}
		want := meanStep(t, b.Bytes())
		var got float64
		err = tools.Decode(context.Background(), path, cfg, []Segment{{0, 0.5}},
			func(_ int, c *Clip) error { got = meanStep(t, c.Frames[0]); return nil })
		// ffmpeg's scale is a whole number, 1 to 31.
		if err != nil || !(got > 0.75*want && got < 1.3*want) {
			t.Errorf("quality %d: mean step %.1f, libjpeg's is %.1f (%v)", quality, got, want, err)
		}
	}
}

// meanStep returns the mean of a JPEG file's first quantisation table.
func meanStep(t *testing.T, file []byte) float64 {
	t.Helper()
	at := bytes.Index(file, []byte{0xff, 0xdb})
	if at < 0 || file[at+4]>>4 != 0 {
		t.Fatal("no quantisation table of bytes")
	}
	sum := 0
	for _, step := range file[at+5 : at+5+64] {
		sum += int(step)
	}
	return float64(sum) / 64
}
