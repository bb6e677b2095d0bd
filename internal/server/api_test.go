package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// open starts a server on a real port.
func open(t *testing.T, change func(*server.Config)) (*server.Server, *httptest.Server) {
	t.Helper()
	s := servertest.New(t, change)
	return s, serveOn(t, s)
}

// serveOn has a server answer on a real port.
func serveOn(t *testing.T, s *server.Server) *httptest.Server {
	t.Helper()
	web := httptest.NewServer(s.Handler())
	t.Cleanup(web.Close)
	return web
}

// get asks for a path and returns the answer with its body.
func get(t *testing.T, web *httptest.Server, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	return send(t, web, "GET", path, nil, headers...)
}

// send makes a request; headers are names and values in turn.
func send(t *testing.T, web *httptest.Server, method, path string, body io.Reader,
	headers ...string) (*http.Response, []byte) {

	t.Helper()
	var sent []byte
	if body != nil {
		var err error
		if sent, err = io.ReadAll(body); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.NewRequest(method, web.URL+path, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	conforms(t, r, sent, res, text)
	return res, text
}

// parse reads JSON into a value.
func parse[T any](t *testing.T, text []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	return v
}

func TestEveryPathAnswers(t *testing.T) {
	_, web := open(t, nil)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/version", "/v1/library", "/v1/clips",
		"/v1/clips/c00000", "/v1/clips/c00000/thumb.jpg", "/v1/clips/c00000/mel.png",
		"/v1/clips/c00000/audio.wav", "/v1/clips/c00000/audio.m4a", "/v1/clips/c00000/preview.mp4",
		"/v1/clips/c00000/frames", "/v1/clips/c00000/frames/3", "/v1/clips/c00000/neighbours?by=audio",
		"/v1/clips/c00023/thumb.jpg", "/v1/clips/c00023/neighbours",
		"/v1/map", "/v1/runs", "/v1/runs/first", "/v1/runs/latest", "/v1/runs/first/metrics?points=20",
		"/v1/runs/first/probes", "/v1/runs/first/config", "/v1/runs/first/samples", "/v1/runs/first/samples?step=100", "/v1/models", "/v1/models/current",
		"/v1/jobs", "/v1/openapi.json"} {
		res, text := get(t, web, path)
		if res.StatusCode != http.StatusOK || len(text) == 0 {
			t.Errorf("%s: %s %.300s", path, res.Status, text)
		}
	}
}
