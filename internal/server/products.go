package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"net/http"

	"golang.org/x/image/draw"

	"avjepa/internal/chart"
	"avjepa/internal/durable"
	ourjpeg "avjepa/internal/jpeg"
	"avjepa/internal/media"
)

// What previews are like: enough for a page, little for a phone.
const (
	previewSide  = 360 // short side, pixels
	previewFPS   = 30  // at most
	previewRate  = 44100
	soundBitrate = 64000
	thumbWidth   = 320
	thumbQuality = 80
)

// writePreview makes an H.264 and AAC file that starts before it is loaded: of the
// clip's own file where there is one, else of what the model sees.
func writePreview(s *Server, ctx context.Context, x *subject, path string) error {
	if s.cfg.Tools.FFmpeg == "" {
		return noFFmpeg()
	}
	frames, fps, samples, rate, err := s.playable(ctx, x)
	if err != nil {
		return err
	}
	w, h, err := ourjpeg.Size(frames[0])
	if err != nil {
		return err
	}
	even := image.Rect(0, 0, max(2, w&^1), max(2, h&^1))
	var decoder ourjpeg.Decoder
	cfg := media.EncodeConfig{Width: even.Dx(), Height: even.Dy(), FPS: fps, SampleRateHz: rate,
		CRF: 25, KeyFrames: max(1, int(math.Round(fps))), FastAudio: true}
	if w < 2 || h < 2 { // one pixel is repeated
		return problem(http.StatusNotFound, "no-video", "its picture is too small to be shown")
	}
	return s.cfg.Tools.Encode(ctx, path, cfg, len(frames), func(i int, rgb []byte) error {
		return decoder.Decode(rgb, 3*even.Dx(), frames[i], w, h, even)
	}, samples)
}

// playable returns the frames and the sound of a subject at its own size and rate,
// within those of previews.
func (s *Server) playable(ctx context.Context, x *subject) (frames [][]byte, fps float64,
	samples []int16, rate int, err error) {

	if x.clip != nil {
		src, err := s.loaded().Library.File(ctx, x.clip.ID)
		if err != nil {
			return nil, 0, nil, 0, asProblem(err, "clip", x.clip.ID)
		}
		if src != nil {
			c, err := s.decodeSource(ctx, src)
			if err == nil && len(c.Frames) > 0 {
				return c.Frames, c.FPS, c.Samples, previewRate, nil
			}
			if ctx.Err() != nil {
				return nil, 0, nil, 0, context.Cause(ctx)
			}
		}
	}
	m, err := x.medium(ctx)
	if err != nil {
		return nil, 0, nil, 0, err
	}
	if len(m.Frames) == 0 {
		return nil, 0, nil, 0, problem(http.StatusNotFound, "no-video", "it has no picture")
	}
	return m.Frames, m.FPS, m.Samples, m.RateHz, nil
}

// decodeSource decodes a clip's own file for a preview.
func (s *Server) decodeSource(ctx context.Context, src *Source) (*media.Clip, error) {
	limits := s.cfg.Limits.media()
	limits.MaxSeconds = 0 // the library has taken it as it is
	info, err := s.cfg.Tools.Probe(ctx, src.Path, limits)
	if err != nil {
		return nil, err
	}
	fps := 25.0
	if info.Video != nil && info.Video.FPS > 0 {
		fps = min(info.Video.FPS, previewFPS)
	}
	var out *media.Clip
	cfg := media.DecodeConfig{ShortSide: previewSide, FPS: fps, SampleRateHz: previewRate,
		JPEGQuality: 85, Limits: limits}
	err = s.cfg.Tools.Decode(ctx, src.Path, cfg, []media.Segment{{Start: src.Start, End: src.End}},
		func(_ int, c *media.Clip) error { out = c; return nil })
	if err == nil && out == nil {
		err = errors.New("server: nothing was decoded")
	}
	return out, err
}

