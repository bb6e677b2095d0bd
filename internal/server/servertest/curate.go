package servertest

import (
	"context"

	"avjepa/internal/server"
)

// Duplicates returns the pairs of the clips that are flagged.
func (l *Library) Duplicates(_ context.Context, id string, skip, limit int) ([]server.Pair, int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := map[string]server.Clip{}
	for _, c := range l.clips {
		at[c.ID] = c
	}
	var all []server.Pair
	for _, c := range l.clips {
		for _, f := range c.Flags {
			if f.Of != "" && (id == "" || id == c.ID || id == f.Of) {
				all = append(all, server.Pair{Clips: [2]server.Clip{at[f.Of], c}, Picture: .015})
			}
		}
	}
	skip = min(skip, len(all))
	return all[skip:min(len(all), skip+limit)], len(all), nil
}

// LeftOut returns files whose names would do something in a spreadsheet.
func (l *Library) LeftOut(context.Context) ([]server.LeftOut, error) {
	return []server.LeftOut{{Path: "videos/broken.mp4", Outcome: "corrupt", Reason: "not a container"},
		{Path: `=HYPERLINK("x"),"y".mp4`, Outcome: "empty", Reason: "-1+1"}}, nil
}
