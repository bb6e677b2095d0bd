package library

import (
	"context"
	"database/sql"
	"slices"
)

// mendClips is how many clips Mend looks at: those that came last.
const mendClips = 256

// Mend has the server that keeps the vectors search for those of the clips that were added last.
// One that was killed may have them and no longer find them, or have lost them. The first are
// sent again; of the second the library forgets that they were there, so that their clips count as
// not embedded. It returns the number of clips of both kinds; without a server it does nothing.
func (l *Library) Mend(ctx context.Context) (mended int, err error) {
	server, err := l.server()
	if err != nil || server == nil {
		return 0, err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	model, number := l.current()
	ids, err := l.latest(ctx, mendClips)
	if err != nil {
		return 0, err
	}
	var found [4]map[int64][]float32
	var lost, unfound []int64
	for _, m := range Modalities {
		var there []int64
		for _, id := range ids {
			if l.present(m, id) {
				there = append(there, id)
			}
		}
		if found[m], err = fetch(ctx, server, m, there, model.Dims); err != nil {
			return 0, err
		}
		for _, id := range there {
			v := found[m][id]
			if v == nil {
				lost = append(lost, id)
				continue
			}
			ok, err := finds(ctx, server, m, id, v)
			if err != nil {
				return 0, err
			}
			if !ok {
				unfound = append(unfound, id)
			}
		}
	}
	if err := l.sendAgain(ctx, server, distinct(unfound), &found); err != nil {
		return 0, err
	}
	if err := l.unembed(ctx, number, distinct(lost)); err != nil {
		return 0, err
	}
	return len(distinct(append(lost, unfound...))), nil
}

func distinct(ids []int64) []int64 {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// finds says whether a server finds a clip by its own vector, or others that are the same.
func finds(ctx context.Context, server Remote, m Modality, id int64, v []float32) (bool, error) {
	const k, same = 3, 1 - 1e-5
	hits, err := server.Search(ctx, m, v, k)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(hits, func(h Scored) bool { return h.Clip == id }) ||
		len(hits) == k && hits[k-1].Score >= same, nil
}

// latest returns the clips that were added last.
func (l *Library) latest(ctx context.Context, most int) ([]int64, error) {
	rows, err := l.db.QueryContext(ctx, "SELECT id FROM clip ORDER BY added DESC, id DESC LIMIT ?", most)
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, l.fault(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	return ids, nil
}

// sendAgain removes the vectors of clips from the server and sets them anew: set over old ones
// that are the same they would stay as they are.
func (l *Library) sendAgain(ctx context.Context, server Remote, ids []int64, found *[4]map[int64][]float32) error {
	if len(ids) == 0 {
		return nil
	}
	var all []RemoteVector
	for _, id := range ids {
		for _, m := range Modalities {
			if v := found[m][id]; v != nil {
				all = append(all, RemoteVector{id, m, v})
			}
		}
	}
	if err := server.Delete(ctx, ids); err != nil {
		return err
	}
	return server.Upsert(ctx, all)
}

// unembed forgets that clips have vectors of a model. The caller holds writing.
func (l *Library) unembed(ctx context.Context, model int64, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return l.change(ctx, func(tx *sql.Tx) error {
		for _, id := range ids {
			if _, err := tx.ExecContext(ctx, "DELETE FROM vectors WHERE model = ? AND clip = ?", model, id); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		for _, id := range ids {
			l.rows.drop(id)
		}
	})
}
