package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/oasdiff/yaml"

	"avjepa/internal/server/servertest"
)

var update = flag.Bool("update", false, "write openapi.json again")

// described returns the description and what finds a request in it.
var described = sync.OnceValues(func() (*openapi3.T, routers.Router) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err == nil {
		err = doc.Validate(context.Background())
	}
	if err != nil {
		panic(err)
	}
	for _, kind := range []string{"video/mp4", "audio/mp4", "audio/wav", "image/jpeg", "image/png",
		"application/vnd.avjepa.map", "text/event-stream", "application/toml"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	return doc, router
})

// conforms holds an answer to the description, and the request too when it was taken.
func conforms(t *testing.T, r *http.Request, sent []byte, res *http.Response, body []byte) {
	t.Helper()
	_, router := described()
	plain := r.Clone(context.Background())
	plain.URL.Scheme, plain.URL.Host, plain.Host = "", "", ""
	if plain.Method == http.MethodHead || strings.HasPrefix(plain.URL.Path, "/assets") || plain.URL.Path == "/" {
		return // pages are not described
	}
	route, params, err := router.FindRoute(plain)
	if err != nil {
		if res.StatusCode < 400 {
			t.Errorf("%s %s is not described: %v", r.Method, r.URL.Path, err)
		}
		return
	}
	plain.Body = io.NopCloser(bytes.NewReader(sent))
	in := &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route,
		Options: &openapi3filter.Options{IncludeResponseStatus: true,
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if res.StatusCode < 400 {
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			t.Errorf("%s %s was taken, but: %v", r.Method, r.URL, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: res.StatusCode,
		Header: res.Header, Options: in.Options}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
		t.Errorf("%s %s answers %s, but: %.900v", r.Method, r.URL, res.Status, err)
	}
}

// TestOpenAPIMatchesRoutes compares the description with the routes, both ways.
func TestOpenAPIMatchesRoutes(t *testing.T) {
	doc, _ := described()
	var want []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	got := servertest.New(t, nil).Patterns()
	slices.Sort(want)
	slices.Sort(got)
	for _, p := range got {
		if !slices.Contains(want, p) {
			t.Errorf("%s is not described", p)
		}
	}
	for _, p := range want {
		if !slices.Contains(got, p) {
			t.Errorf("%s is described, but there is no such route", p)
		}
	}
}

// TestOpenAPIAsJSON holds what is served to what was written.
func TestOpenAPIAsJSON(t *testing.T) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	b.WriteByte('\n')
	if *update {
		if err := os.WriteFile("openapi.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Error("openapi.json is not openapi.yaml as JSON: go test ./internal/server -run OpenAPI -update")
	}
	if strings.Contains(string(have), "http://") {
		t.Error("the description names a server")
	}
}
