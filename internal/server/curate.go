package server

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
)

// curator returns the library as one that tells what is odd; nil: it does not.
func (s *Server) curator() (Curator, error) {
	lib, err := s.library()
	if err != nil {
		return nil, err
	}
	c, _ := lib.(Curator)
	return c, nil
}

// pairsSort is what the cursors of pairs are for.
const pairsSort = "pairs"

// Duplicates returns a page of the pairs of clips that are nearly the same; of one clip
// when an id is given.
func (s *Server) Duplicates(ctx context.Context, id string, limit int, cursor string) (PairPage, error) {
	page := PairPage{Items: []Pair{}}
	c, err := s.curator()
	if err != nil {
		return page, err
	}
	if err := checkLimit(&limit); err != nil {
		return page, err
	}
	after, err := decodeCursor(pairsSort, cursor)
	if err != nil {
		return page, err
	}
	skip := 0
	if after != nil {
		if skip, err = strconv.Atoi(after.ID); err != nil || skip < 0 {
			return page, badRequest("cursor", "does not belong to this list")
		}
	}
	if id != "" {
		if _, err := s.Clip(ctx, id); err != nil {
			return page, err
		}
	}
	if c == nil {
		return page, nil
	}
	pairs, total, err := c.Duplicates(ctx, id, skip, limit)
	if err != nil {
		return page, asProblem(err, "clip", id)
	}
	page.Items, page.Total = append(page.Items, pairs...), total
	if next := skip + limit; next < total && len(pairs) > 0 {
		page.Next = encodeCursor(pairsSort, &Key{ID: strconv.Itoa(next)})
	}
	return page, nil
}

func (s *Server) getDuplicates(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "clip", "limit", "cursor"); err != nil {
		return err
	}
	limit, err := number(q, "limit")
	if err != nil {
		return err
	}
	page, err := s.Duplicates(r.Context(), q.Get("clip"), limit, q.Get("cursor"))
	if err != nil {
		return err
	}
	linkNext(w, r, page.Next)
	return writeJSON(w, http.StatusOK, page)
}

// getFlagsCSV sends a line for every flag of every clip.
func (s *Server) getFlagsCSV(w http.ResponseWriter, r *http.Request) error {
	if err := known(r.URL.Query()); err != nil {
		return err
	}
	q := ClipQuery{Flag: "any", Sort: "oldest", Limit: maxLimit}
	page, err := s.Clips(r.Context(), q) // before anything is sent: a problem is none any more then
	if err != nil {
		return err
	}
	out := sheet(w, "flags.csv", "clip", "name", "flag", "detail", "of", "labels", "duration_seconds", "source")
	for {
		for _, c := range page.Items {
			for _, f := range c.Flags {
				out(c.ID, c.Name, f.Name, f.Detail, f.Of, strings.Join(c.Labels, "; "),
					strconv.FormatFloat(c.Seconds, 'f', 3, 64), c.Source)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
		if page, err = s.Clips(r.Context(), q); err != nil {
			return err // the answer is cut off: it is not whole
		}
	}
}

// getLeftOutCSV sends a line for every file that did not become a clip.
func (s *Server) getLeftOutCSV(w http.ResponseWriter, r *http.Request) error {
	if err := known(r.URL.Query()); err != nil {
		return err
	}
	c, err := s.curator()
	if err != nil {
		return err
	}
	var files []LeftOut
	if c != nil {
		files, err = c.LeftOut(r.Context())
	} else {
		var info LibraryInfo
		info, err = s.Library(r.Context())
		files = info.LeftOut
	}
	if err != nil {
		return asProblem(err, "library", "")
	}
	out := sheet(w, "left-out.csv", "file", "outcome", "reason")
	for _, f := range files {
		out(f.Path, f.Outcome, f.Reason)
	}
	return nil
}

// sheet begins an answer that browsers keep as a CSV file; what it returns writes a line.
func sheet(w http.ResponseWriter, name string, head ...string) func(cells ...string) {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-cache")
	out := csv.NewWriter(w)
	out.UseCRLF = true
	write := func(cells ...string) {
		for i, c := range cells {
			cells[i] = harmless(c)
		}
		_ = out.Write(cells)
		out.Flush() // a client that has gone away ends the request's context
	}
	write(head...)
	return write
}

// harmless returns a cell that no spreadsheet takes for a formula: names of files and
// labels come from anywhere. What would begin one gets an apostrophe before it.
func harmless(cell string) string {
	cell = strings.ReplaceAll(strings.ToValidUTF8(cell, "\uFFFD"), "\x00", "\uFFFD")
	first := strings.TrimLeft(cell, " \u00a0\u3000")
	if strings.HasPrefix(cell, "'") || first != "" && strings.ContainsAny(first[:1], "=+-@\t\r\n") ||
		strings.ContainsAny(firstRune(first), "＝＋－＠") {
		return "'" + cell
	}
	return cell
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
