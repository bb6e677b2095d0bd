package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// route is one line of the API. The handler's error is sent as a problem.
type route struct {
	pattern string // of http.ServeMux, with a method
	handle  func(w http.ResponseWriter, r *http.Request) error
}

// table lists the API; openapi.yaml describes each of them.
func (s *Server) table() []route {
	return []route{
		{"POST /v1/embed", s.postEmbed},
		{"POST /v1/search", s.postSearch},
		{"POST /v1/explain", s.postExplain},

		{"GET /v1/queries/{id}", s.getQuery},
		{"DELETE /v1/queries/{id}", s.deleteQuery},
		{"GET /v1/queries/{id}/preview.mp4", s.queryMedia(previewMP4)},
		{"GET /v1/queries/{id}/audio.m4a", s.queryMedia(audioM4A)},
		{"GET /v1/queries/{id}/audio.wav", s.queryMedia(audioWAV)},
		{"GET /v1/queries/{id}/thumb.jpg", s.queryMedia(thumbJPG)},
		{"GET /v1/queries/{id}/mel.png", s.queryMedia(melPNG)},
		{"GET /v1/queries/{id}/frames", s.queryFrames},
		{"GET /v1/queries/{id}/frames/{n}", s.queryFrame},

		{"GET /v1/library", s.getLibrary},
		{"GET /v1/library/flags.csv", s.getFlagsCSV},
		{"GET /v1/library/left-out.csv", s.getLeftOutCSV},
		{"POST /v1/library/index", s.postIndex},
		{"GET /v1/duplicates", s.getDuplicates},
		{"GET /v1/clips", s.getClips},
		{"GET /v1/clips/{id}", s.getClip},
		{"GET /v1/clips/{id}/preview.mp4", s.clipMedia(previewMP4)},
		{"GET /v1/clips/{id}/audio.m4a", s.clipMedia(audioM4A)},
		{"GET /v1/clips/{id}/audio.wav", s.clipMedia(audioWAV)},
		{"GET /v1/clips/{id}/excerpt.m4a", s.clipMedia(excerptM4A)},
		{"GET /v1/clips/{id}/thumb.jpg", s.clipMedia(thumbJPG)},
		{"GET /v1/clips/{id}/mel.png", s.clipMedia(melPNG)},
		{"GET /v1/clips/{id}/components.png", s.getComponents},
		{"GET /v1/clips/{id}/frames", s.clipFrames},
		{"GET /v1/clips/{id}/frames/{n}", s.clipFrame},
		{"GET /v1/clips/{id}/neighbours", s.getNeighbours},
		{"GET /v1/map", s.getMap},

		{"GET /v1/runs", s.getRuns},
		{"GET /v1/runs/{id}", s.getRun},
		{"GET /v1/runs/{id}/metrics", s.getMetrics},
		{"GET /v1/runs/{id}/events", s.getEvents},
		{"GET /v1/runs/{id}/probes", s.getProbes},
		{"GET /v1/runs/{id}/samples", s.getSamples},
		{"GET /v1/runs/{id}/config", s.getRunConfig},
		{"GET /v1/models", s.getModels},
		{"GET /v1/models/{id}", s.getModel},

		{"GET /v1/start", s.getStart},
		{"POST /v1/start", s.postStart},
		{"POST /v1/start/check", s.postStartCheck},
		{"GET /v1/jobs", s.getJobs},
		{"GET /v1/jobs/{id}", s.getJob},
		{"DELETE /v1/jobs/{id}", s.deleteJob},

		{"POST /v1/session", s.postSession},
		{"DELETE /v1/session", s.deleteSession},
		{"GET /v1/openapi.json", s.getOpenAPI},
		{"GET /v1/version", s.getVersion},
		{"GET /healthz", s.getHealth},
		{"GET /readyz", s.getReady},
		{"GET /metrics", s.getPrometheus},
	}
}

// routes builds the handler: the table, the pages, and all checks around both.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.table() {
		mux.HandleFunc(route.pattern, s.answer(route.handle))
	}
	unknown := s.answer(func(w http.ResponseWriter, r *http.Request) error {
		return noRoute(mux, r)
	})
	// Below these nothing is a page's, and other methods of a route are no page either.
	mux.HandleFunc("/v1/", unknown)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		mux.HandleFunc(path, unknown)
	}
	if s.cfg.Pages != nil {
		s.cfg.Pages(mux, s)
	} else {
		mux.HandleFunc("/", unknown)
	}
	return s.around(mux)
}

// noRoute says that there is no such path, or that it takes other methods.
func noRoute(mux *http.ServeMux, r *http.Request) error {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		_, pattern := mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
		if strings.Contains(pattern, " ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return problem(http.StatusNotFound, "not-found", "no such path").withHint(
			"GET /v1/openapi.json lists the paths")
	}
	p := problem(http.StatusMethodNotAllowed, "method-not-allowed",
		"this path does not take "+strconv.QuoteToASCII(r.Method))
	p.Allow = strings.Join(allowed, ", ")
	return p
}

// answer sends the error of a handler as a problem.
func (s *Server) answer(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			s.Fail(w, r, err)
		}
	}
}

// Fail sends an error as a problem, or as the page of one. Pages use it for the
// errors of the server's methods. What is not a *Problem is logged and sent as an
// internal error.
func (s *Server) Fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	if !errors.As(asProblem(err, "thing", ""), &p) {
		if r.Context().Err() != nil {
			p = canceled()
		} else {
			s.log.Error("internal error", "request", requestID(r.Context()), "route", r.Pattern,
				"error", err)
			p = problem(http.StatusInternalServerError, "internal-error",
				"something went wrong here; the log has it under this request's id")
		}
	}
	if started(w) { // nothing can be said any more but that it is not whole
		panic(http.ErrAbortHandler)
	}
	s.writeProblem(w, r, p)
}

// writeJSON sends a value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
	return nil
}

// linkNext adds a Link header to the next page of what was asked for.
func linkNext(w http.ResponseWriter, r *http.Request, next string) {
	if next == "" {
		return
	}
	q := r.URL.Query()
	q.Set("cursor", next)
	u := url.URL{Path: r.URL.Path, RawQuery: q.Encode()}
	w.Header().Set("Link", "<"+u.String()+`>; rel="next"`)
}

// known refuses parameters that a route does not have: a misspelt filter would else
// give everything.
func known(q url.Values, names ...string) error {
	for name := range q {
		ok := false
		for _, n := range names {
			ok = ok || n == name
		}
		if !ok {
			return badRequest(strconv.QuoteToASCII(name), "is no parameter of this path")
		}
	}
	return nil
}

// number returns an integer parameter, 0 when it is not there.
func number(q url.Values, name string) (int, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, badRequest(name, "is not a positive number")
	}
	return n, nil
}
