package library

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Stats say what is in a library.
type Stats struct {
	Clips      int
	Seconds    float64
	Audio      int // clips that have a sound, be it silent
	Video      int
	Flags      map[string]int
	Outcomes   map[string]int // of what was left out
	LeftOut    int
	Duplicates int   // pairs
	Bytes      int64 // of the file

	Embedded [4]int // clips with a vector of the model, by Modality
	Stale    bool   // clips were added or removed since Finish, or it has not run
	Memory   int64  // bytes that the vectors take
}

// Count is a label or split, and the clips with it.
type Count struct {
	Name  string
	Clips int
}

// Stats returns what is in the library.
func (l *Library) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Flags: map[string]int{}, Outcomes: map[string]int{}}
	var n [5]int
	err := l.db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(seconds), 0),
		count(*) FILTER (WHERE flags & ? != 0), count(*) FILTER (WHERE flags & ? != 0),
		count(*) FILTER (WHERE flags & ? != 0), count(*) FILTER (WHERE flags & ? != 0),
		count(*) FILTER (WHERE flags & ? != 0), (SELECT count(*) FROM duplicate),
		(SELECT changes != finished FROM state) FROM clip`,
		int64(hasAudio), int64(hasVideo), int64(silent), int64(still), int64(duplicate)).
		Scan(&s.Clips, &s.Seconds, &n[0], &n[1], &n[2], &n[3], &n[4], &s.Duplicates, &s.Stale)
	if err != nil {
		return s, l.fault(err)
	}
	s.Audio, s.Video = n[0], n[1]
	for name, count := range map[string]int{FlagSilent: n[2], FlagStill: n[3], FlagDuplicate: n[4],
		FlagNoAudio: s.Clips - n[0], FlagNoVideo: s.Clips - n[1]} {
		if count > 0 {
			s.Flags[name] = count
		}
	}
	outcomes, err := l.counts(ctx, "SELECT outcome, count(*) FROM left_out GROUP BY outcome")
	if err != nil {
		return s, err
	}
	for _, o := range outcomes {
		s.Outcomes[o.Name] = o.Clips
		s.LeftOut += o.Clips
	}
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(filepath.Join(l.dir, fileName+suffix)); err == nil {
			s.Bytes += info.Size()
		}
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, m := range Modalities {
		p := &l.rows.parts[m]
		s.Embedded[m] = p.count
		s.Memory += int64(len(p.blocks)) * blockRows * int64(p.dims) * 4
	}
	return s, nil
}

// Labels returns the labels that clips have, the most frequent first.
func (l *Library) Labels(ctx context.Context) ([]Count, error) {
	return l.counts(ctx, "SELECT label, count(*) FROM label GROUP BY label ORDER BY count(*) DESC, label")
}

// Splits returns the splits that clips are in, by name.
func (l *Library) Splits(ctx context.Context) ([]Count, error) {
	return l.counts(ctx, "SELECT split, count(*) FROM clip GROUP BY split ORDER BY split")
}

func (l *Library) counts(ctx context.Context, query string) ([]Count, error) {
	rows, err := l.db.QueryContext(ctx, query)
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	var all []Count
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.Name, &c.Clips); err != nil {
			return nil, l.fault(err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	return all, nil
}

// String says how much is there.
func (s *Stats) String() string {
	return fmt.Sprintf("%d clips, %.1f h, left out: %d", s.Clips, s.Seconds/3600, s.LeftOut)
}
