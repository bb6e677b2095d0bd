package library

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Entry is a clip with its vectors by the library's model: nil for a modality that the clip
// has not, of any length greater than zero else.
type Entry struct {
	Clip               Clip // Clip.ID and Added are set by Add
	Audio, Video, Both []float32
}

func (e *Entry) vectors() vectors { return vectors{Audio: e.Audio, Video: e.Video, Both: e.Both} }

// Add puts entries into the library, all or none of them, and sets their IDs. A clip with the
// same Data and Key is replaced: it keeps its ID, and vectors of other models are dropped if
// its content, or without hashes its size or time, has changed. What was left out under that
// name no longer is.
func (l *Library) Add(ctx context.Context, entries ...Entry) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	model, number := l.current()
	if number == 0 {
		return fmt.Errorf("library: %s: %w: UseModel comes first", l.dir, ErrNoModel)
	}
	server, err := l.server()
	if err != nil {
		return err
	}
	kept := make([]vectors, len(entries))
	for i := range entries {
		e := &entries[i]
		if err := e.Clip.check(); err != nil {
			return err
		}
		v := e.vectors()
		for _, m := range Modalities {
			if v[m] == nil {
				continue
			}
			var err error
			if kept[i][m], err = unit(v[m], model.Dims); err != nil {
				return fmt.Errorf("library: clip %.200q, %v: %w", e.Clip.Key, m, err)
			}
		}
	}
	now := time.Now()
	return l.change(ctx, func(tx *sql.Tx) error {
		do := prepared{tx: tx, made: make(map[string]*sql.Stmt)}
		for i := range entries {
			c := &entries[i].Clip
			c.Added = now
			if err := do.putClip(ctx, c); err != nil {
				return err
			}
			if err := do.putVectors(ctx, number, c.ID, &kept[i], server != nil); err != nil {
				return err
			}
		}
		return upsert(ctx, server, entries, kept)
	}, func() {
		for i := range entries {
			if server != nil {
				l.rows.put(entries[i].Clip.ID, standIns(kept[i].has()))
				continue
			}
			for _, m := range Modalities {
				if kept[i][m] != nil && !centre(kept[i][m], l.means[m]) {
					kept[i][m] = nil
				}
			}
			l.rows.put(entries[i].Clip.ID, &kept[i])
		}
	})
}

// has says which vectors there are.
func (v *vectors) has() (has [4]bool) {
	for m := range v {
		has[m] = v[m] != nil
	}
	return has
}

// upsert sends the vectors of entries to the server that keeps them, if one does. The clips
// are not committed yet: what a server took of clips that never are is overwritten when their
// IDs are given again, and until then is of clips that the library does not know.
func upsert(ctx context.Context, server Remote, entries []Entry, kept []vectors) error {
	if server == nil {
		return nil
	}
	var all []RemoteVector
	for i := range entries {
		for _, m := range Modalities {
			if kept[i][m] != nil {
				all = append(all, RemoteVector{entries[i].Clip.ID, m, kept[i][m]})
			}
		}
	}
	return server.Upsert(ctx, all)
}

// unit returns v with length 1.
func unit(v []float32, dims int) ([]float32, error) {
	if len(v) != dims {
		return nil, fmt.Errorf("a vector of %d numbers, the model's have %d", len(v), dims)
	}
	for i, x := range v {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("number %d of its vector is %v: the model is of no use", i, x)
		}
	}
	v = slices.Clone(v)
	if !normalise(v) {
		return nil, errors.New("a vector of length 0 has no direction")
	}
	return v, nil
}

// prepared are the statements of a transaction, each parsed once.
type prepared struct {
	tx   *sql.Tx
	made map[string]*sql.Stmt
}

func (p *prepared) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	s := p.made[query]
	if s != nil {
		return s, nil
	}
	s, err := p.tx.PrepareContext(ctx, query)
	if err == nil {
		p.made[query] = s
	}
	return s, err
}

func (p *prepared) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	s, err := p.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(ctx, args...)
}

