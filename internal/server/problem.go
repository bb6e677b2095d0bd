package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is an error as clients see it: RFC 9457 with a code for programs and
// what to do about it. It never holds a path of this machine, a stack or the raw
// words of a child process.
type Problem struct {
	Type     string      `json:"type"` // where the code is explained
	Title    string      `json:"title"`
	Status   int         `json:"status"`
	Detail   string      `json:"detail,omitempty"`
	Instance string      `json:"instance,omitempty"` // id of the request
	Code     string      `json:"code"`
	Limit    *float64    `json:"limit,omitempty"` // that was exceeded
	Value    *float64    `json:"value,omitempty"` // by which
	Hint     string      `json:"hint,omitempty"`  // what to do
	Errors   []FieldFlaw `json:"errors,omitempty"`

	RetryAfter time.Duration `json:"-"` // sent as Retry-After
	Allow      string        `json:"-"` // sent as Allow
}

// FieldFlaw says what is wrong with one field of a request.
type FieldFlaw struct {
	Pointer string `json:"pointer"` // JSON pointer, or the name of a parameter
	Detail  string `json:"detail"`
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return fmt.Sprintf("server: %d %s", p.Status, p.Title)
	}
	return fmt.Sprintf("server: %d %s: %s", p.Status, p.Title, p.Detail)
}

// problem makes a Problem. The code, such as "clip-too-long", is its own title
// with spaces unless one is given.
func problem(status int, code, detail string) *Problem {
	title := strings.ReplaceAll(code, "-", " ")
	return &Problem{Type: "/docs/errors#" + code, Title: strings.ToUpper(title[:1]) + title[1:],
		Status: status, Code: code, Detail: detail}
}

func (p *Problem) withHint(hint string) *Problem { p.Hint = hint; return p }

func (p *Problem) withLimit(limit, value float64) *Problem {
	p.Limit, p.Value = &limit, &value
	return p
}

func (p *Problem) after(d time.Duration) *Problem { p.RetryAfter = d; return p }

// badRequest is the problem of one field.
func badRequest(pointer, detail string) *Problem {
	p := problem(http.StatusBadRequest, "bad-request", pointer+": "+detail)
	p.Errors = []FieldFlaw{{pointer, detail}}
	return p
}

// ErrNotFound is what a Library returns for a clip that it does not have.
var ErrNotFound = errors.New("not found")

// notFound is the problem of something that is not there.
func notFound(what, id string) *Problem {
	return problem(http.StatusNotFound, "not-found", fmt.Sprintf("no %s %q", what, id))
}

// write sends the problem: as JSON to programs, as a page to browsers.
func (s *Server) writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	q := *p
	q.Instance = requestID(r.Context())
	h := w.Header()
	h.Del("ETag")
	h.Del("Last-Modified")
	h.Del("Content-Disposition")
	h.Set("Cache-Control", "no-store")
	if q.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((q.RetryAfter+time.Second-1)/time.Second)))
	}
	if q.Allow != "" {
		h.Set("Allow", q.Allow)
	}
	if q.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="avjepa"`)
	}
	if prefersHTML(r) {
		if s.cfg.ErrorPage != nil {
			s.cfg.ErrorPage(w, r, &q)
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(q.Status)
		fmt.Fprintf(w, "<!doctype html><html lang=en><title>%s</title><h1>%s</h1><p>%s</p><p>%s</p>",
			html.EscapeString(q.Title), html.EscapeString(q.Title), html.EscapeString(q.Detail),
			html.EscapeString(q.Hint))
		return
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(q.Status)
	_ = json.NewEncoder(w).Encode(&q)
}

// prefersHTML reports whether a browser asks for a page.
func prefersHTML(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	html, json := strings.Index(accept, "text/html"), strings.Index(accept, "json")
	return html >= 0 && (json < 0 || html < json)
}

// NewProblem makes a problem of a code that /docs/errors explains, for what a server is
// made with.
func NewProblem(status int, code, detail string) *Problem { return problem(status, code, detail) }

// WithHint says what to do, and returns the problem.
func (p *Problem) WithHint(hint string) *Problem { return p.withHint(hint) }
