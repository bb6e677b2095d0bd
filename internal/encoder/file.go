package encoder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	_ "image/png" // pictures that ReadFile reads
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/image/draw"

	"avjepa/internal/dataset"
	"avjepa/internal/media"
	"avjepa/internal/view"
)

// Clip is a file, or a stored clip, as the model sees it.
type Clip struct {
	Outcome            media.Outcome // Usable, NoVideo, NoAudio, Silent or StillImage
	Reason             string        // for people; "" when usable
	Seconds            float64
	HasVideo, HasAudio bool
	Windows            []Window

	Frames  [][]byte // JPEG files, FPS a second; nil without picture
	FPS     float64
	Samples []int16       // 16 kHz mono; nil without sound
	Decoded *view.Decoded // for other windows than these
}

// Modality returns what the clip has.
func (c *Clip) Modality() Modality {
	var m Modality
	if c.HasVideo {
		m |= Video
	}
	if c.HasAudio {
		m |= Audio
	}
	return m
}

// ReadOptions say which windows of a clip are made.
type ReadOptions struct {
	// Stride is between the starts of windows, the first at 0 and the last within the
	// clip; 0 makes Windows windows evenly over it.
	Stride  time.Duration
	Windows int // 0 means 1

	MaxSeconds float64 // of a file that is read, or of its part; 0 means 60
	Limits     media.Limits
	Part       media.Segment // of a file; zero is all of it
}

// maxPicture bounds a picture's pixels and bytes.
const (
	maxPicturePixels = 64 << 20
	maxPictureBytes  = 64 << 20
)

