package main

import (
	"context"

	"avjepa/internal/dataset"
	"avjepa/internal/library"
	"avjepa/internal/media"
)

// What a glance at a clip takes of it.
const (
	stillSide     = 320 // short side at most, pixels
	glanceSeconds = 60  // of sound
)

// Still returns the middle frame of a clip: one that is stored, or one that ffmpeg seeks.
func (x *servedLibrary) Still(ctx context.Context, id string) ([]byte, error) {
	c, stored, err := x.glance(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case stored == nil:
		return x.tools.Still(ctx, c.Key, c.Seconds/2, media.DecodeConfig{ShortSide: stillSide,
			Limits: media.Limits{MaxSeconds: 600}})
	case len(stored.Frames) == 0:
		return nil, nil
	}
	return stored.Frames[len(stored.Frames)/2], nil
}

// Sound returns the sound of a clip, of a file its first minute.
func (x *servedLibrary) Sound(ctx context.Context, id string) ([]int16, int, error) {
	c, stored, err := x.glance(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if stored != nil {
		return stored.Samples, stored.SampleRateHz, nil
	}
	rate := dataset.DefaultIngestConfig().Settings.SampleRateHz
	if x.model != nil {
		rate = x.model.Info().RateHz
	}
	samples, err := x.tools.Sound(ctx, c.Key, glanceSeconds, rate, media.Limits{MaxSeconds: 600})
	return samples, rate, err
}

// glance returns a clip, and what is stored of one that is in a data set.
func (x *servedLibrary) glance(ctx context.Context, id string) (library.Clip, *dataset.Clip, error) {
	c, err := x.find(ctx, id)
	if err != nil || c.Data == "" {
		return c, nil, err
	}
	stored, err := x.stored(ctx, &c)
	return c, stored, err
}
