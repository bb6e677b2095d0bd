package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
)

// Kinds of vectors, the default first.
var kinds = []string{"projected", "cls", "patches"}

// subject is what a request is about: a clip, a kept query or an upload.
type subject struct {
	key    string // of its content, for caches
	info   QueryInfo
	clip   *Clip // nil: none
	medium func(ctx context.Context) (*Medium, error)
	upload *Upload
}

// subjectOf finds what a reference names.
func (s *Server) subjectOf(ctx context.Context, ref Ref) (*subject, error) {
	named := 0
	for _, is := range []bool{ref.Clip != "", ref.Query != "", ref.Upload != nil} {
		if is {
			named++
		}
	}
	if named != 1 {
		return nil, badRequest("clip", fmt.Sprintf(
			"one of a clip, a query and a file is needed, not %d", named))
	}
	switch {
	case ref.Clip != "":
		c, err := s.Clip(ctx, ref.Clip)
		if err != nil {
			return nil, err
		}
		return &subject{key: "clip:" + c.ID + ":" + c.Hash, clip: &c,
			info: QueryInfo{Kind: "clip", ID: c.ID, Name: c.Name, Seconds: c.Seconds,
				HasVideo: c.HasVideo, HasAudio: c.HasAudio, Outcome: c.Outcome},
			medium: func(ctx context.Context) (*Medium, error) { return s.openClip(ctx, &c) }}, nil
	case ref.Query != "":
		q, err := s.query(ref.Query)
		if err != nil {
			return nil, err
		}
		return &subject{key: "sha256:" + q.hash, info: q.info,
			medium: func(context.Context) (*Medium, error) { return q.medium, nil }}, nil
	}
	m, err := s.readUpload(ctx, ref.Upload)
	if err != nil {
		return nil, err
	}
	return &subject{key: "sha256:" + ref.Upload.Hash, upload: ref.Upload,
		info: QueryInfo{Kind: "upload", Name: ref.Upload.Name, Seconds: m.Seconds,
			HasVideo: m.HasVideo, HasAudio: m.HasAudio, Outcome: string(m.Outcome)},
		medium: func(context.Context) (*Medium, error) { return m, nil }}, nil
}

// lacks returns the problem of a subject without the modality, else nil.
func (x *subject) lacks(of Modality) error {
	if of != Video && !x.info.HasAudio {
		p := problem(http.StatusUnprocessableEntity, "no-audio", "there is no sound to look at")
		return p.withHint("look at its picture instead: from=video")
	}
	if of != Audio && !x.info.HasVideo {
		p := problem(http.StatusUnprocessableEntity, "no-video", "there is no picture to look at")
		return p.withHint("look at its sound instead: from=audio")
	}
	return nil
}

// vector returns the unit vector of a subject, and whether it was known already.
func (s *Server) vector(ctx context.Context, x *subject, of Modality, kind string) (
	v []float32, cached bool, err error) {

	if err := x.lacks(of); err != nil {
		return nil, false, err
	}
	if x.clip != nil && kind == s.libraryKind(ctx) {
		v, err := s.loaded().Library.Vector(ctx, x.clip.ID, of)
		if err != nil || v != nil {
			return v, true, asProblem(err, "clip", x.clip.ID)
		}
	}
	model, err := s.model()
	if err != nil {
		return nil, false, err
	}
	key := vectorKey(model.Info().ID, x.key, of, kind)
	if v, ok := s.vectors.get(key); ok {
		s.metrics.cache.WithLabelValues("hit").Inc()
		return v, true, nil
	}
	s.metrics.cache.WithLabelValues("miss").Inc()
	m, err := x.medium(ctx)
	if err != nil {
		return nil, false, err
	}
	rows, err := s.executor.embed(ctx, seen(m.Windows, of), of, false)
	if err != nil {
		return nil, false, asProblem(err, "clip", x.info.ID)
	}
	picked := make([][]float32, len(rows))
	for i, row := range rows {
		switch kind {
		case "cls":
			picked[i] = row.CLS
		case "patches":
			picked[i] = row.Patches
		default:
			picked[i] = row.Projected
		}
	}
	if v, err = unitMean(picked); err != nil {
		return nil, false, err
	}
	s.vectors.put(key, v)
	return v, false, nil
}

