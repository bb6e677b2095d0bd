package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"
)

// product is a file that is made of a medium.
type product struct {
	name  string // the last element of its path
	ext   string
	kind  string // Content-Type
	model bool   // it looks otherwise with another model
	// write makes it of what x names.
	write func(s *Server, ctx context.Context, x *subject, path string) error
}

var (
	previewMP4 = &product{name: "preview", ext: ".mp4", kind: "video/mp4", write: writePreview}
	audioM4A   = &product{name: "audio", ext: ".m4a", kind: "audio/mp4", write: writeM4A}
	audioWAV   = &product{name: "audio", ext: ".wav", kind: "audio/wav", write: writeWAV}
	excerptM4A = &product{name: "excerpt", ext: ".m4a", kind: "audio/mp4", model: true,
		write: writeExcerpt}
	thumbJPG = &product{name: "thumb", ext: ".jpg", kind: "image/jpeg", model: true, write: writeThumb}
	melPNG   = &product{name: "mel", ext: ".png", kind: "image/png", model: true, write: writeMel}
)

// clipMedia serves a product of a clip.
func (s *Server) clipMedia(p *product) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.serveProduct(w, r, p, Ref{Clip: r.PathValue("id")})
	}
}

// queryMedia serves a product of a kept query.
func (s *Server) queryMedia(p *product) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.serveProduct(w, r, p, Ref{Query: r.PathValue("id")})
	}
}

// serveProduct answers for the whole of a product or for ranges of it.
func (s *Server) serveProduct(w http.ResponseWriter, r *http.Request, p *product, of Ref) error {
	q := r.URL.Query()
	if err := known(q, "v"); err != nil {
		return err
	}
	x, err := s.subjectOf(r.Context(), of)
	if err != nil {
		return err
	}
	if p == previewMP4 && !x.info.HasVideo {
		return problem(http.StatusNotFound, "no-video", "it has no picture").withHint(
			"audio.m4a has its sound")
	}
	if (p == audioM4A || p == audioWAV || p == excerptM4A || p == melPNG) && !x.info.HasAudio {
		return problem(http.StatusNotFound, "no-audio", "it has no sound")
	}
	key := previewKey(p.name+p.ext, x.key)
	if m := s.loaded().Model; p.model && m != nil {
		key = previewKey(p.name+p.ext, x.key, m.Info().ID)
	}
	f, etag, err := s.previews.open(r.Context(), key, p.ext,
		func(ctx context.Context, path string) error { return p.write(s, ctx, x, path) })
	if err != nil {
		return asProblem(err, "clip", x.info.ID)
	}
	defer f.Close()
	serveFile(w, r, f, p.kind, etag, q.Get("v"))
	return nil
}

// serveFile answers with a file that was made here, or with ranges of it.
func serveFile(w http.ResponseWriter, r *http.Request, f *os.File, kind, etag, version string) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("ETag", `"`+etag+`"`)
	cache(h, version)
	http.ServeContent(w, r, "", time.Time{}, f)
}

// cache lets browsers keep an answer: for good when its address names the version.
func cache(h http.Header, version string) {
	if version != "" {
		h.Set("Cache-Control", "private, max-age=31536000, immutable")
		return
	}
	h.Set("Cache-Control", "private, max-age=60")
}

// serveBytes answers with bytes that are in memory, or with ranges of them.
func serveBytes(w http.ResponseWriter, r *http.Request, text []byte, version string) error {
	sum := sha256.Sum256(text)
	h := w.Header()
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	if h.Get("Cache-Control") == "" {
		cache(h, version)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	return nil
}

func (s *Server) clipFrames(w http.ResponseWriter, r *http.Request) error {
	return s.serveFrames(w, r, Ref{Clip: r.PathValue("id")})
}

func (s *Server) queryFrames(w http.ResponseWriter, r *http.Request) error {
	return s.serveFrames(w, r, Ref{Query: r.PathValue("id")})
}

// pictures returns the medium of a reference, which must have frames.
func (s *Server) pictures(ctx context.Context, ref Ref) (*Medium, error) {
	x, err := s.subjectOf(ctx, ref)
	if err != nil {
		return nil, err
	}
	if !x.info.HasVideo {
		return nil, problem(http.StatusNotFound, "no-video", "it has no picture")
	}
	m, err := x.medium(ctx)
	if err == nil && (len(m.Frames) == 0 || !(m.FPS > 0)) {
		err = problem(http.StatusNotFound, "no-video", "it has no picture")
	}
	return m, err
}

// Frames says when the frames of a clip or of a query are shown.
func (s *Server) Frames(ctx context.Context, ref Ref) (*Frames, error) {
	m, err := s.pictures(ctx, ref)
	if err != nil {
		return nil, err
	}
	f := &Frames{FPS: m.FPS, Width: m.Width, Height: m.Height, Crop: m.Crop,
		Times: make([]float64, len(m.Frames))}
	if f.Crop == (Crop{}) {
		f.Crop = Crop{Width: 1, Height: 1}
	}
	for i := range f.Times {
		f.Times[i] = float64(i) / m.FPS
	}
	return f, nil
}

func (s *Server) serveFrames(w http.ResponseWriter, r *http.Request, ref Ref) error {
	f, err := s.Frames(r.Context(), ref)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, f)
}

func (s *Server) clipFrame(w http.ResponseWriter, r *http.Request) error {
	return s.serveFrame(w, r, Ref{Clip: r.PathValue("id")})
}

func (s *Server) queryFrame(w http.ResponseWriter, r *http.Request) error {
	return s.serveFrame(w, r, Ref{Query: r.PathValue("id")})
}

func (s *Server) serveFrame(w http.ResponseWriter, r *http.Request, ref Ref) error {
	if err := known(r.URL.Query(), "v"); err != nil {
		return err
	}
	n, err := pathNumber(r, "n")
	if err != nil {
		return err
	}
	m, err := s.pictures(r.Context(), ref)
	if err != nil {
		return err
	}
	if n >= len(m.Frames) {
		return notFound("frame", fmt.Sprint(n))
	}
	w.Header().Set("Content-Type", "image/jpeg")
	return serveBytes(w, r, slices.Clip(m.Frames[n]), r.URL.Query().Get("v"))
}
