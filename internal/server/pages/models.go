package pages

import (
	"net/http"
	"strings"

	"avjepa/internal/server"
)

func (s *Site) models(w http.ResponseWriter, r *http.Request) error {
	all, err := s.src.Models(r.Context())
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "models", "Models", struct{ Models []server.ModelInfo }{all})
}

// model shows the card of one model.
func (s *Site) model(w http.ResponseWriter, r *http.Request) error {
	m, err := s.src.ModelByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	body := struct {
		Model   server.ModelInfo
		Address string
		Path    string // as commands name it, from where the server runs
	}{Model: m, Address: "http://" + r.Host}
	if r.TLS != nil {
		body.Address = "https://" + r.Host
	}
	runs := strings.TrimSuffix(s.src.Config().RunsDir, "/")
	switch {
	case m.Run != "" && len(m.Files) > 0 && !m.Loaded:
		body.Path = runs + "/" + m.Run + "/" + m.Files[0].Name
	case m.Run != "":
		body.Path = runs + "/" + m.Run
	default:
		body.Path = "MODEL"
	}
	return s.show(w, r, http.StatusOK, "model", m.Name, body)
}
