package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"avjepa/internal/server"
)

// pairsShown are the pairs on a page: each has two players.
const pairsShown = 12

// pair is two clips beside each other: what tells them apart, and what does not.
type pair struct {
	A, B     server.Clip
	MediaA   playable
	MediaB   playable
	Facts    []fact
	Compared string // how alike they are, in a sentence
}

// fact is a line of the table of a pair.
type fact struct {
	Name, A, B string
	Differ     bool
}

func pairOf(p server.Pair) pair {
	a, b := p.Clips[0], p.Clips[1]
	out := pair{A: a, B: b, MediaA: mediaOf(a), MediaB: mediaOf(b)}
	var parts []string
	if a.HasVideo && b.HasVideo {
		parts = append(parts, "pictures differ in "+percent(100*p.Picture))
	}
	if a.HasAudio && b.HasAudio {
		parts = append(parts, "sounds in "+percent(100*p.Sound))
	}
	if len(parts) == 1 {
		parts[0] = strings.Replace(parts[0], "sounds in", "sounds differ in", 1)
	}
	if len(parts) > 0 {
		text := strings.Join(parts, ", ")
		out.Compared = strings.ToUpper(text[:1]) + text[1:] + " of what was compared."
	}
	for _, f := range []struct {
		name string
		of   func(c *server.Clip) string
	}{
		{"Name", func(c *server.Clip) string { return c.Name }},
		{"From", func(c *server.Clip) string { return c.Source }},
		{"Size", func(c *server.Clip) string {
			if c.Bytes == 0 {
				return ""
			}
			return size(c.Bytes) + " (" + grouped(c.Bytes) + " B)"
		}},
		{"Content", func(c *server.Clip) string { return c.Hash[:min(12, len(c.Hash))] }},
		{"Length", func(c *server.Clip) string { return fmt.Sprintf("%.2f s", c.Seconds) }},
		{"Picture", func(c *server.Clip) string {
			if !c.HasVideo {
				return "none"
			}
			return fmt.Sprintf("%d × %d", c.Width, c.Height)
		}},
		{"Sound", func(c *server.Clip) string {
			if !c.HasAudio {
				return "none"
			}
			return "yes"
		}},
		{"Labels", func(c *server.Clip) string { return strings.Join(c.Labels, ", ") }},
		{"Split", func(c *server.Clip) string { return c.Split }},
		{"Added", func(c *server.Clip) string { return date(c.Added) }},
	} {
		x := fact{Name: f.name, A: f.of(&a), B: f.of(&b)}
		if x.Differ = x.A != x.B; x.A == "" && x.B == "" {
			continue
		}
		for _, cell := range []*string{&x.A, &x.B} {
			if *cell == "" {
				*cell = "–"
			}
		}
		out.Facts = append(out.Facts, x)
	}
	return out
}

// duplicates shows pairs of clips that are nearly the same.
func (s *Site) duplicates(w http.ResponseWriter, r *http.Request) error {
	in := r.URL.Query()
	page, err := s.src.Duplicates(r.Context(), in.Get("clip"), pairsShown, in.Get("cursor"))
	if err != nil {
		return err
	}
	body := struct {
		Pairs []pair
		Total int
		Clip  string
		Next  string
	}{Total: page.Total, Clip: in.Get("clip")}
	for _, p := range page.Items {
		body.Pairs = append(body.Pairs, pairOf(p))
	}
	if page.Next != "" {
		next := url.Values{"cursor": {page.Next}}
		if body.Clip != "" {
			next.Set("clip", body.Clip)
		}
		body.Next = "/library/duplicates?" + next.Encode()
	}
	return s.show(w, r, http.StatusOK, "duplicates", "Duplicates", body)
}
