package library

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// load reads the vectors of a model, of the one used last if id is empty.
func (l *Library) load(ctx context.Context, id string) error {
	version, err := l.dataVersion(ctx)
	if err != nil {
		return err
	}
	var number int64
	var about string
	err = l.db.QueryRowContext(ctx, `SELECT number, about FROM model WHERE ? IN (id, '')
		ORDER BY used DESC, number DESC LIMIT 1`, id).Scan(&number, &about)
	if errors.Is(err, sql.ErrNoRows) {
		if id != "" {
			return fmt.Errorf("library: %s: %w as %s: index with it first", l.dir, ErrNoModel, id)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rows, l.version = newRows(0), version
		return nil
	}
	if err != nil {
		return l.fault(err)
	}
	model, err := parseModel(about)
	if err != nil {
		return l.broken(err)
	}
	means, err := l.readMeans(ctx, number, model.Dims)
	if err != nil {
		return err
	}
	null, err := l.readNull(ctx, number)
	if err != nil {
		return err
	}
	if !model.Center {
		means = [4][]float32{}
	}
	rows, err := l.readRows(ctx, number, &model, &means)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.model, l.number, l.version, l.rows, l.means, l.null = model, number, version, rows, means, null
	return nil
}

// readRows reads the vectors of a model.
func (l *Library) readRows(ctx context.Context, number int64, m *Model, means *[4][]float32) (rows, error) {
	if m.Remote != "" {
		return l.readPresent(ctx, number)
	}
	out := newRows(m.Dims)
	q, err := l.db.QueryContext(ctx,
		"SELECT clip, audio, video, both FROM vectors WHERE model = ? ORDER BY clip", number)
	if err != nil {
		return out, l.fault(err)
	}
	defer q.Close()
	var room [4][]float32
	for i := range room {
		room[i] = make([]float32, m.Dims)
	}
	for q.Next() {
		var id int64
		var blobs [4]sql.RawBytes
		if err := q.Scan(&id, &blobs[Audio], &blobs[Video], &blobs[Both]); err != nil {
			return out, l.fault(err)
		}
		var v vectors
		for _, which := range Modalities {
			if len(blobs[which]) == 0 {
				continue
			}
			if err := decode(room[which], blobs[which]); err != nil {
				return out, l.broken(fmt.Errorf("clip %d, %v: %w", id, which, err))
			}
			if centre(room[which], means[which]) {
				v[which] = room[which]
			}
		}
		out.put(id, &v)
	}
	if err := q.Err(); err != nil {
		return out, l.fault(err)
	}
	return out, nil
}

// readPresent reads which vectors of a model there are, when a server has them.
func (l *Library) readPresent(ctx context.Context, number int64) (rows, error) {
	out := newRows(0)
	q, err := l.db.QueryContext(ctx, `SELECT clip, audio IS NOT NULL, video IS NOT NULL, both IS NOT NULL
		FROM vectors WHERE model = ? ORDER BY clip`, number)
	if err != nil {
		return out, l.fault(err)
	}
	defer q.Close()
	for q.Next() {
		var id int64
		var has [4]bool
		if err := q.Scan(&id, &has[Audio], &has[Video], &has[Both]); err != nil {
			return out, l.fault(err)
		}
		out.put(id, standIns(has))
	}
	if err := q.Err(); err != nil {
		return out, l.fault(err)
	}
	return out, nil
}

// standIns are vectors of no numbers: in memory they stand for those that a server has.
func standIns(has [4]bool) *vectors {
	var v vectors
	for _, m := range Modalities {
		if has[m] {
			v[m] = []float32{}
		}
	}
	return &v
}

// centre subtracts mean from v, if there is one, and scales it to length 1. It says no when
// nothing is left.
func centre(v, mean []float32) bool {
	for i, x := range mean {
		v[i] -= x
	}
	return normalise(v)
}

// encode returns v as it lies in the file.
func encode(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// decode sets v to what encode wrote.
func decode(v []float32, b []byte) error {
	if len(b) != 4*len(v) {
		return fmt.Errorf("a vector of %d bytes for %d numbers", len(b), len(v))
	}
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		if x := float64(v[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("number %d of a vector is %v", i, x)
		}
	}
	return nil
}
