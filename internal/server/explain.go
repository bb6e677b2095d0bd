package server

import (
	"context"
	"fmt"
	"net/http"
)

// Explain says where the model looks when it hears one medium and sees another, or the
// same.
func (s *Server) Explain(ctx context.Context, req ExplainRequest) (*Explanation, error) {
	explainer := s.loaded().Explainer
	if explainer == nil {
		_, err := s.model()
		if err == nil {
			err = problem(http.StatusServiceUnavailable, "no-explainer",
				"this model's attention cannot be shown")
		}
		return nil, err
	}
	if req.Audio == (Ref{}) {
		req.Audio = req.Video
	}
	if req.Video == (Ref{}) {
		req.Video = req.Audio
	}
	if !(req.Start >= 0 && req.Start <= 3600) {
		return nil, badRequest("start", "is no time in seconds")
	}
	sound, err := s.subjectOf(ctx, req.Audio)
	if err != nil {
		return nil, err
	}
	picture, err := s.subjectOf(ctx, req.Video)
	if err != nil {
		return nil, err
	}
	if err := sound.lacks(Audio); err != nil {
		return nil, err
	}
	if err := picture.lacks(Video); err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%s\x00%s\x00%g", sound.key, picture.key, req.Start)
	if e, ok := s.whys.get(key); ok {
		return e, nil
	}
	heard, err := sound.medium(ctx)
	if err != nil {
		return nil, err
	}
	watched, err := picture.medium(ctx)
	if err != nil {
		return nil, err
	}
	var out *Explanation
	err = s.executor.do(ctx, func(ctx context.Context) (err error) {
		out, err = explainer.Explain(ctx, heard, watched, req.Start)
		return err
	})
	if err != nil {
		return nil, asProblem(err, "clip", "")
	}
	s.whys.put(key, out)
	return out, nil
}
