package main

import (
	"context"
	"errors"
	"fmt"

	"avjepa/internal/dataset"
	"avjepa/internal/encoder"
	"avjepa/internal/indexing"
	"avjepa/internal/jpeg"
	"avjepa/internal/library"
	"avjepa/internal/media"
	"avjepa/internal/server"
	"avjepa/internal/tensor"
)

// Open decodes a clip as the model sees it, or without a model as it is stored.
func (x *servedLibrary) Open(ctx context.Context, id string) (*server.Medium, error) {
	c, err := x.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Data == "" {
		limits := media.Limits{MaxSeconds: 600}
		path, start, end := c.Part()
		part := media.Segment{Start: start, End: end}
		if x.model != nil {
			return x.model.readPart(ctx, path, part, limits)
		}
		return x.decode(ctx, path, part, limits)
	}
	stored, err := x.stored(ctx, &c)
	if err != nil {
		return nil, err
	}
	if x.model == nil {
		return plainMedium(&encoder.Clip{Outcome: media.Outcome(outcomeOf(&c)), Seconds: stored.Seconds,
			HasVideo: stored.HasVideo(), HasAudio: stored.HasAudio(), Frames: stored.Frames, FPS: stored.FPS,
			Samples: stored.Samples}), nil
	}
	clip, err := x.model.x.ReadStored(stored, *x.model.read.Load())
	if err != nil {
		return nil, err
	}
	return x.model.medium(clip), nil
}

// decode decodes a part of a file as ingest would.
func (x *servedLibrary) decode(ctx context.Context, path string, part media.Segment, limits media.Limits) (
	*server.Medium, error) {

	def := dataset.DefaultIngestConfig().Settings
	cfg := media.DecodeConfig{ShortSide: def.ShortSide, FPS: def.FPS, SampleRateHz: def.SampleRateHz,
		MinSeconds: def.MinSeconds, JPEGQuality: def.JPEGQuality, SilenceDB: def.SilenceDB, Limits: limits}
	var out *server.Medium
	var broken error
	err := x.tools.Decode(ctx, path, cfg, []media.Segment{part}, func(_ int, m *media.Clip) error {
		if !m.Outcome.HasClip() {
			broken = &media.FileError{Outcome: m.Outcome, Reason: m.Reason}
			return nil
		}
		out = plainMedium(&encoder.Clip{Outcome: m.Outcome, Seconds: m.Seconds, HasVideo: m.HasVideo,
			HasAudio: m.HasAudio, Frames: m.Frames, FPS: m.FPS, Samples: m.Samples})
		return nil
	})
	if err == nil {
		err = broken
	}
	return out, err
}

// plainMedium is a clip that no model has looked at.
func plainMedium(c *encoder.Clip) *server.Medium {
	out := &server.Medium{Outcome: c.Outcome, Seconds: c.Seconds, HasVideo: c.HasVideo, HasAudio: c.HasAudio,
		Frames: c.Frames, FPS: c.FPS, Samples: c.Samples,
		RateHz: dataset.DefaultIngestConfig().Settings.SampleRateHz}
	if len(c.Frames) > 0 {
		out.Width, out.Height, _ = jpeg.Size(c.Frames[0])
	}
	return out
}

// stored reads a clip of a data set.
func (x *servedLibrary) stored(ctx context.Context, c *library.Clip) (*dataset.Clip, error) {
	s, err := x.set(ctx, c.Data)
	if err != nil {
		return nil, err
	}
	at, ok := s.at[c.Key]
	if !ok {
		return nil, &media.FileError{Outcome: media.Missing, Reason: "no longer in its data set"}
	}
	var out dataset.Clip
	if err = s.set.Read(ctx, at, &out); errors.Is(err, dataset.ErrCorrupt) {
		err = &media.FileError{Outcome: media.Corrupt, Reason: err.Error()}
	}
	return &out, err
}

// set opens a data set once.
func (x *servedLibrary) set(ctx context.Context, location string) (*servedSet, error) {
	x.sets.Lock()
	defer x.sets.Unlock()
	if s := x.opened[location]; s != nil {
		return s, nil
	}
	set, err := openSet(context.WithoutCancel(ctx), location, mute())
	if err != nil {
		return nil, fmt.Errorf("data set of a clip: %w", err)
	}
	s := &servedSet{set: set, at: make(map[string]int, set.Len())}
	for i := range set.Len() {
		s.at[set.Key(i)] = i
	}
	x.opened[location] = s
	return s, nil
}

