package library

import (
	"context"
	"database/sql"
	"math/rand/v2"

	"avjepa/internal/neardup"
)

// Duplicate names two clips that are nearly the same, Clip < Other.
type Duplicate struct {
	Clip, Other    int64
	Picture, Sound float64 // how far they differ, from 0 to 1: see neardup.Pair
}

// Finish takes stock after clips were added or removed: means of the vectors, what random
// pairs score, and which clips are nearly the same. Until then searches use what the Finish
// before found.
func (l *Library) Finish(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	model, number := l.current()
	if number == 0 {
		return nil
	}
	pairs, err := l.findDuplicates(ctx)
	if err != nil {
		return err
	}
	means, scored, err := l.takeStock(ctx, number, &model)
	if err != nil {
		return err
	}
	null := make(map[direction]*Null)
	for _, from := range Modalities {
		for _, in := range Modalities {
			if n := nullOf(direction{from, in}, &scored.parts[from], &scored.parts[in]); n != nil {
				null[direction{from, in}] = n
			}
		}
	}
	return l.change(ctx, func(tx *sql.Tx) error {
		if err := writeDuplicates(ctx, tx, pairs); err != nil {
			return err
		}
		if err := writeStock(ctx, tx, number, &means, null); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE state SET finished = changes + 1")
		return err
	}, func() {
		l.null = null
		if model.Center {
			l.rows, l.means = *scored, means
		}
	})
}

// writeStock replaces the means and null distributions of a model.
func writeStock(ctx context.Context, tx *sql.Tx, number int64, means *[4][]float32,
	null map[direction]*Null) error {
	for _, t := range []string{"mean", "null_scores"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+t+" WHERE model = ?", number); err != nil {
			return err
		}
	}
	for _, m := range Modalities {
		if means[m] == nil {
			continue
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO mean (model, modality, value) VALUES (?, ?, ?)",
			number, m, encode(means[m])); err != nil {
			return err
		}
	}
	for _, n := range null {
		if _, err := tx.ExecContext(ctx, `INSERT INTO null_scores (model, query, searched, pairs, quantiles)
			VALUES (?, ?, ?, ?, ?)`, number, n.From, n.In, n.Pairs, encode(n.Quantiles)); err != nil {
			return err
		}
	}
	return nil
}

// takeStock returns the means of all vectors, and the rows as they are compared with these
// subtracted, if the model wants it. Of vectors on a server it takes a sample. The caller holds
// writing, so that nobody changes the rows.
func (l *Library) takeStock(ctx context.Context, number int64, model *Model) (means [4][]float32,
	scored *rows, err error) {
	server, err := l.server()
	if err != nil {
		return means, nil, err
	}
	if server != nil {
		scored, err = l.sample(ctx, server, model.Dims)
		return means, scored, err
	}
	scored = &l.rows
	if model.Center {
		raw, err := l.readRows(ctx, number, model, &[4][]float32{})
		if err != nil {
			return means, nil, err
		}
		scored = &raw
	}
	for _, m := range Modalities {
		means[m] = scored.parts[m].mean()
	}
	if model.Center {
		for _, m := range Modalities {
			scored.parts[m].centre(means[m])
		}
	}
	return means, scored, nil
}

// centre subtracts mean from all vectors and scales them to length 1 again.
func (m *matrix) centre(mean []float32) {
	v := make([]float32, m.dims)
	for row, has := range m.has {
		if !has {
			continue
		}
		m.get(row, v)
		if centre(v, mean) {
			m.set(row, v)
		} else {
			m.set(row, nil)
		}
	}
}

// mean returns the mean of the vectors, nil when there are none.
func (m *matrix) mean() []float32 {
	if m.count == 0 {
		return nil
	}
	mean := make([]float32, m.dims)
	for j := range mean {
		sum := 0.
		for _, b := range m.blocks { // rows without a vector are zero, and so is what is behind the last
			part := float64(0)
			for _, x := range b[j*blockRows:][:blockRows] {
				part += float64(x)
			}
			sum += part
		}
		mean[j] = float32(sum / float64(m.count))
	}
	return mean
}

// sample fetches the vectors of some clips from the server.
func (l *Library) sample(ctx context.Context, server Remote, dims int) (*rows, error) {
	l.mu.RLock()
	ids := append([]int64(nil), l.rows.ids...)
	l.mu.RUnlock()
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(len(ids), nullClips)]
	var byModality [4]map[int64][]float32
	for _, m := range Modalities {
		var err error
		if byModality[m], err = fetch(ctx, server, m, ids, dims); err != nil {
			return nil, err
		}
	}
	out := newRows(dims)
	for _, id := range ids {
		var v vectors
		for _, m := range Modalities {
			v[m] = byModality[m][id]
		}
		out.put(id, &v)
	}
	return &out, nil
}

// findDuplicates compares the signatures of all clips.
func (l *Library) findDuplicates(ctx context.Context) ([]Duplicate, error) {
	rows, err := l.db.QueryContext(ctx, "SELECT id, signature FROM clip ORDER BY id")
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	var ids []int64
	var signatures []neardup.Signature
	for rows.Next() {
		var id int64
		var text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, l.fault(err)
		}
		s, _ := neardup.Parse(text) // one of another version says nothing
		ids, signatures = append(ids, id), append(signatures, s)
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	pairs, err := neardup.Find(ctx, signatures)
	if err != nil {
		return nil, err
	}
	all := make([]Duplicate, len(pairs))
	for i, p := range pairs {
		all[i] = Duplicate{ids[p.A], ids[p.B], p.Picture, p.Sound}
	}
	return all, nil
}

// writeDuplicates replaces the pairs and the flag of the clips in them.
func writeDuplicates(ctx context.Context, tx *sql.Tx, pairs []Duplicate) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM duplicate")
	if err != nil {
		return err
	}
	for _, d := range pairs {
		// A clip may have been removed meanwhile.
		if _, err = tx.ExecContext(ctx, `INSERT INTO duplicate (clip, other, picture, sound)
			SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM clip WHERE id = ?1)
			AND EXISTS (SELECT 1 FROM clip WHERE id = ?2)`,
			d.Clip, d.Other, d.Picture, d.Sound); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE clip SET flags = flags & ~?1 | CASE WHEN
		id IN (SELECT clip FROM duplicate UNION SELECT other FROM duplicate) THEN ?1 ELSE 0 END
		WHERE flags & ?1 != 0 OR id IN (SELECT clip FROM duplicate UNION SELECT other FROM duplicate)`,
		int64(duplicate))
	return err
}

// Duplicates returns the pairs of clips that are nearly the same, as Finish found them; those
// of one clip, or all if id is 0.
func (l *Library) Duplicates(ctx context.Context, id int64) ([]Duplicate, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT clip, other, picture, sound FROM duplicate
		WHERE ?1 = 0 OR clip = ?1 OR other = ?1 ORDER BY clip, other`, id)
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	var all []Duplicate
	for rows.Next() {
		var d Duplicate
		if err := rows.Scan(&d.Clip, &d.Other, &d.Picture, &d.Sound); err != nil {
			return nil, l.fault(err)
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	return all, nil
}
