package server

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strconv"
)

func (s *Server) getLibrary(w http.ResponseWriter, r *http.Request) error {
	info, err := s.Library(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, info)
}

func (s *Server) getClips(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "q", "label", "split", "has", "flag", "sort", "limit", "cursor"); err != nil {
		return err
	}
	query := filter(q)
	query.Sort, query.Cursor = q.Get("sort"), q.Get("cursor")
	var err error
	if query.Limit, err = number(q, "limit"); err != nil {
		return err
	}
	page, err := s.Clips(r.Context(), query)
	if err != nil {
		return err
	}
	linkNext(w, r, page.Next)
	return writeJSON(w, http.StatusOK, page)
}

func (s *Server) getClip(w http.ResponseWriter, r *http.Request) error {
	c, err := s.Clip(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, c)
}

func (s *Server) getNeighbours(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "by", "limit"); err != nil {
		return err
	}
	by := Modality(q.Get("by"))
	limit, err := number(q, "limit")
	if err != nil {
		return err
	}
	if by != "" && !by.valid() {
		return badRequest("by", "is none of audio, video, both")
	}
	leave, err := s.admit()
	if err != nil {
		return err
	}
	defer leave()
	if by == "" {
		c, err := s.Clip(r.Context(), r.PathValue("id"))
		if err != nil {
			return err
		}
		if by = Both; !c.HasVideo {
			by = Audio
		} else if !c.HasAudio {
			by = Video
		}
	}
	found, err := s.Neighbours(r.Context(), r.PathValue("id"), by, by, limit)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, found)
}

// mapType is the type of a map's bytes: a JSON head, its length as a little-endian
// uint32 before it, then x and y of every point as little-endian uint16.
const mapType = "application/vnd.avjepa.map"

// mapHead is the JSON part of a map.
type mapHead struct {
	Space   Modality   `json:"space"`
	Method  string     `json:"method"`
	Model   string     `json:"model"`
	All     int        `json:"clips"`
	Points  int        `json:"points"`
	IDs     []string   `json:"ids"`
	Labels  []string   `json:"labels"` // distinct ones
	Label   []int      `json:"label"`  // of each point, index into Labels, −1 for none
	Partner []int32    `json:"partner,omitempty"`
	Of      []Modality `json:"of,omitempty"`
}

func (s *Server) getMap(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "space"); err != nil {
		return err
	}
	space := Modality(q.Get("space"))
	if space == "" {
		space = Both
	}
	m, err := s.Map(r.Context(), space)
	if err != nil {
		return err
	}
	text, err := m.bytes()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mapType)
	return serveBytes(w, r, text, "")
}

// bytes returns the map as it is sent.
func (m *Map) bytes() ([]byte, error) {
	head := mapHead{Space: m.Space, Method: m.Method, Model: m.Model, All: m.All,
		Points: len(m.Points), IDs: m.IDs, Partner: m.Partner, Of: m.Of, Labels: []string{},
		Label: make([]int, len(m.Labels))}
	index := map[string]int{"": -1}
	for i, name := range m.Labels {
		at, ok := index[name]
		if !ok {
			at = len(head.Labels)
			index[name] = at
			head.Labels = append(head.Labels, name)
		}
		head.Label[i] = at
	}
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	for len(text)%4 != 0 { // so that the points lie at an even place for a Uint16Array
		text = append(text, ' ')
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	out = append(out, text...)
	for _, p := range m.Points {
		out = binary.LittleEndian.AppendUint16(out, p[0])
		out = binary.LittleEndian.AppendUint16(out, p[1])
	}
	return out, nil
}

func (s *Server) getModels(w http.ResponseWriter, r *http.Request) error {
	models, err := s.Models(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"items": models})
}

func (s *Server) getModel(w http.ResponseWriter, r *http.Request) error {
	info, err := s.ModelByID(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, info)
}

func (s *Server) getVersion(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, s.Status())
}

func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (s *Server) getReady(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return stoppingProblem()
	}
	return writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// pathNumber returns a number from 0 in the path.
func pathNumber(r *http.Request, name string) (int, error) {
	n, err := strconv.Atoi(r.PathValue(name))
	if err != nil || n < 0 {
		return 0, notFound(name, r.PathValue(name))
	}
	return n, nil
}
