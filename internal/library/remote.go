package library

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Remote is a server that keeps and searches the vectors of a library instead of its own
// file. Vectors are those of one model, normalised. Its methods may be called at the same time.
type Remote interface {
	// Upsert sets vectors; the same again does no harm.
	Upsert(ctx context.Context, v []RemoteVector) error

	// Delete removes all vectors of clips.
	Delete(ctx context.Context, ids []int64) error

	// Search returns the k clips whose vectors of a modality are nearest to q, best first.
	Search(ctx context.Context, m Modality, q []float32, k int) ([]Scored, error)

	// Fetch returns the vectors that the server has of clips, and nothing of others.
	Fetch(ctx context.Context, m Modality, ids []int64) (map[int64][]float32, error)
}

// RemoteVector is one vector of a clip.
type RemoteVector struct {
	Clip     int64
	Modality Modality
	Vector   []float32
}

// Scored is a clip and its cosine with a query.
type Scored struct {
	Clip  int64
	Score float32
}

// server returns the server that has the vectors of the model, nil when the file has them.
func (l *Library) server() (Remote, error) {
	model, number := l.current()
	if number == 0 || model.Remote == "" {
		return nil, nil
	}
	if l.opts.Remote == nil {
		return nil, fmt.Errorf("library: the vectors of %s are on %s: open it with that server", l.dir,
			model.Remote)
	}
	return l.opts.Remote, nil
}

// present says whether a clip has a vector of a modality.
func (l *Library) present(m Modality, id int64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.rows.present(m, id)
}

func (r *rows) present(m Modality, id int64) bool {
	row, ok := r.row[id]
	return ok && r.parts[m].has[row]
}

// chosen returns the clips with a vector of a modality that keep wants, most at most.
func (l *Library) chosen(m Modality, keep func(id int64) bool, most int) []int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var ids []int64
	for row, has := range l.rows.parts[m].has {
		if id := l.rows.ids[row]; has && keep(id) {
			if len(ids) == most {
				break
			}
			ids = append(ids, id)
		}
	}
	return ids
}

// fetch fetches vectors of length dims and scales them to length 1.
func fetch(ctx context.Context, server Remote, m Modality, ids []int64, dims int) (map[int64][]float32, error) {
	found, err := server.Fetch(ctx, m, ids)
	if err != nil {
		return nil, err
	}
	for id, v := range found {
		if len(v) != dims || !normalise(v) {
			return nil, fmt.Errorf("library: the server has a vector of %d numbers for clip %d, the model's "+
				"have %d and a direction: index with --remote into another collection", len(v), id, dims)
		}
	}
	return found, nil
}

// fewClips is how many clips a selection may have for their vectors to be fetched and compared
// here, exactly, rather than looked for among those nearest of all.
const fewClips = 1000

// searchRemote has the server search. It knows nothing of Exclude and Keep, nor that it has
// vectors of clips that are gone, so it is asked for more the more of what it finds is not
// wanted.
func (l *Library) searchRemote(ctx context.Context, server Remote, q Query, v []float32) ([]Hit, error) {
	null := l.Null(q.From, q.In)
	if q.Keep != nil {
		if few := l.chosen(q.In, q.wants, fewClips+1); len(few) <= fewClips {
			return compareFetched(ctx, server, &q, v, few, null)
		}
	}
	for k := min(q.K+len(q.Exclude), MaxK); ; k = min(4*k, MaxK) {
		found, err := server.Search(ctx, q.In, v, k)
		if err != nil {
			return nil, err
		}
		var hits []Hit
		l.mu.RLock()
		for _, f := range found {
			if l.rows.present(q.In, f.Clip) && q.wants(f.Clip) && len(hits) < q.K {
				hits = append(hits, null.hit(f.Clip, f.Score))
			}
		}
		l.mu.RUnlock()
		if len(hits) == q.K || len(found) < k || k == MaxK {
			return hits, nil
		}
	}
}

// compareFetched compares v with the vectors of some clips.
func compareFetched(ctx context.Context, server Remote, q *Query, v []float32, ids []int64, null *Null) (
	[]Hit, error) {

	found, err := fetch(ctx, server, q.In, ids, len(v))
	if err != nil {
		return nil, err
	}
	hits := make([]Hit, 0, len(found))
	for id, x := range found {
		sum := 0.
		for i := range x {
			sum += float64(x[i]) * float64(v[i])
		}
		hits = append(hits, null.hit(id, float32(sum)))
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID))
	})
	return hits[:min(len(hits), q.K)], nil
}
