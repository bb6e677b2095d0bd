package server

import (
	"context"
)

// Models returns the cards of the models there are: the one that is loaded, then those
// of the runs.
func (s *Server) Models(ctx context.Context) ([]ModelInfo, error) {
	out := []ModelInfo{}
	loaded, ok := s.Model()
	if ok {
		out = append(out, loaded)
	}
	return out, nil
}

// ModelByID returns the card of one model; "current" is the one that is loaded.
func (s *Server) ModelByID(ctx context.Context, id string) (ModelInfo, error) {
	if id == "current" {
		_, err := s.model()
		info, _ := s.Model()
		return info, err
	}
	all, err := s.Models(ctx)
	if err != nil {
		return ModelInfo{}, err
	}
	for _, m := range all {
		if m.ID == id {
			return m, nil
		}
	}
	return ModelInfo{}, notFound("model", id)
}
