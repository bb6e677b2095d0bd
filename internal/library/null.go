package library

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
)

// direction is the modality of a query and that of what it is compared with.
type direction struct{ from, in Modality }

// Null is what random pairs of different clips score in one direction.
type Null struct {
	From, In  Modality
	Pairs     int       // that were drawn
	Quantiles []float32 // score that 0, 0.1, 0.2 … 100 % of the pairs do not exceed
}

const (
	nullPairs     = 10_000
	nullQuantiles = 1001
	nullClips     = 2_000 // that a server is asked for at most
	chanceShare   = 0.95
)

// Chance returns the score that one in twenty random pairs reaches.
func (n *Null) Chance() float32 { return n.Quantiles[chanceAt] }

const chanceAt = (nullQuantiles - 1) * chanceShare

// Percentile returns how many of 100 random pairs score less, linear between quantiles.
func (n *Null) Percentile(score float32) float64 {
	q := n.Quantiles
	at := sort.Search(len(q), func(i int) bool { return q[i] >= score })
	switch {
	case at == 0:
		return 0
	case at == len(q):
		return 100
	}
	step := 100 / float64(len(q)-1)
	part := float64(score-q[at-1]) / float64(q[at]-q[at-1])
	return (float64(at-1) + part) * step
}

// hit places a score. n may be nil.
func (n *Null) hit(id int64, score float32) Hit {
	if n == nil {
		return Hit{ID: id, Score: score, Percentile: -1}
	}
	return Hit{ID: id, Score: score, Percentile: n.Percentile(score), Chance: score < n.Chance()}
}

// Null returns the null distribution of a direction, nil when there is none: before Finish,
// or with less than two clips.
func (l *Library) Null(from, in Modality) *Null {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.null[direction{from, in}]
}

// nullOf draws pairs of different clips, of which query has a vector of one and searched one
// of the other modality, with a seed of its own: the same clips give the same scores.
func nullOf(dir direction, query, searched *matrix) *Null {
	from, in := query.rowsWith(), searched.rowsWith()
	if len(from) < 2 || len(in) < 2 {
		return nil
	}
	r := rand.New(rand.NewPCG(uint64(dir.from), uint64(dir.in)))
	a, b := make([]float32, query.dims), make([]float32, query.dims)
	scores := make([]float32, 0, nullPairs)
	for len(scores) < nullPairs {
		i, j := from[r.IntN(len(from))], in[r.IntN(len(in))]
		if i == j {
			continue
		}
		query.get(i, a)
		searched.get(j, b)
		sum := 0.
		for k, x := range a {
			sum += float64(x) * float64(b[k])
		}
		scores = append(scores, float32(sum))
	}
	slices.Sort(scores)
	n := &Null{From: dir.from, In: dir.in, Pairs: len(scores), Quantiles: make([]float32, nullQuantiles)}
	for i := range n.Quantiles {
		n.Quantiles[i] = scores[i*(len(scores)-1)/(nullQuantiles-1)]
	}
	return n
}

// rowsWith returns the rows that have a vector.
func (m *matrix) rowsWith() []int {
	rows := make([]int, 0, m.count)
	for i, has := range m.has {
		if has {
			rows = append(rows, i)
		}
	}
	return rows
}

// readNull reads the null distributions of a model.
func (l *Library) readNull(ctx context.Context, number int64) (map[direction]*Null, error) {
	all := make(map[direction]*Null)
	rows, err := l.db.QueryContext(ctx,
		"SELECT query, searched, pairs, quantiles FROM null_scores WHERE model = ?", number)
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	for rows.Next() {
		n := &Null{Quantiles: make([]float32, nullQuantiles)}
		var blob sql.RawBytes
		if err := rows.Scan(&n.From, &n.In, &n.Pairs, &blob); err != nil {
			return nil, l.fault(err)
		}
		err := decode(n.Quantiles, blob)
		if err == nil && !slices.IsSorted(n.Quantiles) {
			err = fmt.Errorf("quantiles fall")
		}
		if err != nil {
			return nil, l.broken(fmt.Errorf("scores of %v in %v: %w", n.From, n.In, err))
		}
		all[direction{n.From, n.In}] = n
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	return all, nil
}

// readMeans reads the means of a model's vectors.
func (l *Library) readMeans(ctx context.Context, number int64, dims int) ([4][]float32, error) {
	var means [4][]float32
	rows, err := l.db.QueryContext(ctx, "SELECT modality, value FROM mean WHERE model = ?", number)
	if err != nil {
		return means, l.fault(err)
	}
	defer rows.Close()
	for rows.Next() {
		var m Modality
		var blob sql.RawBytes
		if err := rows.Scan(&m, &blob); err != nil {
			return means, l.fault(err)
		}
		if m < Audio || m > Both {
			return means, l.broken(fmt.Errorf("mean of %v", m))
		}
		means[m] = make([]float32, dims)
		if err := decode(means[m], blob); err != nil {
			return means, l.broken(fmt.Errorf("mean of %v: %w", m, err))
		}
	}
	if err := rows.Err(); err != nil {
		return means, l.fault(err)
	}
	return means, nil
}
