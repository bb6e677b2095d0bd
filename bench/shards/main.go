// Command shards writes a data set of made-up clips, for measuring on a machine
// without videos and without ffmpeg: ten seconds of a picture that moves, with as
// many bytes of JPEG as films have, and noise for sound.
//
//	shards -out data/made-up -clips 400 -width 456 -height 256
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"

	"avjepa/internal/dataset"
	"avjepa/internal/manifest"
	"avjepa/internal/media"
	"avjepa/internal/rng"
)

func main() {
	out := flag.String("out", "", "folder to write")
	clips := flag.Int("clips", 400, "number of clips")
	width := flag.Int("width", 456, "pixels of a frame")
	height := flag.Int("height", 256, "pixels of a frame")
	flag.Parse()
	if err := run(*out, *clips, *width, *height); err != nil {
		fmt.Fprintln(os.Stderr, "shards: "+err.Error())
		os.Exit(1)
	}
}

func run(out string, clips, width, height int) error {
	if out == "" || clips < 1 || width < 16 || height < 16 {
		return fmt.Errorf("-out %q -clips %d -width %d -height %d: want a folder, at least one clip, "+
			"at least 16 × 16", out, clips, width, height)
	}
	c := dataset.DefaultIngestConfig()
	c.Dir, c.Decoder = out, drawer{width, height, c.Settings.FPS, c.Settings.ClipSeconds}
	for i := range clips {
		key := fmt.Sprintf("clip%06d", i)
		path, err := filepath.Abs(filepath.Join(out, key))
		if err != nil {
			return err
		}
		c.Entries = append(c.Entries, manifest.Entry{Path: path, Key: key, Split: "train"})
	}
	sum, err := dataset.Ingest(context.Background(), c)
	if err != nil {
		return err
	}
	_, err = fmt.Printf("%d clips of %d × %d, %.2f MB each\n", sum.Clips, width, height,
		float64(sum.Bytes)/1e6/float64(sum.Clips))
	return err
}

// drawer is a dataset.Decoder that draws.
type drawer struct {
	width, height int
	fps, seconds  float64
}

func (d drawer) Decode(ctx context.Context, path string, cfg media.DecodeConfig,
	segs []media.Segment, yield func(i int, c *media.Clip) error) error {
	for i := range segs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c, err := d.draw(filepath.Base(path), cfg)
		if err != nil {
			return err
		}
		if err := yield(i, c); err != nil {
			return err
		}
	}
	return nil
}

func (d drawer) draw(key string, cfg media.DecodeConfig) (*media.Clip, error) {
	c := &media.Clip{Outcome: media.Usable, Seconds: d.seconds, FPS: d.fps, Width: d.width,
		Height: d.height}
	c.Info.Seconds = d.seconds
	r := rng.New(1, "shards", key)
	n := int(d.seconds * d.fps)
	whole := landscape(r, d.width+4*n, d.height) // the camera pans over it
	for f := range n {
		var b bytes.Buffer
		view := whole.SubImage(image.Rect(4*f, 0, 4*f+d.width, d.height))
		if err := jpeg.Encode(&b, view, &jpeg.Options{Quality: cfg.JPEGQuality}); err != nil {
			return nil, err
		}
		c.Frames = append(c.Frames, b.Bytes())
	}
	for range int(d.seconds * float64(cfg.SampleRateHz)) {
		c.Samples = append(c.Samples, int16(3000*r.NormFloat64()))
	}
	return c, nil
}

// landscape makes a picture with detail at every scale: noise on ever finer grids,
// each half as strong as the one before, which is what films have on average.
func landscape(r *rng.Stream, width, height int) *image.YCbCr {
	img := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	fill := func(plane []byte, stride, w, h int, strength float64) {
		sum := make([]float64, w*h)
		for grid := 64; grid >= 2; grid /= 2 {
			addNoise(r, sum, w, h, grid, strength)
			strength /= 2
		}
		for y := range h {
			for x := range w {
				plane[y*stride+x] = byte(min(max(128+sum[y*w+x], 0), 255))
			}
		}
	}
	fill(img.Y, img.YStride, width, height, 110)
	cw, ch := (width+1)/2, (height+1)/2
	fill(img.Cb, img.CStride, cw, ch, 30)
	fill(img.Cr, img.CStride, cw, ch, 30)
	return img
}

// addNoise adds noise in [−strength, strength) drawn at every grid-th pixel, linear
// between.
func addNoise(r *rng.Stream, sum []float64, w, h, grid int, strength float64) {
	gw, gh := w/grid+2, h/grid+2
	at := make([]float64, gw*gh)
	for i := range at {
		at[i] = strength * (2*r.Float64() - 1)
	}
	for y := range h {
		v := float64(y%grid) / float64(grid)
		up, down := at[y/grid*gw:], at[(y/grid+1)*gw:]
		for x := range w {
			u, i := float64(x%grid)/float64(grid), x/grid
			sum[y*w+x] += (1-v)*((1-u)*up[i]+u*up[i+1]) + v*((1-u)*down[i]+u*down[i+1])
		}
	}
}