// putClip inserts or replaces c, and sets its ID.
func (p *prepared) putClip(ctx context.Context, c *Clip) error {
	first := ""
	if len(c.Labels) > 0 {
		first = c.Labels[0]
	}
	var id, bytes, modified int64
	var hash string
	known, err := p.statement(ctx, "SELECT id, bytes, modified, hash FROM clip WHERE data = ? AND key = ?")
	if err != nil {
		return err
	}
	err = known.QueryRowContext(ctx, c.Data, c.Key).Scan(&id, &bytes, &modified, &hash)
	values := []any{c.Data, c.Key, c.Name(), first, c.Split, c.Seconds, c.Width, c.Height, int64(c.bits()),
		c.Bytes, nanos(c.Modified), c.Hash, c.Signature, c.Added.UnixNano()}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		var r sql.Result
		if r, err = p.exec(ctx, `INSERT INTO clip (data, key, name, label, split, seconds, width,
			height, flags, bytes, modified, hash, signature, added)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, values...); err != nil {
			return err
		}
		if id, err = r.LastInsertId(); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		same := c.Hash == hash
		if c.Hash == "" || hash == "" {
			same = c.Bytes == bytes && nanos(c.Modified) == modified
		}
		if !same {
			if _, err := p.exec(ctx, "DELETE FROM vectors WHERE clip = ?", id); err != nil {
				return err
			}
		}
		if _, err := p.exec(ctx, "DELETE FROM label WHERE clip = ?", id); err != nil {
			return err
		}
		if _, err := p.exec(ctx, `UPDATE clip SET data = ?, key = ?, name = ?, label = ?, split = ?,
			seconds = ?, width = ?, height = ?, flags = ?, bytes = ?, modified = ?, hash = ?, signature = ?,
			added = ? WHERE id = ?`, append(values, id)...); err != nil {
			return err
		}
	}
	c.ID = id
	for i, label := range c.Labels {
		if _, err := p.exec(ctx, "INSERT INTO label (clip, place, label) VALUES (?, ?, ?)",
			id, i, label); err != nil {
			return err
		}
	}
	_, err = p.exec(ctx, "DELETE FROM left_out WHERE data = ? AND key = ?", c.Data, c.Key)
	return err
}

// nanos is a time as the file keeps it: 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// ofNanos is the time that nanos wrote.
func ofNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// putVectors writes the vectors of a clip, or only that a server has them.
func (p *prepared) putVectors(ctx context.Context, model, id int64, v *vectors, remote bool) error {
	var blobs [4]any
	for _, m := range Modalities {
		switch {
		case v[m] == nil:
		case remote:
			blobs[m] = []byte{}
		default:
			blobs[m] = encode(v[m])
		}
	}
	_, err := p.exec(ctx, `INSERT INTO vectors (model, clip, audio, video, both)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT (model, clip) DO UPDATE
		SET audio = excluded.audio, video = excluded.video, both = excluded.both`,
		model, id, blobs[Audio], blobs[Video], blobs[Both])
	return err
}

// LeaveOut notes files that could not be kept. A clip of the same name is removed: its file
// has changed into one that is of no use.
func (l *Library) LeaveOut(ctx context.Context, files ...LeftOut) error {
	for i := range files {
		c := Clip{Data: files[i].Data, Key: files[i].Key}
		if err := c.check(); err != nil {
			return err
		}
		if len(files[i].Reason) > maxText {
			files[i].Reason = files[i].Reason[:maxText]
		}
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	now := time.Now()
	var gone []int64
	return l.change(ctx, func(tx *sql.Tx) error {
		for i := range files {
			f := &files[i]
			f.Added = now
			_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO left_out (data, key, outcome, reason,
				bytes, modified, added) VALUES (?, ?, ?, ?, ?, ?, ?)`, f.Data, f.Key, f.Outcome, f.Reason,
				f.Bytes, nanos(f.Modified), now.UnixNano())
			if err != nil {
				return err
			}
			var id int64
			err = tx.QueryRowContext(ctx, "DELETE FROM clip WHERE data = ? AND key = ? RETURNING id",
				f.Data, f.Key).Scan(&id)
			if err == nil {
				gone = append(gone, id)
			} else if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
		}
		return l.forget(ctx, gone)
	}, func() {
		for _, id := range gone {
			l.rows.drop(id)
		}
	})
}

// forget has the server remove the vectors of clips, if one keeps them.
func (l *Library) forget(ctx context.Context, ids []int64) error {
	server, err := l.server()
	if err != nil || server == nil || len(ids) == 0 {
		return err
	}
	return server.Delete(ctx, ids)
}

// Remove removes clips with all that is known of them. IDs of none are passed over.
func (l *Library) Remove(ctx context.Context, ids ...int64) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.change(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "DELETE FROM clip WHERE id = ?", id); err != nil {
				return err
			}
		}
		return l.forget(ctx, ids)
	}, func() {
		for _, id := range ids {
			l.rows.drop(id)
		}
	})
}

// ForgetLeftOut removes the notes about files of a data set, or of files if data is empty,
// that are no longer there: keep says which are.
func (l *Library) ForgetLeftOut(ctx context.Context, data string, keep func(key string) bool) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	all, err := l.LeftOut(ctx)
	if err != nil {
		return err
	}
	return l.change(ctx, func(tx *sql.Tx) error {
		for _, f := range all {
			if f.Data != data || keep(f.Key) {
				continue
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM left_out WHERE data = ? AND key = ?",
				f.Data, f.Key); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}
