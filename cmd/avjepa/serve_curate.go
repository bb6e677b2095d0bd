package main

import (
	"context"
	"errors"

	"avjepa/internal/library"
	"avjepa/internal/server"
)

// Duplicates returns pairs of clips that are nearly the same, as the library's last stock
// has them.
func (x *servedLibrary) Duplicates(ctx context.Context, id string, skip, limit int) (
	out []server.Pair, total int, err error) {

	var of int64 // all
	if id != "" {
		c, err := x.find(ctx, id)
		if err != nil {
			return nil, 0, err
		}
		of = c.ID
	}
	err = x.use(ctx, func(l *library.Library) error {
		pairs, err := l.Duplicates(ctx, of)
		if err != nil {
			return err
		}
		total = len(pairs)
		skip = min(skip, total)
		for _, p := range pairs[skip:min(total, skip+limit)] {
			pair := server.Pair{Picture: p.Picture, Sound: p.Sound}
			for i, id := range []int64{p.Clip, p.Other} {
				c, err := l.Clip(ctx, id)
				if errors.Is(err, library.ErrNoClip) {
					break // it went away in this moment
				}
				if err != nil {
					return err
				}
				pair.Clips[i] = x.clip(ctx, l, &c)
			}
			if pair.Clips[1].ID != "" {
				out = append(out, pair)
			}
		}
		return nil
	})
	return out, total, err
}

// LeftOut returns all files that are no clips.
func (x *servedLibrary) LeftOut(ctx context.Context) (out []server.LeftOut, err error) {
	err = x.use(ctx, func(l *library.Library) error {
		files, err := l.LeftOut(ctx)
		for _, f := range files {
			out = append(out, server.LeftOut{Path: f.Key, Outcome: f.Outcome, Reason: f.Reason})
		}
		return err
	})
	return out, err
}
