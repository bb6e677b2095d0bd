package train

import (
	"context"
	"time"
)

// tellSaved calls Saved after a checkpoint.
func (t *trainer) tellSaved(ctx context.Context) error {
	if t.cfg.Saved == nil || t.group != nil || t.stopped(ctx) {
		return nil
	}
	start := time.Now()
	defer func() { t.evaluating += time.Since(start) }()
	return t.cfg.Saved(ctx, t.step)
}
