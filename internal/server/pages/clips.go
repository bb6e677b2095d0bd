package pages

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"avjepa/internal/server"
)

// playable is what the player shows: a clip of the library or a kept query.
type playable struct {
	Name               string
	Film, Sound        string // addresses
	Thumb, Mel         string
	Seconds            float64
	HasVideo, HasAudio bool
	Width, Height      int // of the frames; they keep the page from jumping
	Frames             string
}

// playableOf returns the addresses below base, "/v1/clips/ID" or "/v1/queries/ID".
func playableOf(base, name string, seconds float64, video, audio bool, w, h int) playable {
	if w < 1 || h < 1 {
		w, h = 320, 180
	}
	return playable{Name: name, Film: base + "/preview.mp4", Sound: base + "/audio.m4a",
		Thumb: base + "/thumb.jpg", Mel: base + "/mel.png", Seconds: seconds, HasVideo: video,
		HasAudio: audio, Width: w, Height: h}
}

func clipBase(id string) string { return "/v1/clips/" + url.PathEscape(id) }

func mediaOf(c server.Clip) playable {
	return playableOf(clipBase(c.ID), c.Name, c.Seconds, c.HasVideo, c.HasAudio, c.Width, c.Height)
}

// card is a clip in a grid; Rank is 0 where it was not found by a search.
type card struct {
	Clip       server.Clip
	Media      playable
	Rank       int
	Score      float64
	Percentile float64
	Known      bool   // Percentile says something
	Why        string // address of the overlay, "" for none
}

func cards(clips []server.Clip) []card {
	var out []card
	for _, c := range clips {
		out = append(out, card{Clip: c, Media: mediaOf(c)})
	}
	return out
}

// option is an entry of a select element.
type option struct {
	Value, Name string
	On          bool
}

func options(chosen string, pairs ...string) []option {
	var out []option
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, option{pairs[i], pairs[i+1], pairs[i] == chosen})
	}
	return out
}

// flagMeans explains each flag in a sentence.
var flagMeans = map[string]string{
	"silent":         "The sound is there, but it is nothing.",
	"quiet":          "Nearly all of the sound is nothing.",
	"no audio":       "The file has a picture alone.",
	"no picture":     "The file has sound alone.",
	"late start":     "The sound begins after the picture.",
	"ends early":     "The sound ends before the picture.",
	"too short":      "The clip is shorter than the model's window.",
	"still":          "All frames are the same picture.",
	"low motion":     "Hardly anything moves.",
	"corrupt":        "A part of the file could not be decoded.",
	"duplicate":      "Another clip is nearly the same.",
	"odd one out":    "The clip is far from every neighbour.",
	"audio mismatch": "Sound and picture fit no better than those of random pairs.",
}

func (s *Site) library(w http.ResponseWriter, r *http.Request) error {
	info, err := s.src.Library(r.Context())
	if err != nil {
		return err
	}
	in := r.URL.Query()
	q := server.ClipQuery{Text: in.Get("text"), Label: in.Get("label"), Split: in.Get("split"),
		Has: server.Modality(in.Get("has")), Flag: in.Get("flag"), Sort: in.Get("sort"), Limit: 48,
		Cursor: in.Get("cursor")}
	clips, err := s.src.Clips(r.Context(), q)
	if err != nil {
		return err
	}
	flagged := 0
	for _, f := range info.Flags {
		flagged += f.Clips
	}
	body := struct {
		Info       server.LibraryInfo
		Query      server.ClipQuery
		Has, Sorts []option
		Cards      []card
		Total      int
		Flagged    int
		FlagMeans  string
		Next       string
		Duplicates bool
	}{Info: info, Query: q, Cards: cards(clips.Items), Total: clips.Total, Flagged: flagged,
		FlagMeans:  flagMeans[q.Flag],
		Duplicates: slices.ContainsFunc(info.Flags, func(f server.Count) bool { return f.Name == "duplicate" }),
		Has: options(string(q.Has), "", "anything", "audio", "sound", "video", "picture",
			"both", "both"),
		Sorts: options(q.Sort, "newest", "newest", "oldest", "oldest", "name", "name",
			"longest", "longest", "shortest", "shortest")}
	if clips.Next != "" {
		in.Set("cursor", clips.Next)
		body.Next = "/library?" + in.Encode()
	}
	return s.show(w, r, http.StatusOK, "library", "Library", body)
}

// near is a section of a clip's page: its neighbours by one direction.
type near struct {
	Title, None string
	Cards       []card
}

func (s *Site) clip(w http.ResponseWriter, r *http.Request) error {
	c, err := s.src.Clip(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	body := struct {
		Clip       server.Clip
		Media      playable
		Frames     string
		CanExplain bool
		Components bool
		Near       []near
	}{Clip: c, Media: mediaOf(c), CanExplain: s.canExplain(),
		Components: c.HasVideo && s.src.ShowsComponents()}
	for _, f := range []struct {
		title, find string
		ok          bool
	}{
		{"Clips that look like this sounds", "look", c.HasAudio},
		{"Clips that sound like this looks", "sound", c.HasVideo},
		{"Clips that are alike in both", "both", c.HasAudio && c.HasVideo},
	} {
		if !f.ok {
			continue
		}
		n := near{Title: f.title}
		n.Cards, n.None = s.neighbours(r.Context(), c, f.find)
		body.Near = append(body.Near, n)
	}
	return s.show(w, r, http.StatusOK, "clip", c.Name, body)
}

// neighbours returns the first clips of a search from c; the text says why there
// are none.
func (s *Site) neighbours(ctx context.Context, c server.Clip, find string) ([]card, string) {
	from, to := direction(find)
	found, err := s.src.Search(ctx, server.SearchRequest{Clip: c.ID, From: from, To: to, Limit: 4})
	if err != nil {
		return nil, detail(err) + "."
	}
	list := s.hits(found, clipRef(c.ID))
	if len(list) == 0 {
		return nil, "No other clip can be compared."
	}
	return list, ""
}

// canExplain says whether the server can tell where a model looks.
func (s *Site) canExplain() bool { return s.src.Explains() }
