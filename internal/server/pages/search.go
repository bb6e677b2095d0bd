package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"time"
	"unicode"
	"unicode/utf8"

	"avjepa/internal/server"
)

// direction returns what of the query is compared with what of the clips; empty for
// "", which is chosen by what the query has.
func direction(find string) (from, to server.Modality) {
	switch find {
	case "look":
		return server.Audio, server.Video
	case "sound":
		return server.Video, server.Audio
	case "both":
		return server.Both, server.Both
	}
	return "", ""
}

// findOf is the way back, for what the server chose.
func findOf(from, to server.Modality) string {
	switch {
	case from == server.Audio && to == server.Video:
		return "look"
	case from == server.Video && to == server.Audio:
		return "sound"
	}
	return "both"
}

// headings say in words what was looked for.
var headings = map[string]string{"look": "Clips that look like this sounds",
	"sound": "Clips that sound like this looks", "both": "Clips that are alike in both"}

// detail returns what an error says to people, as a sentence without its stop.
func detail(err error) string {
	var p *server.Problem
	if !errors.As(err, &p) {
		return "Something went wrong"
	}
	return sentence(cmp.Or(p.Detail, p.Title))
}

// sentence makes the first letter a capital.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

func (s *Site) search(w http.ResponseWriter, r *http.Request) error {
	if id := r.URL.Query().Get("clip"); id != "" {
		return s.found(w, r, server.SearchRequest{Clip: id})
	}
	return s.searchPage(w, r, http.StatusOK, nil)
}

// searchPage shows the first page, with a problem of the upload before.
func (s *Site) searchPage(w http.ResponseWriter, r *http.Request, status int, p *server.Problem) error {
	limits := s.src.Config().Limits
	body := struct {
		Problem    *server.Problem
		MaxBytes   int64
		MaxSeconds float64
		Find       string
		Labels     []server.Count
		Cards      []card
		Clips      int
	}{Problem: p, MaxBytes: limits.UploadBytes, MaxSeconds: limits.MediaSeconds,
		Find: r.URL.Query().Get("find")}
	info, err := s.src.Library(r.Context())
	if err != nil || info.Clips == 0 {
		return s.startPage(w, r, status, startBody{Problem: p})
	}
	body.Labels, body.Clips = info.Labels, info.Clips
	list, err := s.src.Clips(r.Context(), server.ClipQuery{Limit: 8})
	if err != nil {
		return err
	}
	body.Cards = cards(list.Items)
	return s.show(w, r, status, "search", "Search", body)
}

// upload takes the form of a browser without script, and sends it on to the results.
func (s *Site) upload(w http.ResponseWriter, r *http.Request) error {
	var in url.Values
	found, err := s.src.SearchForm(w, r, func(fields url.Values, q *server.SearchRequest) {
		in = fields
		q.From, q.To = direction(fields.Get("find"))
	})
	if err != nil {
		var p *server.Problem
		if errors.As(err, &p) && p.Status < 500 {
			return s.searchPage(w, r, p.Status, p)
		}
		return err
	}
	to := url.Values{}
	for _, name := range []string{"find", "label"} {
		if in.Get(name) != "" {
			to.Set(name, in.Get(name))
		}
	}
	address := "/search/q/" + url.PathEscape(found.Query.ID)
	if len(to) > 0 {
		address += "?" + to.Encode()
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

func (s *Site) results(w http.ResponseWriter, r *http.Request) error {
	return s.found(w, r, server.SearchRequest{Query: r.PathValue("id")})
}

// clipRef and queryRef name a query in the address of the overlay.
func clipRef(id string) string  { return "c:" + id }
func queryRef(id string) string { return "q:" + id }

// hits returns the cards of what was found; ref names the query.
func (s *Site) hits(found *server.SearchResult, ref string) []card {
	var list []card
	for _, h := range found.Items {
		c := card{Clip: h.Clip, Media: mediaOf(h.Clip), Rank: h.Rank, Score: h.Score,
			Percentile: h.Percentile, Known: found.Chance.Known}
		if s.canExplain() {
			c.Why = whyAddress(found, ref, h.Clip)
		}
		list = append(list, c)
	}
	return list
}

// whyAddress returns the overlay of a query and a clip that was found, "" when one
// lacks what the other is compared with.
func whyAddress(found *server.SearchResult, ref string, c server.Clip) string {
	v := url.Values{}
	q := found.Query
	switch {
	case findOf(found.From, found.To) == "sound" && q.HasVideo && c.HasAudio:
		v.Set("sound", clipRef(c.ID))
		v.Set("picture", ref)
	case q.HasAudio && c.HasVideo:
		v.Set("sound", ref)
		v.Set("picture", clipRef(c.ID))
	case q.HasVideo && c.HasAudio:
		v.Set("sound", clipRef(c.ID))
		v.Set("picture", ref)
	default:
		return ""
	}
	return "/why?" + v.Encode()
}

// found shows the results of a query.
func (s *Site) found(w http.ResponseWriter, r *http.Request, q server.SearchRequest) error {
	in := r.URL.Query()
	q.From, q.To = direction(in.Get("find"))
	q.Filter.Label = in.Get("label")
	q.Cursor, q.Limit = in.Get("cursor"), 24
	found, err := s.src.Search(r.Context(), q)
	if err != nil {
		return err
	}
	find := findOf(found.From, found.To)
	body := struct {
		Heading      string
		Query        playable
		Expires      string
		Cut          string
		Path, Clip   string
		Find         string
		Shown        string
		Compared     int
		Milliseconds float64
		Known        bool
		Above        int
		Line         float64
		Good, Weak   []card
		Next         string
		Stale        string
	}{Heading: headings[find], Find: find, Compared: found.Clips, Path: r.URL.Path, Clip: q.Clip,
		Milliseconds: found.Seconds * 1000, Known: found.Chance.Known, Line: found.Chance.Score}
	ref := clipRef(q.Clip)
	if q.Clip != "" {
		c, err := s.src.Clip(r.Context(), q.Clip)
		if err != nil {
			return err
		}
		body.Query = mediaOf(c)
	} else {
		ref = queryRef(q.Query)
		body.Query = playableOf("/v1/queries/"+url.PathEscape(q.Query), found.Query.Name,
			found.Query.Seconds, found.Query.HasVideo, found.Query.HasAudio, 0, 0)
		if !found.Query.Expires.IsZero() {
			body.Expires = found.Query.Expires.In(time.Local).Format("15:04")
		}
	}
	for _, c := range s.hits(found, ref) {
		if !found.Chance.Known || aboveChance(found, c.Clip.ID) {
			body.Good = append(body.Good, c)
		} else {
			body.Weak = append(body.Weak, c)
		}
	}
	body.Above = len(body.Good)
	body.Shown = grouped(int64(len(found.Items)))
	if n := len(found.Items); n > 0 && found.Items[0].Rank > 1 {
		body.Shown = grouped(int64(found.Items[0].Rank)) + "–" + grouped(int64(found.Items[n-1].Rank))
	}
	if m, ok := s.src.Model(); ok && found.Model != "" && m.ID != found.Model {
		body.Stale = found.Model
	}
	if found.Next != "" {
		in.Set("cursor", found.Next)
		body.Next = r.URL.Path + "?" + in.Encode()
	}
	return s.show(w, r, http.StatusOK, "results", body.Heading, body)
}

func aboveChance(found *server.SearchResult, id string) bool {
	for _, h := range found.Items {
		if h.Clip.ID == id {
			return h.AboveChance
		}
	}
	return false
}