// File returns where a clip's own file is.
func (x *servedLibrary) File(ctx context.Context, id string) (*server.Source, error) {
	c, err := x.find(ctx, id)
	if err != nil || c.Data != "" {
		return nil, err
	}
	path, start, end := c.Part()
	return &server.Source{Path: path, Start: start, End: end}, nil
}

// Index takes the files of a folder into the library, which is made if it is not there.
func (x *servedLibrary) Index(ctx context.Context, folder string, e server.Embedder,
	report func(server.Progress)) (out server.IndexResult, err error) {

	if x.model == nil {
		return out, errors.New("no model is loaded")
	}
	report(server.Progress{Stage: "look through the folder", Unit: "clips"})
	items, err := indexing.Files([]string{folder})
	if err != nil {
		return out, &server.Problem{Type: "/docs/errors#no-media", Title: "No media", Status: 422,
			Code: "no-media", Detail: "there are no videos, sounds or pictures in the folder"}
	}
	emb := indexing.Embedding{Encoder: x.model.x, Tools: x.tools, Read: *x.model.read.Load(),
		Name: x.kind(), Embed: sharedEmbed(x.model, e)}
	model, err := x.sameModel(ctx, emb.ModelOf())
	if err != nil {
		return out, err
	}
	l, err := x.openToIndex(ctx, &model)
	if err != nil {
		return out, x.vectorsAway(err)
	}
	sum, err := indexing.Run(ctx, indexing.Config{Library: l, Embedding: emb, Items: items,
		Progress: func(p indexing.Progress) {
			report(server.Progress{Stage: "read and embed", Done: int64(p.Done), Total: int64(p.Items),
				Unit: "clips"})
		}})
	out = server.IndexResult{Added: sum.Added, Unchanged: sum.Unchanged, LeftOut: sum.LeftOut}
	l.Close()
	// What was finished is to be seen, however it ended.
	if e := x.open(context.WithoutCancel(ctx)); err == nil {
		err = e
	}
	return out, x.vectorsAway(err)
}

// sameModel returns a model with what the library says of it besides: where its vectors are and
// how they are compared. An index that does not ask leaves that as it is.
func (x *servedLibrary) sameModel(ctx context.Context, m library.Model) (library.Model, error) {
	err := x.use(ctx, func(l *library.Library) error {
		models, err := l.Models(ctx)
		for _, k := range models {
			if k.ID == m.ID && k.Dims == m.Dims {
				m.Remote, m.Center, m.Set = k.Remote, k.Center, k.Set
			}
		}
		return err
	})
	return m, err
}

// openToIndex opens the library for writing, or makes it, with a model in use and the server that
// is to have its vectors.
func (x *servedLibrary) openToIndex(ctx context.Context, m *library.Model) (*library.Library, error) {
	vectors, o, err := openVectors(ctx, m, servedRemote)
	if err != nil {
		return nil, err
	}
	l, err := library.Open(ctx, x.dir, o)
	if errors.Is(err, library.ErrNotLibrary) {
		l, err = library.Create(ctx, x.dir, o)
	}
	if err != nil {
		return nil, err
	}
	if err = useModel(ctx, l, m, vectors); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// kind is that of the library's vectors.
func (x *servedLibrary) kind() string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	kind := ""
	if x.l != nil {
		about, _ := x.l.Model()
		kind = about.Embedding
	}
	return x.model.kindOr(kind)
}

// sharedEmbed has the server, which owns the model, embed for an indexing.
func sharedEmbed(m *servedModel, e server.Embedder) func(context.Context, []encoder.Window,
	encoder.Modality) (encoder.Vectors, error) {

	return func(ctx context.Context, windows []encoder.Window, of encoder.Modality) (encoder.Vectors, error) {
		in := make([]server.Window, len(windows))
		for i, w := range windows {
			in[i] = server.Window{Start: w.Start.Seconds(), Video: w.Video, Audio: w.Audio}
		}
		rows, err := e.Embed(ctx, in, server.Modality(of.String()))
		if err != nil {
			return encoder.Vectors{}, err
		}
		d, k := m.x.Dims()
		var cls, projected, patches []float32
		for _, r := range rows {
			cls, projected, patches = append(cls, r.CLS...), append(projected, r.Projected...),
				append(patches, r.Patches...)
		}
		return encoder.Vectors{CLS: tensor.From(cls, len(rows), d),
			Projected: tensor.From(projected, len(rows), k), Patches: tensor.From(patches, len(rows), d)}, nil
	}
}
