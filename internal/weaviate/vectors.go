package weaviate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"avjepa/internal/library"
)

// batchSize is the number of vectors in one request.
const batchSize = 256

// fetchers is the number of requests for single objects at a time.
const fetchers = 8

// object is a vector of a clip as the server has it.
type object struct {
	Class      string         `json:"class"`
	ID         string         `json:"id"`
	Vector     []float32      `json:"vector"`
	Properties map[string]any `json:"properties,omitempty"`
}

// objectID is the UUID that stands for a clip.
func objectID(clip int64) string {
	return fmt.Sprintf("00000000-0000-4000-8%03x-%012x", clip>>48&0xfff, clip&(1<<48-1))
}

// Upsert sets vectors.
func (s *Server) Upsert(ctx context.Context, v []library.RemoteVector) error {
	for len(v) > 0 {
		n := min(len(v), batchSize)
		objects := make([]object, n)
		for i, x := range v[:n] {
			objects[i] = object{Class: s.class(x.Modality), ID: objectID(x.Clip), Vector: x.Vector,
				Properties: map[string]any{"clip": x.Clip}}
		}
		v = v[n:]
		var answer []struct {
			ID     string `json:"id"`
			Result struct {
				Errors *struct {
					Error []struct {
						Message string `json:"message"`
					} `json:"error"`
				} `json:"errors"`
			} `json:"result"`
		}
		err := s.call(ctx, http.MethodPost, "/v1/batch/objects", map[string]any{"objects": objects}, &answer)
		if err != nil {
			return err
		}
		if len(answer) != n {
			return fmt.Errorf("%w: %s took %d of %d vectors", ErrServer, s.base, len(answer), n)
		}
		for _, a := range answer {
			if e := a.Result.Errors; e != nil && len(e.Error) > 0 {
				return fmt.Errorf("%w: %s did not take a vector: %.300s", ErrServer, s.base, e.Error[0].Message)
			}
		}
	}
	return nil
}

// Delete removes all vectors of clips.
func (s *Server) Delete(ctx context.Context, ids []int64) error {
	return s.each(ctx, ids, func(id int64) error {
		for _, m := range library.Modalities {
			err := s.call(ctx, http.MethodDelete, "/v1/objects/"+s.class(m)+"/"+objectID(id), nil, nil)
			if err != nil && !isStatus(err, http.StatusNotFound) {
				return err
			}
		}
		return nil
	})
}

// Search returns the k clips whose vectors of a modality are nearest to q.
func (s *Server) Search(ctx context.Context, m library.Modality, q []float32, k int) ([]library.Scored, error) {
	text := make([]string, len(q))
	for i, x := range q {
		text[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
	}
	query := fmt.Sprintf("{Get{%s(nearVector:{vector:[%s]},limit:%d){clip _additional{distance}}}}",
		s.class(m), strings.Join(text, ","), k)
	var answer struct {
		Data   struct{ Get map[string]json.RawMessage }
		Errors []struct{ Message string }
	}
	err := s.call(ctx, http.MethodPost, "/v1/graphql", map[string]any{"query": query}, &answer)
	refused := isStatus(err, http.StatusUnprocessableEntity)
	if err == nil && len(answer.Errors) > 0 {
		refused, err = true, fmt.Errorf("%w: %s: %.300s", ErrServer, s.base, answer.Errors[0].Message)
	}
	if refused {
		err = s.reason(ctx, m, err)
	}
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Clip       int64
		Additional struct{ Distance *float32 } `json:"_additional"`
	}
	if err := json.Unmarshal(answer.Data.Get[s.class(m)], &rows); err != nil {
		return nil, fmt.Errorf("%w: %s gave no list of %s (%w): is it the right server?", ErrServer, s.base,
			s.class(m), err)
	}
	hits := make([]library.Scored, 0, len(rows))
	for _, r := range rows {
		if r.Additional.Distance == nil {
			return nil, fmt.Errorf("%w: %s gave a clip without its distance", ErrServer, s.base)
		}
		hits = append(hits, library.Scored{Clip: r.Clip, Score: 1 - *r.Additional.Distance})
	}
	return hits, nil
}

// reason returns err of a search that was refused, or that there is nothing to search in, which a server tells
// in words that depend on the other collections it has.
func (s *Server) reason(ctx context.Context, m library.Modality, err error) error {
	if e := s.call(ctx, http.MethodGet, "/v1/schema/"+s.class(m), nil, nil); isStatus(e, http.StatusNotFound) {
		return fmt.Errorf("%w: %s has no collection %s: avjepa index makes it", ErrServer, s.base, s.class(m))
	}
	return err
}

// Fetch returns the vectors that the server has of clips.
func (s *Server) Fetch(ctx context.Context, m library.Modality, ids []int64) (map[int64][]float32, error) {
	found := make(map[int64][]float32, len(ids))
	var mu sync.Mutex
	err := s.each(ctx, ids, func(id int64) error {
		var o object
		err := s.call(ctx, http.MethodGet, "/v1/objects/"+s.class(m)+"/"+objectID(id)+"?include=vector", nil, &o)
		if isStatus(err, http.StatusNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		found[id] = o.Vector
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// each calls do for every clip, some at a time, and returns the first error.
func (s *Server) each(ctx context.Context, ids []int64, do func(id int64) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan int64)
	var wg sync.WaitGroup
	for range min(fetchers, len(ids)) {
		wg.Go(func() {
			for id := range next {
				if err := do(id); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, id := range ids {
		select {
		case next <- id:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
