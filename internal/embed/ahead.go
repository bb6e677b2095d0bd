package embed

import (
	"context"
	"sync"

	"avjepa/internal/view"
)

// made is the windows of one clip, or why there are none.
type made struct {
	clip   int
	opened bool      // else err is why not
	err    error     // of opening, or of making the windows
	video  []byte    // (Windows, T, S, S, 3)
	audio  []float32 // (Windows, F, M)
	ready  chan struct{}
}

// ahead makes the windows of clips while those before are embedded. They come in the
// order of the clips, whichever is done first.
type ahead struct {
	r       *runner
	hi      int
	ring    []*made // clip lo+i is made in place i modulo their number
	at      int     // place of the next one that is asked for
	jobs    chan *made
	stop    context.CancelFunc
	workers sync.WaitGroup
}

// readAhead begins to make the windows of clips lo to hi−1. What is made ahead is as
// much as two device batches at most, but for two clips.
func (r *runner) readAhead(ctx context.Context, lo, hi int) *ahead {
	workers := max(1, r.cfg.Workers)
	n := max(2, min(workers+2, 2*r.cfg.Views/r.cfg.Windows, hi-lo))
	ctx, stop := context.WithCancel(ctx)
	a := &ahead{r: r, hi: hi, jobs: make(chan *made, n), stop: stop}
	for i := range n {
		m := &made{clip: lo + i, video: make([]byte, r.cfg.Windows*r.videoN),
			audio: make([]float32, r.cfg.Windows*r.melN), ready: make(chan struct{}, 1)}
		a.ring = append(a.ring, m)
		a.offer(m)
	}
	for range min(workers, n) {
		a.workers.Go(func() {
			for m := range a.jobs {
				m.opened, m.err = r.make(ctx, m)
				m.ready <- struct{}{}
			}
		})
	}
	return a
}

// offer has a clip made, if it is one.
func (a *ahead) offer(m *made) {
	if m.clip < a.hi {
		a.jobs <- m
	}
}

// next returns the next clip, waiting for it.
func (a *ahead) next() *made {
	m := a.ring[a.at]
	a.at = (a.at + 1) % len(a.ring)
	<-m.ready
	return m
}

// reuse has a clip to come made in the memory of m.
func (a *ahead) reuse(m *made) {
	m.clip += len(a.ring)
	a.offer(m)
}

// close ends the workers and waits for them.
func (a *ahead) close() {
	a.stop()
	close(a.jobs)
	a.workers.Wait()
}

// make makes the windows of a clip. It says whether the clip could be opened.
func (r *runner) make(ctx context.Context, m *made) (opened bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	d, err := r.clips.Lend(ctx, m.clip)
	if err != nil {
		return false, err
	}
	defer r.clips.Return(d)
	for w := range r.cfg.Windows {
		video, audio := m.video[w*r.videoN:(w+1)*r.videoN], m.audio[w*r.melN:(w+1)*r.melN]
		if r.videoN == 0 {
			video = nil
		}
		if r.melN == 0 {
			audio = nil
		}
		if err := r.view(video, audio, d.Decoded, w); err != nil {
			return true, err
		}
	}
	return true, nil
}

// view makes window w of a clip.
func (r *runner) view(video []byte, audio []float32, d *view.Decoded, w int) error {
	m := r.clips.Maker
	if r.cfg.Shift > 0 {
		return m.EvalAt(video, audio, d, min(r.cfg.Shift, m.LastStart(d)), 0)
	}
	return m.Eval(video, audio, d, w, r.cfg.Windows)
}
