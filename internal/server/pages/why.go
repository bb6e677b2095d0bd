package pages

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"avjepa/internal/server"
)

// why shows where the model looks: in the picture of one medium by the sound of
// another. Both are named as c:ID, a clip, or q:ID, a kept query.
func (s *Site) why(w http.ResponseWriter, r *http.Request) error {
	in := r.URL.Query()
	start, err := strconv.ParseFloat(in.Get("start"), 64)
	if err != nil || !(start >= 0 && start < 1e5) {
		start = 0
	}
	body := struct {
		Sound, Picture         playable
		SoundRef, PictureRef   string
		SoundClip, PictureClip string
		Start                  float64
		Back                   string
	}{Start: start, SoundRef: refOf(in.Get("sound")), PictureRef: refOf(in.Get("picture"))}
	if body.Sound, body.SoundClip, err = s.named(r.Context(), body.SoundRef); err != nil {
		return err
	}
	if body.Picture, body.PictureClip, err = s.named(r.Context(), body.PictureRef); err != nil {
		return err
	}
	if q := queryOf(body.SoundRef, body.PictureRef); q != "" {
		body.Back = "/search/q/" + url.PathEscape(q)
	}
	return s.show(w, r, http.StatusOK, "why", "Why", body)
}

// refOf lets a bare id stand for a clip.
func refOf(ref string) string {
	if strings.HasPrefix(ref, "c:") || strings.HasPrefix(ref, "q:") {
		return ref
	}
	return "c:" + ref
}

// queryOf returns the kept query among two names, "" for none.
func queryOf(refs ...string) string {
	for _, ref := range refs {
		if id, ok := strings.CutPrefix(ref, "q:"); ok {
			return id
		}
	}
	return ""
}

// named returns what a name stands for, and the id if it is a clip.
func (s *Site) named(ctx context.Context, ref string) (playable, string, error) {
	kind, id, _ := strings.Cut(ref, ":")
	if kind == "q" {
		q, err := s.src.Query(ctx, id)
		if err != nil {
			return playable{}, "", err
		}
		return playableOf("/v1/queries/"+url.PathEscape(id), q.Name, q.Seconds, q.HasVideo,
			q.HasAudio, 0, 0), "", nil
	}
	c, err := s.src.Clip(ctx, id)
	if err != nil {
		return playable{}, "", err
	}
	return mediaOf(c), id, nil
}

func (s *Site) mapPage(w http.ResponseWriter, r *http.Request) error {
	space := server.Modality(r.URL.Query().Get("space"))
	if space == "" {
		space = server.Both
	}
	body := struct {
		Space, SpaceName, Clip, Missing string
		Spaces                          []option
	}{Space: string(space), Clip: r.URL.Query().Get("clip"),
		Spaces: options(string(space), "both", "sound and picture", "audio", "sound",
			"video", "picture")}
	for _, o := range body.Spaces {
		if o.On {
			body.SpaceName = o.Name
		}
	}
	if _, err := s.src.Map(r.Context(), space); err != nil {
		body.Missing = detail(err) + "."
	}
	return s.show(w, r, http.StatusOK, "map", "Map", body)
}
