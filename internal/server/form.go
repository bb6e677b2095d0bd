package server

import (
	"net/http"
	"net/url"
)

// SearchForm answers the form of a browser without script: a file with the fields of
// POST /v1/search. set may change the search by fields of its own.
func (s *Server) SearchForm(w http.ResponseWriter, r *http.Request,
	set func(fields url.Values, q *SearchRequest)) (*SearchResult, error) {

	leave, err := s.admit()
	if err != nil {
		return nil, err
	}
	defer leave()
	form, err := s.Receive(w, r)
	if err != nil {
		return nil, err
	}
	defer form.Close()
	if form.Upload == nil {
		return nil, badRequest("file", "is not there").withHint("choose a file first")
	}
	q, err := form.Search()
	if err != nil {
		return nil, err
	}
	set(form.Fields, &q)
	return s.Search(r.Context(), q)
}
