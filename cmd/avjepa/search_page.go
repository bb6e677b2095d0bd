package main

import (
	"context"
	_ "embed" // search.html
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/durable"
	"avjepa/internal/library"
	"avjepa/internal/media"
)

//go:embed search.html
var searchHTML string

var searchTemplate = template.Must(template.New("search").Parse(searchHTML))

// pageHit is a hit with its picture.
type pageHit struct {
	foundHit
	Rank    int
	Line    bool // the chance line comes before it
	Picture template.URL
}

// thumbSide is the short side of a page's pictures.
const thumbSide = 180

// writeSearchPage writes what was found as one HTML file. A clip without a picture, or whose
// file is no longer there, has none on the page.
func writeSearchPage(ctx context.Context, path string, f *found, clips []library.Clip, query string,
	p *progress) error {

	tools, err := media.Find()
	if err != nil {
		return err
	}
	show := thumbs{tools: tools, sets: make(map[string]*dataset.Set), p: p}
	page := struct {
		*found
		Hits    []pageHit
		Line    string
		Picture template.URL
	}{found: f, Line: chanceLine}
	if query != "" {
		page.Picture = show.of(ctx, &library.Clip{Key: query, HasVideo: true})
	}
	for i, h := range f.Hits {
		page.Hits = append(page.Hits, pageHit{h, i + 1, h.Chance && (i == 0 || !f.Hits[i-1].Chance),
			show.of(ctx, &clips[i])})
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return durable.WriteFile(path, func(w io.Writer) error { return searchTemplate.Execute(w, page) })
}

// thumbs makes pictures of clips.
type thumbs struct {
	tools media.Tools
	sets  map[string]*dataset.Set
	p     *progress
}

// of returns the frame in the middle of a clip as a data URL, "" when there is none.
func (t *thumbs) of(ctx context.Context, c *library.Clip) template.URL {
	if !c.HasVideo {
		return ""
	}
	var frame []byte
	if c.Data != "" {
		frame = t.stored(ctx, c)
	} else {
		path, start, end := c.Part()
		frame = t.file(ctx, path, media.Segment{Start: start, End: end})
	}
	if frame == nil {
		return ""
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(frame))
}

func (t *thumbs) stored(ctx context.Context, c *library.Clip) []byte {
	set, ok := t.sets[c.Data]
	if !ok {
		set, _ = openSet(ctx, c.Data, t.p) // nil: no pictures of that set
		t.sets[c.Data] = set
	}
	if set == nil {
		return nil
	}
	one := set.Where(func(f *dataset.Info) bool { return f.Key == c.Key })
	var clip dataset.Clip
	if one.Len() != 1 || one.Read(ctx, 0, &clip) != nil || len(clip.Frames) == 0 {
		return nil
	}
	return clip.Frames[len(clip.Frames)/2]
}

// file decodes a part of a file in small, once a second.
func (t *thumbs) file(ctx context.Context, path string, part media.Segment) []byte {
	def := dataset.DefaultIngestConfig().Settings
	cfg := media.DecodeConfig{ShortSide: thumbSide, FPS: 1, SampleRateHz: def.SampleRateHz,
		JPEGQuality: def.JPEGQuality, SilenceDB: def.SilenceDB}
	cfg.Limits.Timeout = 30 * time.Second
	var frame []byte
	err := t.tools.Decode(ctx, path, cfg, []media.Segment{part}, func(_ int, c *media.Clip) error {
		if n := len(c.Frames); n > 0 {
			frame = c.Frames[n/2]
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return nil
	}
	return frame
}

// secondsOf is a number of seconds as a duration.
func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
