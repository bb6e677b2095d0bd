// Package datasettest makes small datasets for tests, without ffmpeg: pictures
// and sounds are drawn, and written by dataset.Ingest as any others.
//
//	set := datasettest.Make(t, datasettest.Config{Clips: 12})
package datasettest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"path/filepath"
	"testing"

	"avjepa/internal/dataset"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/rng"
)

// Config says what to make. Zero fields: 8 clips of 1 s with 8 frames a second
// of 40 × 32 pixels, in split "train".
type Config struct {
	Dir           string // a new one when empty
	Clips         int
	Seconds, FPS  float64
	Width, Height int
	Split         string
	Splits        []string        // instead: three clips by turns, one of each label
	Keep          []media.Outcome // beside usable clips
	ShardBytes    int64           // 1 GiB when 0

	Labels func(clip int) []string // one of three, as Key says, when nil

	// Alter changes what is stored of a clip, to break it for instance.
	Alter func(clip int, c *media.Clip)
}

// Clip i has the key Key(i), so that the set's order is that of the numbers, and
// one of three labels: class0 to class2.
func Key(i int) string { return fmt.Sprintf("clip%04d", i) }

// Make writes a dataset and opens it. The same Config gives the same bytes.
func Make(t testing.TB, c Config) *dataset.Set {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c = c.withDefaults()
	in := dataset.DefaultIngestConfig()
	in.Dir, in.Decoder, in.Workers = c.Dir, drawer{c}, 1
	in.Settings.Keep = append(in.Settings.Keep, c.Keep...)
	if c.ShardBytes > 0 {
		in.Settings.ShardBytes = c.ShardBytes
	}
	for i := range c.Clips {
		if len(c.Splits) > 0 {
			c.Split = c.Splits[i/3%len(c.Splits)]
		}
		in.Entries = append(in.Entries, manifest.Entry{Path: filepath.Join(c.Dir, fmt.Sprint(i)),
			Key: Key(i), Labels: c.Labels(i), Split: c.Split})
	}
	if _, err := dataset.Ingest(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open(c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if set.Len() != c.Clips {
		t.Fatalf("datasettest: %d clips were kept, want %d", set.Len(), c.Clips)
	}
	return set
}

func (c Config) withDefaults() Config {
	def := func(x *int, n int) {
		if *x == 0 {
			*x = n
		}
	}
	def(&c.Clips, 8)
	def(&c.Width, 40)
	def(&c.Height, 32)
	if c.Seconds == 0 {
		c.Seconds = 1
	}
	if c.FPS == 0 {
		c.FPS = 8
	}
	if c.Labels == nil {
		c.Labels = func(clip int) []string { return []string{fmt.Sprintf("class%d", clip%3)} }
	}
	if c.Split == "" {
		c.Split = "train"
	}
	return c
}

// drawer is a dataset.Decoder that draws; the number of a clip is its path.
type drawer struct{ Config }

func (d drawer) Decode(_ context.Context, path string, cfg media.DecodeConfig,
	segs []media.Segment, yield func(i int, c *media.Clip) error) error {
	var n int
	if _, err := fmt.Sscan(filepath.Base(path), &n); err != nil {
		return fmt.Errorf("datasettest: %w", err)
	}
	for i := range segs {
		c := d.draw(n, cfg.SampleRateHz)
		if d.Alter != nil {
			d.Alter(n, c)
		}
		if err := yield(i, c); err != nil {
			return err
		}
	}
	return nil
}

// draw makes clip n: a disc that moves over a coloured ground, a tone with noise.
func (d drawer) draw(n, rate int) *media.Clip {
	c := &media.Clip{Outcome: media.Usable, Seconds: d.Seconds, FPS: d.FPS,
		Width: d.Width, Height: d.Height}
	c.Info.Seconds = d.Seconds
	r := rng.New(1, "datasettest", n)
	ground := color.RGBA{uint8(r.IntN(256)), uint8(r.IntN(256)), uint8(r.IntN(256)), 255}
	x, y, speed := r.Float64(), r.Float64(), r.Uniform(.1, .6)
	for f := range int(d.Seconds*d.FPS + .5) {
		at := math.Mod(x+speed*float64(f)/d.FPS, 1)
		c.Frames = append(c.Frames, d.frame(ground, at, y))
	}
	pitch, level := r.Uniform(150, 3000), r.Uniform(2000, 12000)
	for i := range int(d.Seconds*float64(rate) + .5) {
		s := level*math.Sin(2*math.Pi*pitch*float64(i)/float64(rate)) + 300*r.NormFloat64()
		c.Samples = append(c.Samples, int16(s))
	}
	return c
}

func (d drawer) frame(ground color.RGBA, cx, cy float64) []byte {
	img := image.NewRGBA(image.Rect(0, 0, d.Width, d.Height))
	disc := color.RGBA{255 - ground.R, 255 - ground.G, 255 - ground.B, 255}
	w, h := float64(d.Width), float64(d.Height)
	for y := range d.Height {
		for x := range d.Width {
			img.SetRGBA(x, y, ground)
			if math.Hypot(float64(x)-cx*w, float64(y)-cy*h) < h/5 {
				img.SetRGBA(x, y, disc)
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return b.Bytes()
}
