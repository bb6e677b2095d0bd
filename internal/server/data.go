package server

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// library returns the library or the problem that there is none.
func (s *Server) library() (Library, error) {
	lib := s.loaded().Library
	if lib == nil {
		return nil, problem(http.StatusServiceUnavailable, "no-library",
			"no library is loaded").withHint("start the server with --library DIR, or index a folder")
	}
	return lib, nil
}

// model returns the model or the problem that there is none.
func (s *Server) model() (Model, error) {
	m := s.loaded().Model
	if m == nil {
		return nil, problem(http.StatusServiceUnavailable, "no-model",
			"no model is loaded").withHint("start the server with --model RUN, or open its first page: it makes one")
	}
	return m, nil
}

// Library describes the library as a whole.
func (s *Server) Library(ctx context.Context) (LibraryInfo, error) {
	lib, err := s.library()
	if err != nil {
		return LibraryInfo{}, err
	}
	info, err := lib.Info(ctx)
	return info, asProblem(err, "library", "")
}

// Sorts of ClipQuery, the default first.
var sorts = []string{"newest", "oldest", "name", "longest", "shortest"}

// Pages of lists.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// Clips returns a page of the clips that q selects.
func (s *Server) Clips(ctx context.Context, q ClipQuery) (ClipPage, error) {
	lib, err := s.library()
	if err != nil {
		return ClipPage{}, err
	}
	if err := q.check(); err != nil {
		return ClipPage{}, err
	}
	after, err := decodeCursor(q.Sort, q.Cursor)
	if err != nil {
		return ClipPage{}, err
	}
	clips, next, total, err := lib.List(ctx, q, after)
	if err != nil {
		return ClipPage{}, asProblem(err, "library", "")
	}
	page := ClipPage{Items: clips, Total: total}
	if page.Items == nil {
		page.Items = []Clip{}
	}
	if next != nil {
		page.Next = encodeCursor(q.Sort, next)
	}
	return page, nil
}

// Clip returns one clip of the library.
func (s *Server) Clip(ctx context.Context, id string) (Clip, error) {
	lib, err := s.library()
	if err != nil {
		return Clip{}, err
	}
	c, err := lib.Clip(ctx, id)
	return c, asProblem(err, "clip", id)
}

// Map returns the layout of a space.
func (s *Server) Map(ctx context.Context, space Modality) (*Map, error) {
	lib, err := s.library()
	if err != nil {
		return nil, err
	}
	if !space.valid() {
		return nil, badRequest("space", "is none of audio, video, both")
	}
	m, err := lib.Map(ctx, space)
	if errors.Is(err, ErrNotFound) {
		return nil, problem(http.StatusNotFound, "no-map",
			"the library has no map yet").withHint("it is laid out when the library is indexed")
	}
	return m, asProblem(err, "map", string(space))
}

// Model returns the card of the model that this server embeds with; ok is false when
// there is none.
func (s *Server) Model() (info ModelInfo, ok bool) {
	m := s.loaded().Model
	if m == nil {
		return ModelInfo{}, false
	}
	info = m.Info()
	info.Loaded = true
	return info, true
}

// Explains says whether the model can say where it looks.
func (s *Server) Explains() bool { return s.loaded().Explainer != nil }

// Status is what a first look at the server tells.
type Status struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Model   bool      `json:"model"`
	Library bool      `json:"library"`
	FFmpeg  bool      `json:"ffmpeg"`
	Ready   bool      `json:"ready"`
}

// Status says what is loaded.
func (s *Server) Status() Status {
	now := s.loaded()
	return Status{Version: s.cfg.Version, Started: s.started.UTC(), Model: now.Model != nil,
		Library: now.Library != nil, FFmpeg: s.cfg.Tools.FFmpeg != "", Ready: !s.draining.Load()}
}

// asProblem turns an error of a dependency into what clients may see of it.
func asProblem(err error, what, id string) error {
	var p *Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.Is(err, ErrNotFound):
		return notFound(what, id)
	case errors.Is(err, context.Canceled):
		return canceled()
	case errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusServiceUnavailable, "timeout", "the work took too long").after(
			time.Second)
	}
	return &internalError{err}
}

// statusClientGone is what proxies log for a client that did not wait; nobody gets it.
const statusClientGone = 499

func canceled() *Problem {
	return problem(statusClientGone, "canceled", "the request was given up")
}

// internalError is our own fault: it is logged, and clients learn no more than that.
type internalError struct{ error }

func (e *internalError) Unwrap() error { return e.error }