// libraryKind returns the kind of the library's own vectors.
func (s *Server) libraryKind(ctx context.Context) string {
	if s.loaded().Library != nil {
		if info, err := s.libraryNow(ctx); err == nil && info.Vectors != "" {
			return info.Vectors
		}
	}
	return kinds[0]
}

func vectorKey(model, content string, of Modality, kind string) string {
	return model + "\x00" + content + "\x00" + string(of) + "\x00" + kind
}

// seen returns the windows with what is not looked at left out.
func seen(windows []Window, of Modality) []Window {
	out := slices.Clone(windows)
	for i := range out {
		if of == Audio {
			out[i].Video = nil
		}
		if of == Video {
			out[i].Audio = nil
		}
	}
	return out
}

// Embed returns vectors of a clip or a file.
func (s *Server) Embed(ctx context.Context, req EmbedRequest) (*Embedding, error) {
	if req.Kind == "" {
		req.Kind = kinds[0]
	}
	if !slices.Contains(kinds, req.Kind) {
		return nil, badRequest("kind", "is none of projected, cls, patches")
	}
	model, err := s.model()
	if err != nil {
		return nil, err
	}
	if e := s.knownEmbedding(model.Info().ID, &req); e != nil {
		return e, nil
	}
	x, err := s.subjectOf(ctx, Ref{Clip: req.Clip, Upload: req.Upload})
	if err != nil {
		return nil, err
	}
	out := &Embedding{Model: model.Info().ID, Kind: req.Kind, Seconds: x.info.Seconds,
		Outcome: x.info.Outcome, HasVideo: x.info.HasVideo, HasAudio: x.info.HasAudio, Cached: true}
	if len(req.Modalities) == 0 {
		req.Modalities = x.has()
	}
	for _, of := range req.Modalities {
		if !of.valid() {
			return nil, badRequest("modality", "is none of audio, video, both")
		}
		v, cached, err := s.vector(ctx, x, of, req.Kind)
		if err != nil {
			return nil, err
		}
		out.Vectors = append(out.Vectors, VectorOf{of, v})
		out.Cached = out.Cached && cached
	}
	if req.Upload != nil {
		s.facts.put(req.Upload.Hash, facts{out.Seconds, out.Outcome, out.HasVideo, out.HasAudio})
	}
	return out, nil
}

// has returns the modalities that a subject can be looked at by.
func (x *subject) has() []Modality {
	switch {
	case x.info.HasAudio && x.info.HasVideo:
		return []Modality{Audio, Video, Both}
	case x.info.HasAudio:
		return []Modality{Audio}
	case x.info.HasVideo:
		return []Modality{Video}
	}
	return nil
}

// facts are what Embed tells of a file beside its vectors.
type facts struct {
	seconds            float64
	outcome            string
	hasVideo, hasAudio bool
}

// knownEmbedding answers for a file whose bytes came before, without decoding them;
// nil when something of it is not known.
func (s *Server) knownEmbedding(model string, req *EmbedRequest) *Embedding {
	if req.Upload == nil || req.Clip != "" {
		return nil
	}
	f, ok := s.facts.get(req.Upload.Hash)
	if !ok {
		return nil
	}
	x := &subject{info: QueryInfo{HasVideo: f.hasVideo, HasAudio: f.hasAudio}}
	out := &Embedding{Model: model, Kind: req.Kind, Seconds: f.seconds, Outcome: f.outcome,
		HasVideo: f.hasVideo, HasAudio: f.hasAudio, Cached: true}
	of := req.Modalities
	if len(of) == 0 {
		of = x.has()
	}
	for _, of := range of {
		v, ok := s.vectors.get(vectorKey(model, "sha256:"+req.Upload.Hash, of, req.Kind))
		if !ok {
			return nil
		}
		out.Vectors = append(out.Vectors, VectorOf{of, v})
	}
	s.metrics.cache.WithLabelValues("hit").Add(float64(len(of)))
	return out
}
