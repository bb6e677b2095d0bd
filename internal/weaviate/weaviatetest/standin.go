package weaviatetest

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// StandIn answers the requests that package weaviate makes as the server does, and searches
// exactly: for tests of what is around it where there is no server. What it has outlives Kill.
type StandIn struct {
	URL string

	t       testing.TB
	mu      sync.Mutex
	classes map[string]map[string]object // by name, then by ID
	server  *http.Server                 // nil when stopped
}

// object is what a collection has.
type object struct {
	Class      string         `json:"class"`
	ID         string         `json:"id"`
	Vector     []float32      `json:"vector"`
	Properties map[string]any `json:"properties"`
}

// NewStandIn starts one, which ends with the test.
func NewStandIn(t testing.TB) *StandIn {
	t.Helper()
	s := &StandIn{t: t, classes: map[string]map[string]object{}, URL: "http://127.0.0.1:0"}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts it at the address that it had.
func (s *StandIn) Start() {
	s.t.Helper()
	l, err := net.Listen("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.URL = "http://" + l.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/.well-known/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /v1/schema/{class}", s.schema)
	mux.HandleFunc("DELETE /v1/schema/{class}", s.drop)
	mux.HandleFunc("POST /v1/schema", s.create)
	mux.HandleFunc("POST /v1/batch/objects", s.put)
	mux.HandleFunc("DELETE /v1/batch/objects", s.remove)
	mux.HandleFunc("POST /v1/graphql", s.query)
	s.server = &http.Server{Handler: mux}
	go s.server.Serve(l)
}

// Kill ends it at once.
func (s *StandIn) Kill() {
	if s.server != nil {
		s.server.Close()
		s.server = nil
	}
}

// Lose removes all that it has.
func (s *StandIn) Lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.classes)
}

func answer(w http.ResponseWriter, v any) { json.NewEncoder(w).Encode(v) }

// read reads a request and locks what it is about.
func (s *StandIn) read(w http.ResponseWriter, r *http.Request, v any) bool {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return false
	}
	s.mu.Lock()
	return true
}

func (s *StandIn) schema(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.classes[r.PathValue("class")] == nil {
		http.Error(w, "", http.StatusNotFound)
		return
	}
	answer(w, map[string]any{"vectorIndexConfig": map[string]any{"distance": "cosine"}})
}

func (s *StandIn) drop(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.classes, r.PathValue("class"))
}

func (s *StandIn) create(w http.ResponseWriter, r *http.Request) {
	var in struct{ Class string }
	if s.read(w, r, &in) {
		defer s.mu.Unlock()
		s.classes[in.Class] = map[string]object{}
		answer(w, in)
	}
}

func (s *StandIn) put(w http.ResponseWriter, r *http.Request) {
	var in struct{ Objects []object }
	if !s.read(w, r, &in) {
		return
	}
	defer s.mu.Unlock()
	out := []map[string]any{}
	for _, o := range in.Objects {
		if s.classes[o.Class] == nil {
			http.Error(w, "no class", http.StatusUnprocessableEntity)
			return
		}
		s.classes[o.Class][o.ID] = o
		out = append(out, map[string]any{"id": o.ID, "result": map[string]any{}})
	}
	answer(w, out)
}

func (s *StandIn) remove(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Match struct {
			Class string
			Where struct{ ValueTextArray []string }
		}
	}
	if !s.read(w, r, &in) {
		return
	}
	defer s.mu.Unlock()
	for _, id := range in.Match.Where.ValueTextArray {
		delete(s.classes[in.Match.Class], id)
	}
	answer(w, map[string]any{"results": map[string]any{"failed": 0}})
}

var (
	queryOf = regexp.MustCompile(`^\{Get\{(\w+)\((.*),limit:(\d+)\)\{clip _additional\{(distance|vector)\}\}\}\}$`)
	near    = regexp.MustCompile(`^nearVector:\{vector:(\[.*\])\}$`)
	byID    = regexp.MustCompile(`^where:\{path:\["id"\],operator:ContainsAny,valueText:(\[.*\])\}$`)
)

func (s *StandIn) query(w http.ResponseWriter, r *http.Request) {
	var in struct{ Query string }
	if !s.read(w, r, &in) {
		return
	}
	defer s.mu.Unlock()
	fault := func(text string) { answer(w, map[string]any{"errors": []any{map[string]any{"message": text}}}) }
	q := queryOf.FindStringSubmatch(in.Query)
	if q == nil {
		fault("syntax")
		return
	}
	class := s.classes[q[1]]
	if class == nil {
		fault(fmt.Sprintf("Cannot query field %q on type \"GetObjectsObj\".", q[1]))
		return
	}
	var vector []float32
	var ids []string
	if m := near.FindStringSubmatch(q[2]); m != nil {
		json.Unmarshal([]byte(m[1]), &vector)
	} else if m := byID.FindStringSubmatch(q[2]); m != nil {
		json.Unmarshal([]byte(m[1]), &ids)
	}
	limit, _ := strconv.Atoi(q[3])
	type found struct {
		Clip       any            `json:"clip"`
		Additional map[string]any `json:"_additional"`
		distance   float64
	}
	out := []found{}
	for id, o := range class {
		f := found{Clip: o.Properties["clip"]}
		if vector == nil && slices.Contains(ids, id) {
			f.Additional = map[string]any{"vector": o.Vector}
			out = append(out, f)
		} else if vector != nil && len(vector) == len(o.Vector) {
			f.distance = 1 - cosine(vector, o.Vector)
			f.Additional = map[string]any{"distance": f.distance}
			out = append(out, f)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].distance < out[j].distance })
	answer(w, map[string]any{"data": map[string]any{"Get": map[string]any{q[1]: out[:min(limit, len(out))]}}})
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb)
}
