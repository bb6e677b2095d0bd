package weaviate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"avjepa/internal/library"
)

// batchSize is the number of vectors that one request sets, removes or asks for.
const batchSize = 256

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

// Upsert sets vectors. One of another length than the configuration's is not sent: a server may
// say no and yet have it instead of the one before.
func (s *Server) Upsert(ctx context.Context, v []library.RemoteVector) error {
	for _, x := range v {
		if s.cfg.Dims > 0 && len(x.Vector) != s.cfg.Dims {
			return fmt.Errorf("%w: clip %d, %v: a vector of %d numbers for collections of %d", ErrServer, x.Clip,
				x.Modality, len(x.Vector), s.cfg.Dims)
		}
	}
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
	for part := range slices.Chunk(ids, batchSize) {
		for _, m := range library.Modalities {
			var answer struct {
				Results struct{ Failed int }
			}
			err := s.call(ctx, http.MethodDelete, "/v1/batch/objects", map[string]any{"match": map[string]any{
				"class": s.class(m), "where": map[string]any{"path": []string{"id"}, "operator": "ContainsAny",
					"valueTextArray": objectIDs(part)}}}, &answer)
			if err != nil {
				if err = s.reason(ctx, m, err); errors.Is(err, ErrNoCollection) {
					continue // nor are there vectors in it
				}
				return err
			}
			if n := answer.Results.Failed; n > 0 {
				return fmt.Errorf("%w: %s did not remove %d vectors", ErrServer, s.base, n)
			}
		}
	}
	return nil
}

func objectIDs(clips []int64) []string {
	ids := make([]string, len(clips))
	for i, c := range clips {
		ids[i] = objectID(c)
	}
	return ids
}

// row is an object as a query gives it.
type row struct {
	Clip       int64
	Additional struct {
		Distance *float32
		Vector   []float32
	} `json:"_additional"`
}

// get asks for the objects of a modality that a selection, in GraphQL, selects.
func (s *Server) get(ctx context.Context, m library.Modality, selection, fields string) ([]row, error) {
	query := fmt.Sprintf("{Get{%s(%s){clip _additional{%s}}}}", s.class(m), selection, fields)
	var answer struct {
		Data   struct{ Get map[string]json.RawMessage }
		Errors []struct{ Message string }
	}
	err := s.call(ctx, http.MethodPost, "/v1/graphql", map[string]any{"query": query}, &answer)
	if err == nil && len(answer.Errors) > 0 {
		err = fmt.Errorf("%w: %s: %.300s", ErrServer, s.base, answer.Errors[0].Message)
	}
	if err != nil {
		return nil, s.reason(ctx, m, err)
	}
	var rows []row
	if err := json.Unmarshal(answer.Data.Get[s.class(m)], &rows); err != nil {
		return nil, fmt.Errorf("%w: %s gave no list of %s (%w): is it the right server?", ErrServer, s.base,
			s.class(m), err)
	}
	return rows, nil
}

// reason returns err of a request that was refused, or that there is no such collection, which a
// server tells in words that depend on the others it has.
func (s *Server) reason(ctx context.Context, m library.Modality, err error) error {
	var answered *statusError // some versions say 500 here
	if ctx.Err() != nil || errors.Is(err, ErrKey) || errors.Is(err, ErrAway) && !errors.As(err, &answered) {
		return err
	}
	if e := s.call(ctx, http.MethodGet, "/v1/schema/"+s.class(m), nil, nil); isStatus(e, http.StatusNotFound) {
		return fmt.Errorf("%w as %s on %s: avjepa index makes it and its vectors again", ErrNoCollection, s.class(m), s.base)
	}
	return err
}

// Search returns the k clips whose vectors of a modality are nearest to q.
func (s *Server) Search(ctx context.Context, m library.Modality, q []float32, k int) ([]library.Scored, error) {
	text := make([]string, len(q))
	for i, x := range q {
		text[i] = strconv.FormatFloat(float64(x), 'g', -1, 32)
	}
	rows, err := s.get(ctx, m, fmt.Sprintf("nearVector:{vector:[%s]},limit:%d", strings.Join(text, ","), k),
		"distance")
	if err != nil {
		return nil, err
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

// Fetch returns the vectors that the server has of clips.
func (s *Server) Fetch(ctx context.Context, m library.Modality, ids []int64) (map[int64][]float32, error) {
	found := make(map[int64][]float32, len(ids))
	for part := range slices.Chunk(ids, batchSize) {
		wanted, err := json.Marshal(objectIDs(part))
		if err != nil {
			return nil, fmt.Errorf("weaviate: %w", err)
		}
		rows, err := s.get(ctx, m, fmt.Sprintf("where:{path:[\"id\"],operator:ContainsAny,valueText:%s},limit:%d",
			wanted, len(part)), "vector")
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if slices.Contains(part, r.Clip) {
				found[r.Clip] = r.Additional.Vector
			}
		}
	}
	return found, nil
}