// ReadFile reads a video, a sound, or a JPEG or PNG picture, which is a video that stands
// still. The picture is stored and cut as ingest does it. A file that cannot be used
// gives a *media.FileError; other errors are the context's and those of ReadOptions.
func (x *Encoder) ReadFile(ctx context.Context, tools media.Tools, path string,
	o ReadOptions) (*Clip, error) {
	if o.MaxSeconds == 0 {
		o.MaxSeconds = 60
	}
	frame, err := x.picture(path)
	if err != nil {
		return nil, err
	}
	def := dataset.DefaultIngestConfig().Settings
	if frame != nil {
		c := &Clip{Outcome: media.StillImage, Reason: "a picture", HasVideo: true, FPS: def.FPS}
		n := int(math.Ceil(x.maker.Config().Seconds * def.FPS))
		for range n {
			c.Frames = append(c.Frames, frame)
		}
		c.Seconds = float64(n) / def.FPS
		return c, x.cut(c, o)
	}
	cfg := media.DecodeConfig{ShortSide: def.ShortSide, FPS: def.FPS, SampleRateHz: def.SampleRateHz,
		MinSeconds: def.MinSeconds, JPEGQuality: def.JPEGQuality, SilenceDB: def.SilenceDB,
		Limits: o.Limits}
	if cfg.Limits.MaxSeconds == 0 {
		cfg.Limits.MaxSeconds = o.MaxSeconds
	}
	var c *Clip
	var broken error // not for Decode, which answers for the file's faults itself
	err = tools.Decode(ctx, path, cfg, []media.Segment{o.Part}, func(_ int, m *media.Clip) error {
		if !m.Outcome.HasClip() {
			broken = &media.FileError{Outcome: m.Outcome, Reason: m.Reason}
			return nil
		}
		c = &Clip{Outcome: m.Outcome, Reason: m.Reason, Seconds: m.Seconds, HasVideo: m.HasVideo,
			HasAudio: m.HasAudio, Frames: m.Frames, FPS: m.FPS, Samples: m.Samples}
		return nil
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return nil, err
	}
	return c, x.cut(c, o)
}

// ReadStored makes windows of a clip of a set. The clip must not be read into again
// while they are made from it.
func (x *Encoder) ReadStored(s *dataset.Clip, o ReadOptions) (*Clip, error) {
	c := &Clip{Outcome: media.Usable, Seconds: s.Seconds, HasVideo: s.HasVideo(),
		HasAudio: s.HasAudio(), Frames: s.Frames, FPS: s.FPS, Samples: s.Samples}
	switch {
	case !c.HasVideo:
		c.Outcome, c.FPS = media.NoVideo, 1 // of no frames
	case !c.HasAudio:
		c.Outcome = media.NoAudio
	case s.Silent:
		c.Outcome = media.Silent
	case s.Still:
		c.Outcome = media.StillImage
	}
	return c, x.cut(c, o)
}

// cut makes the clip's windows.
func (x *Encoder) cut(c *Clip, o ReadOptions) error {
	d, err := x.maker.Open(c.Frames, c.FPS, c.Samples)
	if err != nil {
		return &media.FileError{Outcome: media.Corrupt, Reason: err.Error()}
	}
	c.Decoded = d
	last := x.maker.LastStart(d)
	starts := []time.Duration{}
	switch {
	case o.Stride < 0 || o.Stride > 0 && o.Stride < 10*time.Millisecond:
		return fmt.Errorf("encoder: stride %v: at least 10 ms, or 0", o.Stride)
	case o.Stride > 0:
		for at := time.Duration(0); at <= last; at += o.Stride {
			starts = append(starts, at.Truncate(10*time.Millisecond))
		}
	default:
		n := max(1, o.Windows)
		for i := range n {
			starts = append(starts, x.maker.EvalStart(d, i, n))
		}
	}
	for _, at := range starts {
		w, err := x.window(c, at)
		if err != nil {
			return &media.FileError{Outcome: media.Corrupt, Reason: err.Error()}
		}
		c.Windows = append(c.Windows, w)
	}
	return nil
}

// window makes the window that starts at a time of the clip.
func (x *Encoder) window(c *Clip, at time.Duration) (Window, error) {
	v := x.maker.Config()
	w := Window{Start: at}
	if c.HasVideo {
		w.Video = make([]byte, v.Frames*v.Side*v.Side*3)
	}
	if c.HasAudio {
		w.Audio = make([]float32, v.Bands*v.MelFrames())
	}
	return w, x.maker.EvalAt(w.Video, w.Audio, c.Decoded, at, at)
}

// picture returns a JPEG or PNG file as a frame at the short side that ingest stores,
// nil for a file that is none.
func (x *Encoder) picture(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &media.FileError{Outcome: media.Unreadable, Reason: reasonOf(err)}
	}
	if !info.Mode().IsRegular() {
		return nil, nil // media says what it is
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &media.FileError{Outcome: media.Unreadable, Reason: reasonOf(err)}
	}
	defer f.Close()
	head := make([]byte, 8)
	n, _ := io.ReadFull(f, head)
	if !bytes.HasPrefix(head[:n], []byte("\xff\xd8\xff")) &&
		!bytes.HasPrefix(head[:n], []byte("\x89PNG\r\n\x1a\n")) {
		return nil, nil
	}
	if info.Size() > maxPictureBytes {
		return nil, &media.FileError{Outcome: media.TooLarge,
			Reason: fmt.Sprintf("a picture of %d bytes; the limit is %d", info.Size(), maxPictureBytes)}
	}
	data, err := io.ReadAll(io.LimitReader(io.MultiReader(bytes.NewReader(head[:n]), f), maxPictureBytes))
	if err != nil {
		return nil, &media.FileError{Outcome: media.Unreadable, Reason: err.Error()}
	}
	return frameOf(data)
}

// frameOf decodes a picture and scales it as frames are stored.
func frameOf(data []byte) ([]byte, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, &media.FileError{Outcome: media.Corrupt, Reason: "picture: " + err.Error()}
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > maxPicturePixels/c.Height {
		return nil, &media.FileError{Outcome: media.TooLarge, Reason: fmt.Sprintf(
			"a picture of %d × %d pixels; the limit is %d in all", c.Width, c.Height, maxPicturePixels)}
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, &media.FileError{Outcome: media.Corrupt, Reason: "picture: " + err.Error()}
	}
	w, h := c.Width, c.Height
	if short := dataset.DefaultIngestConfig().Settings.ShortSide; min(w, h) > short {
		scale := float64(short) / float64(min(w, h))
		w, h = max(1, int(float64(w)*scale+.5)), max(1, int(float64(h)*scale+.5))
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(small, small.Bounds(), image.White, image.Point{}, draw.Src) // behind what is transparent
	draw.BiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Over, nil)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, small, &jpeg.Options{Quality: 95}); err != nil {
		return nil, &media.FileError{Outcome: media.TooLarge, Reason: "picture: " + err.Error()}
	}
	return b.Bytes(), nil
}

// reasonOf is an error of the file system without the path.
func reasonOf(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