// soundOf returns the samples of a subject.
func soundOf(ctx context.Context, x *subject) ([]int16, int, error) {
	m, err := x.medium(ctx)
	if err != nil {
		return nil, 0, err
	}
	if len(m.Samples) == 0 || m.RateHz <= 0 {
		return nil, 0, problem(http.StatusNotFound, "no-audio", "it has no sound")
	}
	return m.Samples, m.RateHz, nil
}

// writeM4A writes the sound as the model hears it, as AAC.
func writeM4A(s *Server, ctx context.Context, x *subject, path string) error {
	if s.cfg.Tools.FFmpeg == "" {
		return noFFmpeg()
	}
	samples, rate, err := soundOf(ctx, x)
	if err != nil {
		return err
	}
	return s.cfg.Tools.EncodeSound(ctx, path, rate, soundBitrate, samples)
}

// writeWAV writes the sound as the model hears it, as PCM.
func writeWAV(s *Server, ctx context.Context, x *subject, path string) error {
	samples, rate, err := soundOf(ctx, x)
	if err != nil {
		return err
	}
	n := uint32(2 * len(samples))
	return durable.WriteFile(path, func(w io.Writer) error {
		for _, v := range []any{[]byte("RIFF"), 36 + n, []byte("WAVEfmt "), uint32(16), uint16(1),
			uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16), []byte("data"), n,
			samples} {
			if err := binary.Write(w, binary.LittleEndian, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// The darkest and the brightest value of a log-mel picture, in deviations.
const melLow, melHigh = -2.0, 2.5

// melPicture draws the log-mel as the model sees it.
func (s *Server) melPicture(ctx context.Context, x *subject) (image.Image, error) {
	model, err := s.model()
	if err != nil {
		return nil, err
	}
	m, err := x.medium(ctx)
	if err != nil {
		return nil, err
	}
	mel, err := model.Mel(m)
	if err != nil {
		return nil, err
	}
	if mel.Bands <= 0 || mel.Frames <= 0 || len(mel.Values) != mel.Bands*mel.Frames {
		return nil, fmt.Errorf("server: a log-mel of %d × %d has %d values", mel.Bands, mel.Frames,
			len(mel.Values))
	}
	return chart.Mel(mel.Values, mel.Bands, mel.Frames, melLow, melHigh, 1,
		max(1, 128/mel.Bands)), nil
}

func writeMel(s *Server, ctx context.Context, x *subject, path string) error {
	img, err := s.melPicture(ctx, x)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, func(w io.Writer) error {
		return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, img)
	})
}

// writeThumb writes the middle frame, or for a sound its log-mel.
func writeThumb(s *Server, ctx context.Context, x *subject, path string) error {
	var img image.Image
	if x.info.HasVideo {
		frame, err := s.still(ctx, x)
		if err != nil {
			return err
		}
		if img, err = decodeFrame(frame); err != nil {
			return err
		}
	} else {
		var err error
		if img, err = s.melPicture(ctx, x); err != nil {
			return err
		}
	}
	size := img.Bounds().Size()
	w, h := size.X, size.Y
	if w > thumbWidth {
		h, w = max(1, h*thumbWidth/w), thumbWidth
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.ApproxBiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Src, nil)
	return durable.WriteFile(path, func(out io.Writer) error {
		return jpeg.Encode(out, small, &jpeg.Options{Quality: thumbQuality})
	})
}

// decodeFrame decodes one JPEG.
func decodeFrame(data []byte) (image.Image, error) {
	w, h, err := ourjpeg.Size(data)
	if err != nil {
		return nil, err
	}
	rgb := make([]byte, 3*w*h)
	var d ourjpeg.Decoder
	if err := d.Decode(rgb, 3*w, data, w, h, image.Rect(0, 0, w, h)); err != nil {
		return nil, err
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		copy(img.Pix[4*i:], rgb[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img, nil
}
