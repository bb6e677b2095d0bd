package library

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Query is what to look for.
type Query struct {
	Vector []float32 // as the encoder gives it, of any length greater than zero
	From   Modality  // what Vector was made of
	In     Modality  // which vectors of the clips it is compared with
	K      int       // hits, at most; 0 means 10, at most MaxK

	Exclude []int64             // clips that are not wanted
	Keep    func(id int64) bool // nil, or says which are; called by several goroutines
}

// MaxK bounds the hits of a query.
const MaxK = 10_000

// Hit is a clip that was found.
type Hit struct {
	ID         int64
	Score      float32 // cosine, in [−1, 1]
	Percentile float64 // of random pairs that score less, in [0, 100]; −1 if that is not known
	Chance     bool    // no better than one in twenty random pairs
}

// Search compares the query with every clip and returns the best, best first; equal ones in
// the order in which they came. Its memory is K hits a goroutine.
func (l *Library) Search(ctx context.Context, q Query) ([]Hit, error) {
	if q.From < Audio || q.From > Both || q.In < Audio || q.In > Both {
		return nil, fmt.Errorf("library: a query from %v in %v: both must be audio, video or both",
			q.From, q.In)
	}
	if q.K < 0 || q.K > MaxK {
		return nil, fmt.Errorf("library: %d hits: must be 1 to %d", q.K, MaxK)
	}
	if q.K == 0 {
		q.K = 10
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	server, err := l.server()
	if err != nil {
		return nil, err
	}
	l.mu.RLock()
	v, err := l.prepare(&q)
	if err != nil || server == nil {
		defer l.mu.RUnlock()
		if err != nil {
			return nil, err
		}
		return l.searchRows(q, v), nil
	}
	l.mu.RUnlock() // a server may be slow: who changes the library is not kept waiting
	return l.searchRemote(ctx, server, q, v)
}

// prepare returns the query's vector as it is compared. The caller holds mu.
func (l *Library) prepare(q *Query) ([]float32, error) {
	if l.number == 0 {
		return nil, fmt.Errorf("library: %s is empty: avjepa index MODEL FILES… --library %[1]s", l.dir)
	}
	v, err := unit(q.Vector, l.model.Dims)
	if err == nil && !centre(v, l.means[q.From]) {
		err = errors.New("it is the mean of all, and has no direction")
	}
	if err != nil {
		return nil, fmt.Errorf("library: query: %w", err)
	}
	return v, nil
}

// searchRows is the search for v, prepared, in memory.
func (l *Library) searchRows(q Query, v []float32) []Hit {
	var keep func(row int) bool
	if len(q.Exclude) > 0 || q.Keep != nil {
		keep = func(row int) bool { return q.wants(l.rows.ids[row]) }
	}
	best := l.rows.parts[q.In].best(v, q.K, keep)
	null := l.null[direction{q.From, q.In}]
	hits := make([]Hit, len(best))
	for i, b := range best {
		hits[i] = null.hit(l.rows.ids[b.row], b.score)
	}
	return hits
}

func (q *Query) wants(id int64) bool {
	return !slices.Contains(q.Exclude, id) && (q.Keep == nil || q.Keep(id))
}

// Neighbours returns the k clips whose vectors of modality in are nearest to the one of
// modality from of clip id, without the clip itself. It returns ErrNoClip when there is no
// such clip, or it has no vector of that modality.
func (l *Library) Neighbours(ctx context.Context, id int64, from, in Modality, k int) ([]Hit, error) {
	v, err := l.Vector(ctx, id, from)
	if err != nil {
		return nil, err
	}
	return l.Search(ctx, Query{Vector: v, From: from, In: in, K: k, Exclude: []int64{id}})
}

// Vector returns the vector of a clip, with length 1 and nothing subtracted.
func (l *Library) Vector(ctx context.Context, id int64, m Modality) ([]float32, error) {
	if m < Audio || m > Both {
		return nil, fmt.Errorf("library: %v is none of audio, video, both", m)
	}
	server, err := l.server()
	if err != nil {
		return nil, err
	}
	model, number := l.current()
	none := fmt.Errorf("library: %w as %d in %s with a vector of %v", ErrNoClip, id, l.dir, m)
	if server != nil {
		if !l.present(m, id) {
			return nil, none
		}
		found, err := fetch(ctx, server, m, []int64{id}, model.Dims)
		if err == nil && found[id] == nil {
			err = none
		}
		return found[id], err
	}
	var blob []byte
	rows, err := l.db.QueryContext(ctx, "SELECT "+m.String()+" FROM vectors WHERE model = ? AND clip = ?",
		number, id)
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	if rows.Next() {
		err = rows.Scan(&blob)
	}
	if err = errors.Join(err, rows.Err()); err != nil {
		return nil, l.fault(err)
	}
	if len(blob) == 0 {
		return nil, none
	}
	v := make([]float32, model.Dims)
	if err := decode(v, blob); err != nil {
		return nil, l.broken(fmt.Errorf("clip %d, %v: %w", id, m, err))
	}
	return v, nil
}

// Vectors returns the vectors of one modality as they are compared, (n, dims) row by row, and
// the clips they are of, those alone that keep wants: for maps. It copies them, or fetches them
// from the server that has them, which may have lost some.
func (l *Library) Vectors(ctx context.Context, m Modality, keep func(id int64) bool) (ids []int64,
	data []float32, dims int, err error) {

	if m < Audio || m > Both {
		return nil, nil, 0, fmt.Errorf("library: %v is none of audio, video, both", m)
	}
	server, err := l.server()
	if err != nil {
		return nil, nil, 0, err
	}
	if server != nil {
		model, _ := l.current()
		found, err := fetch(ctx, server, m, l.chosen(m, keep, math.MaxInt), model.Dims)
		if err != nil {
			return nil, nil, 0, err
		}
		for _, id := range slices.Sorted(maps.Keys(found)) {
			ids, data = append(ids, id), append(data, found[id]...)
		}
		return ids, data, model.Dims, nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	part := &l.rows.parts[m]
	v := make([]float32, part.dims)
	for row, has := range part.has {
		if id := l.rows.ids[row]; has && keep(id) {
			part.get(row, v)
			ids, data = append(ids, id), append(data, v...)
		}
	}
	return ids, data, part.dims, nil
}
