package main

import (
	"context"
	"errors"
	"time"

	"avjepa/internal/library"
	"avjepa/internal/server"
)

// orders are the library's orders by the names of the API.
var orders = map[string]library.Page{
	"newest": {Sort: library.ByAdded, Descending: true}, "oldest": {Sort: library.ByAdded},
	"name":    {Sort: library.ByName},
	"longest": {Sort: library.BySeconds, Descending: true}, "shortest": {Sort: library.BySeconds},
}

// List returns a page of clips. What the library cannot select itself is left out here.
func (x *servedLibrary) List(ctx context.Context, q server.ClipQuery, after *server.Key) (
	clips []server.Clip, next *server.Key, total int, err error) {

	page := orders[q.Sort]
	page.Limit = q.Limit
	if after != nil {
		page.Cursor = after.Value
	}
	filters, err := filtersOf(&q)
	if err != nil {
		return nil, nil, 0, err
	}
	err = x.use(ctx, func(l *library.Library) error {
		for {
			list, err := l.Clips(ctx, filters[0], page)
			if err != nil {
				return err
			}
			for i := range list.Clips {
				c := &list.Clips[i]
				if q.Flag == anyFlag && len(c.Flags()) == 0 {
					continue
				}
				clips = append(clips, x.clip(ctx, l, c))
			}
			if page.Cursor = list.Next; page.Cursor == "" || len(clips) >= q.Limit || len(filters) == 0 {
				break
			}
			if q.Flag == anyFlag { // one more page, but no more clips than were asked for
				page.Limit = max(1, q.Limit-len(clips))
			}
		}
		sel, err := x.selected(ctx, l, &q)
		if err == nil {
			total = sel.count
		}
		return err
	})
	if errors.Is(err, library.ErrCursor) {
		return nil, nil, 0, &server.Problem{Type: "/docs/errors#bad-request", Title: "Bad request", Status: 400,
			Code: "bad-request", Detail: "cursor: does not belong to this list",
			Hint: "begin again without a cursor"}
	}
	if page.Cursor != "" {
		next = &server.Key{Value: page.Cursor, ID: "page"}
	}
	return clips, next, total, err
}

// anyFlag selects clips with some flag.
const anyFlag = "any"

// filtersOf translates a selection.
func filtersOf(q *server.ClipQuery) ([]library.Filter, error) {
	f := library.Filter{Text: q.Text, Label: q.Label, Split: q.Split}
	switch q.Has {
	case server.Audio:
		f.Without = []string{library.FlagNoAudio}
	case server.Video:
		f.Without = []string{library.FlagNoVideo}
	case server.Both:
		f.Without = []string{library.FlagNoAudio, library.FlagNoVideo}
	}
	if q.Flag != "" && q.Flag != anyFlag {
		known := false
		for _, t := range flagTexts {
			known = known || t.name == q.Flag
		}
		if !known {
			return nil, &server.Problem{Type: "/docs/errors#bad-request", Title: "Bad request", Status: 400,
				Code: "bad-request", Detail: "flag: no clip can have this flag",
				Errors: []server.FieldFlaw{{Pointer: "flag", Detail: "is none of those that clips have"}}}
		}
		f.With = []string{q.Flag}
	}
	return []library.Filter{f}, nil
}

// selection is what a filter selects: nil ids stand for all clips.
type selection struct {
	ids   map[int64]bool
	count int
	made  time.Time
}

// Bounds of selections that are kept.
const (
	selectionAge   = 10 * time.Second
	maxSelections  = 16
	maxSelectedIDs = 1 << 20
)

// selected returns what a filter selects, which may be some seconds old.
func (x *servedLibrary) selected(ctx context.Context, l *library.Library, q *server.ClipQuery) (
	*selection, error) {

	key := server.ClipQuery{Text: q.Text, Label: q.Label, Split: q.Split, Has: q.Has, Flag: q.Flag}
	if key == (server.ClipQuery{}) {
		s, err := x.stats(ctx, l)
		return &selection{count: s.Clips}, err
	}
	x.chosen.Lock()
	defer x.chosen.Unlock()
	if s := x.picks[key]; s != nil && time.Since(s.made) < selectionAge {
		return s, nil
	}
	filters, err := filtersOf(q)
	if err != nil {
		return nil, err
	}
	s := &selection{ids: map[int64]bool{}, made: time.Now()}
	for page := (library.Page{Limit: 1000}); ; {
		list, err := l.Clips(ctx, filters[0], page)
		if err != nil {
			return nil, err
		}
		for i := range list.Clips {
			if q.Flag != anyFlag || len(list.Clips[i].Flags()) > 0 {
				s.ids[list.Clips[i].ID] = true
			}
		}
		if page.Cursor = list.Next; page.Cursor == "" || len(s.ids) >= maxSelectedIDs {
			break
		}
	}
	s.count = len(s.ids)
	if len(x.picks) >= maxSelections {
		clear(x.picks)
	}
	x.picks[key] = s
	return s, nil
}
