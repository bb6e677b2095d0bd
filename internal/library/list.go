package library

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Filter chooses clips; the zero Filter all of them.
type Filter struct {
	Text  string // in the name or a label, in any case of letters
	Label string
	Split string
	Data  string // location of a data set

	// With and Without are flags, all of which a clip must have, none of which it may.
	With, Without []string
}

// Sort is an order of clips, equal ones by ID.
type Sort string

// The orders.
const (
	ByAdded   Sort = "" // by ID: as they came
	ByName    Sort = "name"
	ByLabel   Sort = "label" // the first of each
	BySeconds Sort = "seconds"
)

// Page says which clips of a list.
type Page struct {
	Sort       Sort
	Descending bool
	Cursor     string // Next of the page before; empty for the first
	Limit      int    // 0 means 50; at most 1000
}

// List is a page of clips.
type List struct {
	Clips []Clip
	Next  string // Cursor of the next page, empty after the last one
}

// ErrCursor is the error for a cursor that no page of the same order gave.
var ErrCursor = errors.New("library: the cursor is of no page of this order: start at the first one")

const (
	usualLimit = 50
	mostLimit  = 1000
)

// cursor is the place behind a clip in an order.
type cursor struct {
	Sort  Sort  `json:"s,omitempty"`
	Down  bool  `json:"d,omitempty"`
	Value any   `json:"v,omitempty"`
	ID    int64 `json:"i"`
}

// columns are those of a clip as scanClip reads them.
const columns = `clip.id, clip.data, clip.key, clip.split, clip.seconds, clip.width, clip.height,
	clip.flags, clip.bytes, clip.modified, clip.hash, clip.signature, clip.added`

func scanClip(scan func(...any) error) (Clip, error) {
	var c Clip
	var bits, modified, added int64
	err := scan(&c.ID, &c.Data, &c.Key, &c.Split, &c.Seconds, &c.Width, &c.Height, &bits, &c.Bytes,
		&modified, &c.Hash, &c.Signature, &added)
	c.setBits(flags(bits))
	c.Modified, c.Added = ofNanos(modified), ofNanos(added)
	return c, err
}

// where is the condition of a filter with its arguments.
func (f *Filter) where() (string, []any, error) {
	cond, args := []string{"1"}, []any{}
	add := func(c string, a ...any) { cond, args = append(cond, c), append(args, a...) }
	if f.Text != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(f.Text) + "%"
		add(`(clip.name LIKE ? ESCAPE '\' OR EXISTS (SELECT 1 FROM label
			WHERE label.clip = clip.id AND label.label LIKE ? ESCAPE '\'))`, like, like)
	}
	if f.Label != "" {
		add("EXISTS (SELECT 1 FROM label WHERE label.clip = clip.id AND label.label = ?)", f.Label)
	}
	if f.Split != "" {
		add("clip.split = ?", f.Split)
	}
	if f.Data != "" {
		add("clip.data = ?", f.Data)
	}
	for i, names := range [][]string{f.With, f.Without} {
		for _, name := range names {
			bit, set, err := flagBit(name)
			if err != nil {
				return "", nil, err
			}
			if i == 1 {
				set = !set
			}
			if set {
				add("clip.flags & ? != 0", int64(bit))
			} else {
				add("clip.flags & ? = 0", int64(bit))
			}
		}
	}
	return strings.Join(cond, " AND "), args, nil
}

// flagBit returns the bit of a flag, and whether it is set in clips that have the flag.
func flagBit(name string) (flags, bool, error) {
	switch name {
	case FlagSilent:
		return silent, true, nil
	case FlagStill:
		return still, true, nil
	case FlagDuplicate:
		return duplicate, true, nil
	case FlagNoAudio:
		return hasAudio, false, nil
	case FlagNoVideo:
		return hasVideo, false, nil
	}
	return 0, false, fmt.Errorf("library: flag %q is none of %s, %s, %s, %s, %s", name, FlagSilent,
		FlagStill, FlagDuplicate, FlagNoAudio, FlagNoVideo)
}

// Clips returns a page of the clips that a filter chooses. Pages do not overlap and miss none,
// even while clips come and go. It returns ErrCursor for a cursor of another order.
func (l *Library) Clips(ctx context.Context, f Filter, p Page) (List, error) {
	where, args, err := f.where()
	if err != nil {
		return List{}, err
	}
	limit := min(p.Limit, mostLimit)
	if limit < 1 {
		limit = usualLimit
	}
	by := map[Sort]string{ByAdded: "clip.id", ByName: "clip.name", ByLabel: "clip.label",
		BySeconds: "clip.seconds"}[p.Sort]
	if by == "" {
		return List{}, fmt.Errorf("library: order %q is none of name, label, seconds", p.Sort)
	}
	dir, than := "ASC", ">"
	if p.Descending {
		dir, than = "DESC", "<"
	}
	if p.Cursor != "" {
		at, err := parseCursor(p)
		if err != nil {
			return List{}, err
		}
		if p.Sort == ByAdded {
			where += " AND clip.id " + than + " ?"
		} else {
			where += " AND (" + by + ", clip.id) " + than + " (?, ?)"
			args = append(args, at.Value)
		}
		args = append(args, at.ID)
	}
	order := by + " " + dir
	if p.Sort != ByAdded {
		order += ", clip.id " + dir
	}
	rows, err := l.db.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM clip WHERE %s ORDER BY %s LIMIT %d",
		columns, where, order, limit+1), args...)
	if err != nil {
		return List{}, l.fault(err)
	}
	defer rows.Close()
	var out List
	for rows.Next() {
		c, err := scanClip(rows.Scan)
		if err != nil {
			return List{}, l.fault(err)
		}
		out.Clips = append(out.Clips, c)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return List{}, l.fault(err)
	}
	if err := l.readLabels(ctx, out.Clips); err != nil {
		return List{}, err
	}
	if len(out.Clips) > limit {
		out.Clips = out.Clips[:limit]
		out.Next = p.after(&out.Clips[limit-1])
	}
	return out, nil
}

