package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"avjepa/internal/library"
)

// server is the address of a real server, AVJEPA_WEAVIATE, or the test is skipped, or fails
// where AVJEPA_REQUIRE has weaviate.
func server(t *testing.T) string {
	t.Helper()
	at := os.Getenv("AVJEPA_WEAVIATE")
	if at == "" {
		const why = "no Weaviate server: AVJEPA_WEAVIATE=http://host:port names one"
		if slices.Contains(strings.Split(os.Getenv("AVJEPA_REQUIRE"), ","), "weaviate") {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return at
}

// A library with its vectors on a real server finds what one without does.
func TestLibraryOnAServer(t *testing.T) {
	at, err := NewLocation(server(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	const dims = 16
	s, err := Open(ctx, at, Config{Dims: dims})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Drop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	there := filled(t, library.Options{Remote: s}, at, dims)
	here := filled(t, library.Options{}, "", dims)
	r := rand.New(rand.NewPCG(3, 3))
	for range 5 {
		q := library.Query{Vector: draw(r, dims), From: library.Audio, In: library.Video, K: 8, Exclude: []int64{3}}
		got, err := there.Search(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := here.Search(ctx, q)
		if len(got) != len(want) {
			t.Fatalf("%d hits, want %d", len(got), len(want))
		}
		for i := range got {
			if got[i].ID != want[i].ID || !(math.Abs(float64(got[i].Score-want[i].Score)) < 1e-5) ||
				!(math.Abs(got[i].Percentile-want[i].Percentile) < 5) {
				t.Errorf("hit %d: %+v, want %+v", i, got[i], want[i])
			}
		}
	}
	if err := there.Remove(ctx, 5); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Fetch(ctx, library.Video, []int64{5, 6}); err != nil || v[5] != nil || len(v[6]) != dims {
		t.Errorf("%v, %v", v, err)
	}
	hits, err := there.Neighbours(ctx, 6, library.Video, library.Video, 100)
	if err != nil || len(hits) != 58 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
}

func draw(r *rand.Rand, dims int) []float32 {
	v := make([]float32, dims)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func filled(t *testing.T, o library.Options, remote string, dims int) *library.Library {
	t.Helper()
	l, err := library.Create(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := library.Model{ID: "m", Embedding: "cls", Dims: dims, Windows: 1, Remote: remote}
	if err := l.UseModel(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	var all []library.Entry
	for i := range 60 {
		all = append(all, library.Entry{Clip: library.Clip{Key: fmt.Sprint("clip ", i), HasVideo: true},
			Audio: draw(r, dims), Video: draw(r, dims)})
	}
	if err := l.Add(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	if err := l.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

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
	const missing = "no collection XVideo: avjepa index makes it"
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
