// Package pages is the web application of a server: HTML pages from templates, with
// real addresses, that can be read and mostly used without script, and the scripts
// and the style sheet of package assets.
//
//	site, err := pages.New(pages.Options{Version: "1"})
//	s, err := server.New(server.Config{Pages: site.Register, ErrorPage: site.ErrorPage,
//		Public: pages.Public})
package pages

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"avjepa/internal/server"
	"avjepa/internal/server/assets"
)

//go:embed templates/*.html
var templates embed.FS

// Public are the paths that need no token: what the page that asks for it is made of.
var Public = []string{assetsPath}

const assetsPath = "/assets/"

// Site renders the pages. It may be used by many goroutines once registered.
type Site struct {
	src  Source
	set  *template.Template
	urls map[string]assets.Asset
}

// Source is what pages show: the methods of *server.Server.
type Source interface {
	Library(ctx context.Context) (server.LibraryInfo, error)
	Clips(ctx context.Context, q server.ClipQuery) (server.ClipPage, error)
	Clip(ctx context.Context, id string) (server.Clip, error)
	Duplicates(ctx context.Context, id string, limit int, cursor string) (server.PairPage, error)
	Search(ctx context.Context, q server.SearchRequest) (*server.SearchResult, error)
	SearchForm(w http.ResponseWriter, r *http.Request,
		set func(fields url.Values, q *server.SearchRequest)) (*server.SearchResult, error)
	Query(ctx context.Context, id string) (server.QueryInfo, error)
	Runs(ctx context.Context) ([]server.RunInfo, error)
	Run(ctx context.Context, id string) (*server.RunDetail, error)
	Probes(id string) ([]json.RawMessage, error)
	RunSamples(id string, step int) (*server.RunSamples, error)
	Jobs() []server.Job
	CancelJob(id string) (server.Job, error)
	StartIndex(folder, key string) (server.Job, error)
	StartInfo(ctx context.Context) (*server.StartInfo, error)
	StartCheck(ctx context.Context, folder string) (*server.StartPlan, error)
	Start(r server.StartRequest, key string) (server.Job, error)
	Model() (server.ModelInfo, bool)
	Models(ctx context.Context) ([]server.ModelInfo, error)
	ModelByID(ctx context.Context, id string) (server.ModelInfo, error)
	Explains() bool
	ShowsComponents() bool
	Status() server.Status
	Map(ctx context.Context, space server.Modality) (*server.Map, error)
	Fail(w http.ResponseWriter, r *http.Request, err error)
	Config() *server.Config
}

// New reads the templates and the manifest of the assets.
func New() (*Site, error) {
	s := &Site{}
	var err error
	if s.urls, err = assets.Manifest(); err != nil {
		return nil, err
	}
	s.set, err = template.New("pages").Funcs(s.funcs()).ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return s, nil
}

// Register adds the pages to a server: the value of server.Config.Pages.
func (s *Site) Register(mux *http.ServeMux, srv *server.Server) { s.register(mux, srv) }

func (s *Site) register(mux *http.ServeMux, src Source) {
	s.src = src
	for pattern, show := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /{$}":                s.search,
		"GET /search":             s.search,
		"POST /search":            s.upload,
		"GET /search/q/{id}":      s.results,
		"GET /library":            s.library,
		"GET /library/duplicates": s.duplicates,
		"GET /clips/{id}":         s.clip,
		"GET /why":                s.why,
		"GET /map":                s.mapPage,
		"GET /runs":               s.runs,
		"GET /runs/latest":        s.latest,
		"GET /runs/compare":       s.compare,
		"GET /runs/{id}":          s.run,
		"GET /runs/{id}/samples":  s.samplesPart,
		"GET /models":             s.models,
		"GET /models/{id}":        s.model,
		"GET /start":              s.start,
		"POST /start":             s.begin,
		"POST /start/check":       s.check,
		"GET /jobs":               s.jobs,
		"POST /jobs/index":        s.startIndex,
		"POST /jobs/{id}/cancel":  s.cancelJob,
		"GET /keys":               s.keys,
		"GET /phone":              s.phone,
		"GET /docs/errors":        s.errors,
		"POST /theme":             s.theme,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := show(w, r); err != nil {
				src.Fail(w, r, err)
			}
		})
	}
	mux.HandleFunc("GET "+assetsPath, s.asset)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		src.Fail(w, r, &server.Problem{Title: "There is no such page", Status: http.StatusNotFound,
			Code: "not-found", Type: "/docs/errors#not-found",
			Hint: "The five doors above lead everywhere"})
	})
}

