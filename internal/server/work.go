package server

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// work answers a request that needs a decoder or the model: at once, or as a job when
// the client prefers that (RFC 7240).
func (s *Server) work(w http.ResponseWriter, r *http.Request, kind string, fields []string,
	run func(ctx context.Context, f *Form) (any, error)) error {

	leave, err := s.admit()
	if err != nil {
		return err
	}
	form, err := s.Receive(w, r)
	if err == nil {
		err = known(form.Fields, fields...)
	}
	if err == nil && len(r.URL.Query()) > 0 {
		err = badRequest("query", "this path takes its fields in the body")
	}
	if err != nil {
		form.Close()
		leave()
		return err
	}
	if prefersAsync(r) {
		job, err := s.StartJob(kind, "", func(ctx context.Context, _ func(Progress)) (any, error) {
			defer leave()
			defer form.Close()
			return run(ctx, form)
		})
		if err != nil {
			form.Close()
			leave()
			return err
		}
		return accepted(w, job)
	}
	defer leave()
	defer form.Close()
	v, err := run(r.Context(), form)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, v)
}

func prefersAsync(r *http.Request) bool {
	for _, line := range r.Header.Values("Prefer") {
		for _, p := range strings.Split(line, ",") {
			if strings.EqualFold(strings.TrimSpace(p), "respond-async") {
				return true
			}
		}
	}
	return false
}

// accepted tells where a job can be watched.
func accepted(w http.ResponseWriter, job Job) error {
	w.Header().Set("Location", "/v1/jobs/"+job.ID)
	w.Header().Set("Preference-Applied", "respond-async")
	return writeJSON(w, http.StatusAccepted, job)
}

func (s *Server) postEmbed(w http.ResponseWriter, r *http.Request) error {
	return s.work(w, r, "embed", []string{"clip", "modality", "kind"},
		func(ctx context.Context, f *Form) (any, error) {
			req := EmbedRequest{Clip: f.Fields.Get("clip"), Upload: f.Upload, Kind: f.Fields.Get("kind")}
			for _, m := range f.Fields["modality"] {
				req.Modalities = append(req.Modalities, Modality(m))
			}
			if len(req.Modalities) > 3 {
				return nil, badRequest("modality", "is given more than three times")
			}
			return s.Embed(ctx, req)
		})
}

// searchFields are the fields of POST /v1/search.
var searchFields = []string{"clip", "query", "from", "to", "limit", "cursor", "q", "label", "split",
	"has", "flag"}

func (s *Server) postSearch(w http.ResponseWriter, r *http.Request) error {
	return s.work(w, r, "search", searchFields, func(ctx context.Context, f *Form) (any, error) {
		req, err := f.Search()
		if err != nil {
			return nil, err
		}
		return s.Search(ctx, req)
	})
}

// Search returns the search that a form describes.
func (f *Form) Search() (SearchRequest, error) {
	limit, err := number(f.Fields, "limit")
	return SearchRequest{Clip: f.Fields.Get("clip"), Query: f.Fields.Get("query"), Upload: f.Upload,
		From: Modality(f.Fields.Get("from")), To: Modality(f.Fields.Get("to")), Limit: limit,
		Cursor: f.Fields.Get("cursor"), Filter: filter(f.Fields)}, err
}

// filter returns the selection that parameters describe.
func filter(v url.Values) ClipQuery {
	return ClipQuery{Text: v.Get("q"), Label: v.Get("label"), Split: v.Get("split"),
		Has: Modality(v.Get("has")), Flag: v.Get("flag")}
}

func (s *Server) postExplain(w http.ResponseWriter, r *http.Request) error {
	fields := []string{"clip", "query", "audio_clip", "audio_query", "video_clip", "video_query",
		"start"}
	return s.work(w, r, "explain", fields, func(ctx context.Context, f *Form) (any, error) {
		get := f.Fields.Get
		one := Ref{Clip: get("clip"), Query: get("query"), Upload: f.Upload}
		req := ExplainRequest{Audio: Ref{Clip: get("audio_clip"), Query: get("audio_query")},
			Video: Ref{Clip: get("video_clip"), Query: get("video_query")}}
		if req.Audio == (Ref{}) {
			req.Audio = one
		}
		if req.Video == (Ref{}) {
			req.Video = one
		}
		if text := get("start"); text != "" {
			var err error
			if req.Start, err = strconv.ParseFloat(text, 64); err != nil {
				return nil, badRequest("start", "is no time in seconds")
			}
		}
		return s.Explain(ctx, req)
	})
}
