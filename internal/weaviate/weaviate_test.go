package weaviate

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"avjepa/internal/library"
)

// What a server answers, or does not, ends with an error that says so, within a bound of time.
func TestServersThatFail(t *testing.T) {
	ctx := t.Context()
	for name, answer := range map[string]http.HandlerFunc{
		"refused":  func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no key", http.StatusUnauthorized) },
		"broken":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "panic", http.StatusInternalServerError) },
		"silent":   func(http.ResponseWriter, *http.Request) { time.Sleep(200 * time.Millisecond) },
		"web page": func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"no list":  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"data":{"Get":{}}}`)) },
		"errors":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"errors":[{"message":"bad"}]}`)) },
		"nameless": func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"data":{"Get":{"XVideo":[{"clip":1}]}}}`))
		},
	} {
		fake := httptest.NewServer(answer)
		s := &Server{base: fake.URL, name: "X", client: fake.Client(),
			cfg: Config{Timeout: 50 * time.Millisecond, Retries: 1, Wait: time.Millisecond}}
		if hits, err := s.Search(ctx, library.Video, []float32{1}, 3); !errors.Is(err, ErrServer) {
			t.Errorf("%s: %v, %v", name, hits, err)
		} else if !strings.Contains(err.Error(), fake.URL) {
			t.Errorf("%s: the error does not name the server: %v", name, err)
		}
		if err := s.Upsert(ctx, []library.RemoteVector{{Clip: 1, Modality: library.Audio, Vector: []float32{1}}}); err == nil {
			t.Errorf("%s: a vector was taken", name)
		}
		fake.CloseClientConnections()
		fake.Close()
	}
}

// A collection that is not there is told from other refusals, however the server puts it.
func TestNoCollection(t *testing.T) {
	const missing = "no such collection as XVideo"
	for _, c := range []struct {
		status int
		answer string
		there  bool
	}{
		{200, `{"errors":[{"message":"Cannot query field \"XVideo\" on type \"GetObjectsObj\"."}]}`, false},
		{422, `{"error":[{"message":"no graphql provider present, this is most likely because no schema is present."}]}`,
			false},
		{200, `{"errors":[{"message":"vector lengths don't match: 16 vs 1"}]}`, true},
	} {
		fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v1/graphql":
				w.WriteHeader(c.status)
				w.Write([]byte(c.answer))
			case r.URL.Path != "/v1/schema/XVideo" || !c.there:
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		s := &Server{base: fake.URL, name: "X", client: fake.Client(), cfg: Config{Timeout: time.Second}}
		_, err := s.Search(t.Context(), library.Video, []float32{1}, 3)
		if !errors.Is(err, ErrServer) || strings.Contains(err.Error(), missing) == c.there {
			t.Errorf("%s: %v", c.answer, err)
		}
		fake.Close()
	}
}

// A server that is busy is asked again; one that says no is not.
func TestRetries(t *testing.T) {
	calls := 0
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Objects []object }
		json.NewDecoder(r.Body).Decode(&in)
		if calls++; calls < 3 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		if len(in.Objects) != 1 || in.Objects[0].Class != "XAudio" || in.Objects[0].ID != objectID(1) ||
			r.Header.Get("Authorization") != "Bearer k" {
			t.Errorf("%+v", in)
		}
		w.Write([]byte(`[{"result":{}}]`))
	}))
	defer fake.Close()
	s := &Server{base: fake.URL, name: "X", client: fake.Client(),
		cfg: Config{Timeout: time.Second, Retries: 3, Wait: time.Millisecond, Key: "k"}}
	err := s.Upsert(t.Context(), []library.RemoteVector{{Clip: 1, Modality: library.Audio, Vector: []float32{1}}})
	if err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestLocations(t *testing.T) {
	for _, bad := range []string{"", "host:80", "ftp://h/X", "http://h/x", "http://h/A-b", "http://u:p@h/X",
		"http://h/X?a=1", "http:///X"} {
		if at, err := NewLocation(bad); !errors.Is(err, ErrLocation) {
			t.Errorf("%q: %q, %v", bad, at, err)
		}
	}
	a, err := NewLocation("http://h:8080/")
	b, _ := NewLocation("http://h:8080")
	if err != nil || a == b || !strings.HasPrefix(a, "http://h:8080/Avjepa") {
		t.Errorf("%q, %q, %v", a, b, err)
	}
	if again, err := NewLocation(a); err != nil || again != a {
		t.Errorf("%q became %q, %v", a, again, err)
	}
}
