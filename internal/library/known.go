package library

import (
	"context"
	"database/sql"
	"time"
)

// Source names a clip, or a file that was left out.
type Source struct{ Data, Key string }

// Known is what tells whether a source has changed.
type Known struct {
	ID       int64 // 0 when it was left out
	Bytes    int64
	Modified time.Time
	Hash     string
	Embedded bool // there are vectors of the model
	LeftOut  bool
}

// Known returns all clips and what was left out: some 200 bytes each.
func (l *Library) Known(ctx context.Context) (map[Source]Known, error) {
	_, number := l.current()
	rows, err := l.db.QueryContext(ctx, `SELECT id, data, key, bytes, modified, hash,
		EXISTS (SELECT 1 FROM vectors WHERE model = ? AND clip = id), 0 FROM clip
		UNION ALL SELECT 0, data, key, bytes, modified, '', 0, 1 FROM left_out`, number)
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	all := make(map[Source]Known)
	for rows.Next() {
		var s Source
		var k Known
		var modified int64
		if err := rows.Scan(&k.ID, &s.Data, &s.Key, &k.Bytes, &modified, &k.Hash, &k.Embedded, &k.LeftOut); err != nil {
			return nil, l.fault(err)
		}
		k.Modified = ofNanos(modified)
		all[s] = k
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	return all, nil
}

// Touch notes that a clip's file has another time, and the same content.
func (l *Library) Touch(ctx context.Context, id int64, modified time.Time) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE clip SET modified = ? WHERE id = ?", nanos(modified), id)
		return err
	}, nil)
}
