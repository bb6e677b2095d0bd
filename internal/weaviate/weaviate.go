// Package weaviate keeps the vectors of a library in a Weaviate server, over its REST
// interface: for collections that do not fit this machine's memory, or that other programs
// search as well.
//
//	s, err := weaviate.Open(ctx, "http://127.0.0.1:8080/Clips", weaviate.Config{Dims: 64})
//	l, err := library.Open(ctx, dir, library.Options{Remote: s})
//
// A library has a collection for each modality. The server's index is HNSW: what it finds is
// nearly always, not always, what is nearest.
package weaviate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"avjepa/internal/library"
)

// Errors of a server. Those that follow ErrServer wrap it.
var (
	ErrLocation = errors.New("no location of a Weaviate server") // of what was given
	ErrServer   = errors.New("weaviate")                         // what it answered, or that it did not

	ErrAway         = fmt.Errorf("%w: the server cannot be had at the moment", ErrServer)
	ErrKey          = fmt.Errorf("%w: the server refuses the API key, or wants one", ErrServer)
	ErrNoCollection = fmt.Errorf("%w: the server has no such collection", ErrServer)
)

// Config says how a server is used.
type Config struct {
	Dims    int           // of the vectors; 0 does not make collections
	Key     string        // API key; empty for none
	Timeout time.Duration // of one request; 0 means 30 s
	Retries int           // of a request that the server did not take; 0 means 4, negative none
	Wait    time.Duration // before the first of them, then twice as long each; 0 means 250 ms
}

// Server is the vectors of one library on a server. It is safe for concurrent use.
type Server struct {
	base   string // without a slash at the end
	name   string // of the collections, before the modality
	cfg    Config
	client *http.Client
	made   bool
}

var collection = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,60}$`)

// NewLocation returns the location of collections with a name that nobody has, on the server
// at a URL. A URL that names collections is returned as it is.
func NewLocation(server string) (string, error) {
	u, err := parse(server)
	if err != nil {
		return "", err
	}
	if strings.Trim(u.Path, "/") != "" {
		return server, nil
	}
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 60))
	if err != nil {
		return "", err
	}
	u.Path = fmt.Sprintf("/Avjepa%015x", n)
	return u.String(), nil
}

func parse(location string) (*url.URL, error) {
	u, err := url.Parse(location)
	if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" ||
		u.Fragment != "" || u.User != nil) {
		err = errors.New("want http://host:port or https://host:port, with a collection's name behind or not")
	}
	if err == nil {
		if name := strings.Trim(u.Path, "/"); name != "" && !collection.MatchString(name) {
			err = fmt.Errorf("collection %q: want a capital letter, then letters and digits, 61 at most", name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("weaviate: %.200q: %w: %w", location, ErrLocation, err)
	}
	return u, nil
}

// New returns the collections at a location, http://host:port/Name, without asking the server:
// it may be away.
func New(location string, cfg Config) (*Server, error) {
	u, err := parse(location)
	if err != nil {
		return nil, err
	}
	name := strings.Trim(u.Path, "/")
	if name == "" {
		return nil, fmt.Errorf("weaviate: %q: %w: it names no collection", location, ErrLocation)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Retries == 0 {
		cfg.Retries = 4
	}
	if cfg.Wait == 0 {
		cfg.Wait = 250 * time.Millisecond
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	return &Server{base: u.Scheme + "://" + u.Host, name: name, cfg: cfg,
		client: &http.Client{Transport: transport}}, nil
}

// Open returns the collections at a location of a server that answers, and makes those that
// are not there when the configuration has the length of the vectors.
func Open(ctx context.Context, location string, cfg Config) (*Server, error) {
	s, err := New(location, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.Ready(ctx); err != nil || cfg.Dims == 0 {
		return s, err
	}
	for _, m := range library.Modalities {
		if err := s.make(ctx, m); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Made says whether Open made a collection: vectors that the server had in it are lost.
func (s *Server) Made() bool { return s.made }

// Ready returns nil when the server answers and takes requests.
func (s *Server) Ready(ctx context.Context) error {
	return s.call(ctx, http.MethodGet, "/v1/.well-known/ready", nil, nil)
}

// class is the collection of a modality.
func (s *Server) class(m library.Modality) string {
	name := m.String()
	return s.name + strings.ToUpper(name[:1]) + name[1:]
}

// make makes the collection of a modality if it is not there. One that is must compare by the
// cosine.
func (s *Server) make(ctx context.Context, m library.Modality) error {
	var there struct {
		VectorIndexConfig struct{ Distance string }
	}
	err := s.call(ctx, http.MethodGet, "/v1/schema/"+s.class(m), nil, &there)
	if err == nil && there.VectorIndexConfig.Distance != "cosine" {
		return fmt.Errorf("%w: %s: collection %s compares by %.40q, not by the cosine: it is not ours; give "+
			"another name behind the address, or none", ErrServer, s.base, s.class(m),
			there.VectorIndexConfig.Distance)
	}
	if !isStatus(err, http.StatusNotFound) {
		return err
	}
	s.made = true
	return s.call(ctx, http.MethodPost, "/v1/schema", map[string]any{
		"class": s.class(m), "vectorizer": "none",
		"vectorIndexConfig": map[string]any{"distance": "cosine"},
		"properties":        []any{map[string]any{"name": "clip", "dataType": []string{"int"}}},
	}, nil)
}

// Drop removes the collections with all that is in them.
func (s *Server) Drop(ctx context.Context) error {
	var errs []error
	for _, m := range library.Modalities {
		if err := s.call(ctx, http.MethodDelete, "/v1/schema/"+s.class(m), nil, nil); !isStatus(err, http.StatusNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 256 << 20

// statusError is an answer that says no.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("answered %d %s: %s", e.status, http.StatusText(e.status), e.text)
}

func isStatus(err error, status int) bool {
	var e *statusError
	return errors.As(err, &e) && e.status == status
}

// call sends a request and reads the answer into out, if there is one. What a server cannot do
// for the moment, it is asked again.
func (s *Server) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("weaviate: %w", err)
		}
	}
	wait := s.cfg.Wait
	for try := 0; ; try++ {
		again, err := s.once(ctx, method, path, body, out)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !again || try >= s.cfg.Retries {
			return fmt.Errorf("%w: %s %s%s: %w", kindOf(again, err), method, s.base, path, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait *= 2
	}
}

// kindOf is the sentinel of an error after which it is of use to ask again, or not.
func kindOf(again bool, err error) error {
	switch {
	case again:
		return ErrAway
	case isStatus(err, http.StatusUnauthorized), isStatus(err, http.StatusForbidden):
		return ErrKey
	}
	return ErrServer
}

// once sends a request; again says whether it is of use to do so another time.
func (s *Server) once(ctx context.Context, method, path string, body []byte, out any) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.cfg.Key != "" {
		req.Header.Set("Authorization", "Bearer "+s.cfg.Key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v", s.cfg.Timeout)
		}
		return true, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return true, err
	case len(data) > maxAnswer:
		return false, fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	case resp.StatusCode >= 300:
		text := strings.TrimSpace(string(data[:min(len(data), 300)]))
		busy := resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests
		return busy, &statusError{resp.StatusCode, text}
	case out == nil:
		return false, nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return false, fmt.Errorf("an answer that is no JSON of Weaviate's (%w): is it the right server?", err)
	}
	return false, nil
}