// door is one of the five pages that every page leads to.
type door struct {
	Name, Path string
	Here       bool
}

var doors = []door{{"Search", "/", false}, {"Library", "/library", false}, {"Map", "/map", false},
	{"Runs", "/runs", false}, {"Models", "/models", false}}

// page is what the frame of every page shows, and the Body of one.
type page struct {
	Title   string
	Page    string // name of the template
	Theme   string // light, dark, or "" for the system's
	Here    string // path and query of the page
	Doors   []door
	Scripts []string // names of entries in the manifest
	Model   string
	Running int // jobs
	Phone   bool
	Body    any
}

// scriptsOf lists what a page loads beside app.
var scriptsOf = map[string]string{"search": "search", "why": "why", "map": "map", "runs": "runs",
	"run": "runs", "compare": "runs",
	"samples": "runs"}

// show renders a page whole before it sends it, so that a fault is no half page.
func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, name, title string,
	body any) error {
	p := page{Title: title, Page: name, Here: r.URL.RequestURI(), Theme: themeOf(r), Body: body,
		Scripts: []string{"app"}}
	if extra := scriptsOf[name]; extra != "" {
		p.Scripts = append(p.Scripts, extra)
	}
	for _, d := range doors {
		d.Here = d.Path == r.URL.Path || d.Path != "/" && strings.HasPrefix(r.URL.Path, d.Path+"/") ||
			d.Path == "/" && (name == "results" || name == "search" || name == "why" || name == "start") ||
			d.Path == "/library" && name == "clip"
		p.Doors = append(p.Doors, d)
	}
	if m, ok := s.src.Model(); ok {
		p.Model = m.Name
	}
	p.Running = s.running()
	p.Phone = len(s.phoneAddresses()) > 0
	var b bytes.Buffer
	if err := s.set.ExecuteTemplate(&b, name, p); err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	return nil
}

// ErrorPage shows a problem to a browser: the value of server.Config.ErrorPage.
func (s *Site) ErrorPage(w http.ResponseWriter, r *http.Request, p *server.Problem) {
	name := "error"
	if p.Status == http.StatusUnauthorized {
		name = "token"
	}
	if err := s.show(w, r, p.Status, name, p.Title, p); err != nil {
		http.Error(w, p.Title, p.Status)
	}
}

// asset sends a file whose name carries its hash: it never changes.
func (s *Site) asset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, assetsPath)
	if name == "icon.svg" {
		w.Header().Set("Content-Type", "image/svg+xml")
		w.Header().Set("Cache-Control", "max-age=86400")
		_, _ = w.Write([]byte(icon))
		return
	}
	if strings.Contains(name, "-") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	switch {
	case strings.HasSuffix(name, ".js"):
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	case strings.HasSuffix(name, ".css"):
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
	}
	http.ServeFileFS(w, r, assets.Files(), name)
}

// icon is what browsers show beside the title: a wave over a frame.
const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">` +
	`<rect x="2" y="5" width="28" height="22" rx="4" fill="#0072b2"/>` +
	`<path d="M6 16h3l2-6 4 13 4-15 3 8h4" fill="none" stroke="#ffd27a" stroke-width="2.5"/></svg>`

// themeOf returns the theme that was chosen, "" for the system's.
func themeOf(r *http.Request) string {
	c, err := r.Cookie("theme")
	if err != nil || c.Value != "light" && c.Value != "dark" {
		return ""
	}
	return c.Value
}

// theme keeps the choice in a cookie and goes back.
func (s *Site) theme(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 8192)
	value, back := r.PostFormValue("theme"), r.PostFormValue("back")
	if value == "light" || value == "dark" {
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: value, Path: "/",
			MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteStrictMode})
	}
	if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") ||
		strings.ContainsAny(back, "\\\r\n\t") {
		back = "/"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}

// errors explains the codes of problems, each under its own name.
func (s *Site) errors(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, http.StatusOK, "errors", "What errors mean",
		struct{ Codes []server.ErrorDoc }{server.ErrorDocs()})
}

func (s *Site) keys(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, http.StatusOK, "keys", "Keys", nil)
}
