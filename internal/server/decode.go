package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"avjepa/internal/media"
)

// errNoFFmpeg is the problem of a machine that cannot decode.
func noFFmpeg() *Problem {
	return problem(http.StatusServiceUnavailable, "no-ffmpeg", "ffmpeg is not installed here").
		withHint("install ffmpeg and start the server again")
}

// decoder waits for one of the decoders and returns the function that gives it back.
func (s *Server) decoder(ctx context.Context) (release func(), err error) {
	select {
	case s.decoders <- struct{}{}:
		return func() { <-s.decoders }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// readUpload decodes an upload as the model sees it. A file of the same bytes that was
// read a moment ago is not read again.
func (s *Server) readUpload(ctx context.Context, u *Upload) (*Medium, error) {
	model, err := s.model()
	if err != nil {
		return nil, err
	}
	if s.cfg.Tools.FFmpeg == "" {
		return nil, noFFmpeg()
	}
	read := func(ctx context.Context) (*Medium, error) {
		release, err := s.decoder(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
		begun := time.Now()
		m, err := model.Read(ctx, u.path, s.cfg.Limits.media())
		s.metrics.decodeSeconds.Observe(time.Since(begun).Seconds())
		if err == nil {
			s.metrics.outcomes.WithLabelValues(string(m.Outcome)).Inc()
			err = unusable(m, &s.cfg.Limits)
		} else if broken := (*media.FileError)(nil); errors.As(err, &broken) {
			s.metrics.outcomes.WithLabelValues(string(broken.Outcome)).Inc()
			err = outcomeProblem(broken.Outcome, &s.cfg.Limits)
		}
		if err != nil {
			return nil, err
		}
		return m, nil
	}
	m, err := s.media.get(ctx, "sha256:"+u.Hash, read)
	var p *Problem
	if errors.As(err, &p) && (p.Code == string(media.Missing) || p.Code == string(media.Unreadable)) {
		// Another request's file of the same content was being read and went with it.
		return read(ctx)
	}
	return m, err
}

// openClip decodes a clip of the library.
func (s *Server) openClip(ctx context.Context, c *Clip) (*Medium, error) {
	lib, err := s.library()
	if err != nil {
		return nil, err
	}
	return s.media.get(ctx, "clip:"+c.ID+":"+c.Hash, func(ctx context.Context) (*Medium, error) {
		release, err := s.decoder(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
		m, err := lib.Open(ctx, c.ID)
		var broken *media.FileError
		if errors.As(err, &broken) {
			return nil, sourceGone(broken.Outcome)
		}
		return m, asProblem(err, "clip", c.ID)
	})
}

// sourceGone is the problem of a clip whose file is no longer what it was.
func sourceGone(o media.Outcome) *Problem {
	p := problem(http.StatusConflict, "source-changed",
		"the clip's file is no longer readable: "+string(o))
	return p.withHint("index the folder again")
}

// unusable returns the problem of a medium that has nothing to embed, else nil.
func unusable(m *Medium, l *Limits) error {
	if m.Outcome == media.TooShort || !m.HasVideo && !m.HasAudio {
		return outcomeProblem(m.Outcome, l)
	}
	return nil
}

// outcomeProblem says what is wrong with a file: 422 and the outcome as code.
func outcomeProblem(o media.Outcome, l *Limits) *Problem {
	code := strings.ReplaceAll(string(o), " ", "-")
	if code == "" {
		code = "corrupt"
	}
	p := problem(http.StatusUnprocessableEntity, code, "")
	switch o {
	case media.Empty:
		p.Detail, p.Hint = "the file is empty", "was it sent as a whole?"
	case media.Unsupported:
		p.Detail = "the file is a playlist, a text, or in a format that ffmpeg here cannot decode"
		p.Hint = "MP4, WebM, MOV, MKV, AVI, MPEG, WAV, MP3, FLAC, Ogg, JPEG and PNG work"
	case media.TooLarge:
		p.Detail = fmt.Sprintf("the file is longer than %v s, or its pictures are too large",
			l.MediaSeconds)
		p.Hint = "cut it to the part that matters"
		p.Limit = &l.MediaSeconds
	case media.Timeout:
		p.Detail, p.Hint = "decoding took too long", "cut it, or make its pictures smaller"
	case media.TooShort:
		p.Detail, p.Hint = "less than half a second of it can be decoded", "choose a longer one"
	case media.NoAudio:
		p.Detail, p.Hint = "the file has no sound", "search by its picture"
	case media.NoVideo:
		p.Detail, p.Hint = "the file has no picture", "search by its sound"
	default:
		p.Detail, p.Hint = "too little of the file can be decoded", "does it play elsewhere?"
	}
	return p
}
