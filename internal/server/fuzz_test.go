package server_test

import (
	"bytes"
	"net/http/httptest"
	"net/url"
	"testing"

	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// fuzzed is a server without a model: bodies and queries are read, files are not decoded.
func fuzzed(f *testing.F) *server.Server {
	s, err := server.New(server.Config{Library: servertest.NewLibrary(40), Dir: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	return s
}

// FuzzForms sends arbitrary bodies: each is answered, none is our fault.
func FuzzForms(f *testing.F) {
	s := fuzzed(f)
	f.Add("application/json", []byte(`{"clip": "c00001", "limit": 3, "modality": ["audio", null]}`))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"clip\"\r\n\r\n"+
		"c00001\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nRIFF\r\n--x--"))
	f.Add("application/x-www-form-urlencoded", []byte("token=a&next=%2f%2fb"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		for _, path := range []string{"/v1/search", "/v1/embed", "/v1/explain", "/v1/library/index", "/v1/session"} {
			r := httptest.NewRequest("POST", path, bytes.NewReader(body))
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code == 500 {
				t.Errorf("%s: %s", path, w.Body)
			}
		}
	})
}

// FuzzQueries asks for lists with arbitrary parameters.
func FuzzQueries(f *testing.F) {
	s := fuzzed(f)
	f.Add("eyJzIjoibmFtZSIsInYiOiJhIiwiaSI6ImIifQ", "name", "bell", "any", "5", "c00001")
	f.Fuzz(func(t *testing.T, cursor, sort, text, flag, limit, id string) {
		q := url.Values{"cursor": {cursor}, "sort": {sort}, "q": {text}, "flag": {flag}, "limit": {limit}}
		for _, path := range []string{"/v1/clips?" + q.Encode(), "/v1/clips/" + url.PathEscape(id),
			"/v1/runs/" + url.PathEscape(id) + "/metrics?" + url.Values{"keys": {text}, "points": {limit}}.Encode(),
			"/v1/clips/" + url.PathEscape(id) + "/frames/" + url.PathEscape(limit),
			"/v1/map?" + url.Values{"space": {flag}}.Encode()} {
			r := httptest.NewRequest("GET", "/", nil)
			u, err := url.Parse(path)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, r)
			if w.Code == 500 {
				t.Errorf("%s: %s", path, w.Body)
			}
		}
	})
}
