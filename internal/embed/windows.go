package embed

import (
	"context"
	"errors"

	"avjepa/internal/loader"
)

// Made is the evaluation windows of a clip, or why there are none.
type Made struct {
	Clip  int       // of the set
	Video []byte    // (Windows, T, S, S, 3); none where views have no picture
	Audio []float32 // (Windows, F, M); none where views have no sound
	Err   error
}

// Windows makes the windows of clips lo to hi−1 with as many workers as cfg says,
// ahead of take, which gets them in the order of the clips. What take is given is
// valid until it returns; its error ends the work and is returned.
func Windows(ctx context.Context, clips *loader.Clips, cfg Config, lo, hi int,
	take func(m Made) error) error {
	if lo >= hi {
		return nil
	}
	if cfg.Windows < 1 || cfg.Views < cfg.Windows {
		return errors.New("embed: a clip has one window or more, and at most as many as run at once")
	}
	v := clips.Maker.Config()
	r := &runner{clips: clips, cfg: cfg, videoN: v.VideoElems(), melN: v.AudioElems()}
	ahead := r.readAhead(ctx, lo, hi)
	defer ahead.close()
	for range hi - lo {
		m := ahead.next()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := take(Made{Clip: m.clip, Video: m.video, Audio: m.audio, Err: m.err}); err != nil {
			return err
		}
		ahead.reuse(m)
	}
	return nil
}
