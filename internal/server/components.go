package server

import (
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"net/http"

	"avjepa/internal/durable"
	"avjepa/internal/media"
)

// componentClips are the clips whose pictures' tokens are shown in one basis.
const componentClips = 4

// Componenter is an Explainer that shows what the parts of pictures have in common. Called by
// one goroutine at a time, never while the model embeds.
type Componenter interface {
	// Components draws the principal components of the tokens of several media, which all have
	// a picture, in one basis, with their names.
	Components(ctx context.Context, of []*Medium, names []string, dark bool) (image.Image, error)
}

// alike returns a clip and up to three others that it is compared with: of its first label,
// or, when it has none, those that look most like it.
func (s *Server) alike(ctx context.Context, c *Clip) ([]Clip, error) {
	all := []Clip{*c}
	add := func(o Clip) {
		if o.ID != c.ID && o.HasVideo && len(all) < componentClips {
			all = append(all, o)
		}
	}
	if len(c.Labels) > 0 {
		page, err := s.Clips(ctx, ClipQuery{Label: c.Labels[0], Has: Video, Limit: componentClips})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Items {
			add(o)
		}
		return all, nil
	}
	found, err := s.Search(ctx, SearchRequest{Clip: c.ID, From: Video, To: Video, Limit: componentClips})
	if err != nil {
		return nil, err
	}
	for _, h := range found.Items {
		add(h.Clip)
	}
	return all, nil
}

// getComponents serves the sheet of a clip and those like it.
func (s *Server) getComponents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "v", "theme"); err != nil {
		return err
	}
	theme := q.Get("theme")
	if theme != "" && theme != "light" && theme != "dark" {
		return badRequest("theme", "is light or dark")
	}
	model, err := s.model()
	if err != nil {
		return err
	}
	explainer, ok := s.loaded().Explainer.(Componenter)
	if !ok {
		return problem(http.StatusServiceUnavailable, "no-explainer", "this model's tokens cannot be shown")
	}
	x, err := s.subjectOf(r.Context(), Ref{Clip: r.PathValue("id")})
	if err != nil {
		return err
	}
	if !x.info.HasVideo {
		return problem(http.StatusNotFound, "no-video", "it has no picture")
	}
	all, err := s.alike(r.Context(), x.clip)
	if err != nil {
		return err
	}
	of := []string{model.Info().ID, theme}
	for _, o := range all {
		of = append(of, o.ID, o.Hash)
	}
	f, etag, err := s.previews.open(r.Context(), previewKey("components.png", of...), ".png",
		func(ctx context.Context, path string) error {
			return s.writeComponents(ctx, explainer, all, theme == "dark", path)
		})
	if err != nil {
		return asProblem(err, "clip", x.info.ID)
	}
	defer f.Close()
	serveFile(w, r, f, "image/png", etag, q.Get("v"))
	return nil
}

// writeComponents writes the sheet of clips. The first must be readable, of the others those
// that are.
func (s *Server) writeComponents(ctx context.Context, e Componenter, all []Clip, dark bool,
	path string) error {

	var of []*Medium
	var names []string
	for i, o := range all {
		m, err := s.openClip(ctx, &o)
		if err == nil && len(m.Windows) == 0 {
			err = &media.FileError{Outcome: media.TooShort, Reason: "shorter than the model's window"}
		}
		switch {
		case err == nil:
			of, names = append(of, m), append(names, o.Name)
		case i == 0 || ctx.Err() != nil:
			var broken *media.FileError
			if errors.As(err, &broken) {
				return outcomeProblem(broken.Outcome, &s.cfg.Limits)
			}
			return err
		}
	}
	var img image.Image
	err := s.executor.do(ctx, func(ctx context.Context) (err error) {
		img, err = e.Components(ctx, of, names, dark)
		return err
	})
	if err != nil {
		return err
	}
	return durable.WriteFile(path, func(w io.Writer) error {
		return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, img)
	})
}

// ShowsComponents reports whether the components of pictures can be shown.
func (s *Server) ShowsComponents() bool {
	_, ok := s.loaded().Explainer.(Componenter)
	return ok
}
