package server

import (
	"net/http"
	"time"
)

// Loaded is what a server answers with. What is nil is absent: the routes that need it
// then answer 503 and say what is missing.
type Loaded struct {
	Library   Library
	Model     Model
	Explainer Explainer
}

// loaded returns what the server answers with now.
func (s *Server) loaded() *Loaded { return s.now.Load() }

// Load gives a model, and a library where l has one, to a server that has no model yet. A
// model that is in use is never taken away: what was decoded for it, and vectors that are
// compared with its own, would be of no use to another. Its error is a *Problem.
func (s *Server) Load(l Loaded) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	old := s.loaded()
	if old.Model != nil {
		return modelLoaded()
	}
	if l.Library == nil {
		l.Library = old.Library
	}
	s.now.Store(&l)
	// Clips that were opened without a model have no windows.
	s.media.kept.clear()
	s.infoMu.Lock()
	s.info, s.infoAt = LibraryInfo{}, time.Time{}
	s.infoMu.Unlock()
	return nil
}

func modelLoaded() *Problem {
	return problem(http.StatusConflict, "model-loaded", "this server has a model already").withHint(
		"stop it and start it again with --model FILE to use another one")
}