// after returns the cursor behind a clip.
func (p *Page) after(c *Clip) string {
	at := cursor{Sort: p.Sort, Down: p.Descending, ID: c.ID}
	switch p.Sort {
	case ByName:
		at.Value = c.Name()
	case ByLabel:
		at.Value = ""
		if len(c.Labels) > 0 {
			at.Value = c.Labels[0]
		}
	case BySeconds:
		at.Value = c.Seconds
	}
	text, _ := json.Marshal(at) // strings and numbers
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(p Page) (cursor, error) {
	var at cursor
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || json.Unmarshal(text, &at) != nil || at.Sort != p.Sort || at.Down != p.Descending {
		return at, ErrCursor
	}
	number, text2 := false, false
	switch at.Value.(type) {
	case float64:
		number = true
	case string, nil: // an empty string is left away
		text2 = true
		if at.Value == nil {
			at.Value = ""
		}
	}
	if p.Sort == BySeconds && !number || (p.Sort == ByName || p.Sort == ByLabel) && !text2 {
		return at, ErrCursor
	}
	return at, nil
}

// readLabels sets the labels of clips.
func (l *Library) readLabels(ctx context.Context, clips []Clip) error {
	at := make(map[int64]*Clip, len(clips))
	ids := make([]byte, 0, 8*len(clips)+2)
	for i := range clips {
		at[clips[i].ID] = &clips[i]
	}
	ids = append(ids, '[')
	for i := range clips {
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = fmt.Append(ids, clips[i].ID)
	}
	ids = append(ids, ']')
	rows, err := l.db.QueryContext(ctx, `SELECT clip, label FROM label
		WHERE clip IN (SELECT value FROM json_each(?)) ORDER BY clip, place`, string(ids))
	if err != nil {
		return l.fault(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var label string
		if err := rows.Scan(&id, &label); err != nil {
			return l.fault(err)
		}
		if c := at[id]; c != nil {
			c.Labels = append(c.Labels, label)
		}
	}
	if err := rows.Err(); err != nil {
		return l.fault(err)
	}
	return nil
}

// FirstLabels returns the first label of clips, by their IDs; one without labels is not among
// them.
func (l *Library) FirstLabels(ctx context.Context, ids []int64) (map[int64]string, error) {
	found := map[int64]string{}
	for some := range slices.Chunk(ids, 4096) {
		list, err := json.Marshal(some)
		if err != nil {
			return nil, fmt.Errorf("library: %w", err)
		}
		rows, err := l.db.QueryContext(ctx,
			"SELECT id, label FROM clip WHERE id IN (SELECT value FROM json_each(?)) AND label != ''", string(list))
		if err != nil {
			return nil, l.fault(err)
		}
		for rows.Next() {
			var id int64
			var label string
			if err := rows.Scan(&id, &label); err != nil {
				rows.Close()
				return nil, l.fault(err)
			}
			found[id] = label
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, l.fault(err)
		}
	}
	return found, nil
}

// Clip returns the clip of an ID. It returns ErrNoClip when there is none.
func (l *Library) Clip(ctx context.Context, id int64) (Clip, error) {
	return l.one(ctx, fmt.Sprint(id), "clip.id = ?", id)
}

// Find returns the clip of a data set, or file if data is empty, with a key. It returns
// ErrNoClip when there is none.
func (l *Library) Find(ctx context.Context, data, key string) (Clip, error) {
	return l.one(ctx, key, "clip.data = ? AND clip.key = ?", data, key)
}

func (l *Library) one(ctx context.Context, name, where string, args ...any) (Clip, error) {
	c, err := scanClip(l.db.QueryRowContext(ctx, "SELECT "+columns+" FROM clip WHERE "+where, args...).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("library: %w as %.200s in %s", ErrNoClip, name, l.dir)
	}
	if err != nil {
		return c, l.fault(err)
	}
	one := []Clip{c}
	err = l.readLabels(ctx, one)
	return one[0], err
}

// LeftOut returns what was left out, by location and key.
func (l *Library) LeftOut(ctx context.Context) ([]LeftOut, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT data, key, outcome, reason, bytes, modified, added
		FROM left_out ORDER BY data, key`)
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	var all []LeftOut
	for rows.Next() {
		var f LeftOut
		var modified, added int64
		if err := rows.Scan(&f.Data, &f.Key, &f.Outcome, &f.Reason, &f.Bytes, &modified, &added); err != nil {
			return nil, l.fault(err)
		}
		f.Modified, f.Added = ofNanos(modified), ofNanos(added)
		all = append(all, f)
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	return all, nil
}
