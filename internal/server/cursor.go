package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// check fills defaults in and refuses what no library has to look at.
func (q *ClipQuery) check() error {
	if q.Sort == "" {
		q.Sort = sorts[0]
	}
	if !slices.Contains(sorts, q.Sort) {
		return badRequest("sort", "is none of "+strings.Join(sorts, ", "))
	}
	if q.Has != "" && !q.Has.valid() {
		return badRequest("has", "is none of audio, video, both")
	}
	for _, f := range []struct{ name, text string }{
		{"q", q.Text}, {"label", q.Label}, {"split", q.Split}, {"flag", q.Flag}} {
		if len(f.text) > 200 {
			return badRequest(f.name, "is longer than 200 bytes")
		}
		if !utf8.ValidString(f.text) || strings.ContainsRune(f.text, 0) {
			return badRequest(f.name, "is not text")
		}
	}
	return checkLimit(&q.Limit)
}

func checkLimit(limit *int) error {
	if *limit == 0 {
		*limit = defaultLimit
	}
	if *limit < 1 || *limit > maxLimit {
		return badRequest("limit", fmt.Sprintf("%d is outside 1…%d", *limit, maxLimit))
	}
	return nil
}

// cursor is what a client gives back to see the next page: it means nothing to it.
type cursor struct {
	Sort string `json:"s"`
	Key
}

func encodeCursor(sort string, k *Key) string {
	text, _ := json.Marshal(cursor{sort, *k})
	return base64.RawURLEncoding.EncodeToString(text)
}

// decodeCursor returns the key to go on after; nil for "". One that was made for
// another order, or by nobody here, is a problem.
func decodeCursor(sort, text string) (*Key, error) {
	if text == "" {
		return nil, nil
	}
	var c cursor
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(text) <= 4096 {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || c.ID == "" || c.Sort != sort {
		p := badRequest("cursor", "does not belong to this list")
		p.Status = http.StatusBadRequest
		return nil, p.withHint("begin again without a cursor")
	}
	return &c.Key, nil
}
