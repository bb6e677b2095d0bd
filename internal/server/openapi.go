package server

import (
	_ "embed"
	"net/http"
)

// description is openapi.yaml as JSON.
//
//go:embed openapi.json
var description []byte

func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	return serveBytes(w, r, description, "")
}
