package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	minWait = 100 * time.Millisecond
	maxWait = 10 * time.Second
)

// Retry is an attempt that failed and will be made again.
type Retry struct {
	Object  string // location and name, without secrets
	Attempt int    // of the operation, from 1
	Err     error
	Wait    time.Duration // until the next attempt
	Left    time.Duration // until the operation is given up
}

// String returns a line for people: what fails, why and for how long it is tried.
func (r Retry) String() string {
	return fmt.Sprintf("%s does not answer: retrying for %s: %v", r.Object,
		r.Left.Round(time.Second), r.Err)
}

// operation counts the failures of one call of a Store's method. Several goroutines of
// an upload may use it.
type operation struct {
	s          *Store
	ctx        context.Context
	what, name string

	mu      sync.Mutex
	failed  time.Time // first since it last got on; zero when none
	attempt int
}

// start begins an operation, called as in "reading data/x".
func (s *Store) start(ctx context.Context, what, name string) *operation {
	return &operation{s: s, ctx: ctx, what: what, name: name}
}

// do calls attempt until it succeeds, fails for good or time is over.
func (o *operation) do(attempt func() error) error {
	for {
		if err := o.ctx.Err(); err != nil {
			return context.Cause(o.ctx)
		}
		err := attempt()
		if err == nil {
			o.gotOn()
			return nil
		}
		wait, err := o.next(err)
		if err != nil {
			return err
		}
		select {
		case <-o.ctx.Done():
		case <-time.After(wait):
		}
	}
}

// gotOn forgets the failures: from now on the operation has all its time again.
func (o *operation) gotOn() {
	o.mu.Lock()
	o.failed = time.Time{}
	o.mu.Unlock()
}

// next returns how long to wait before another attempt, or the operation's error.
// Waits are as long as all since the first failure together, so they double, up to
// 10 s, less at random up to a half, so that readers do not come back all at once.
func (o *operation) next(err error) (time.Duration, error) {
	if o.ctx.Err() != nil {
		return 0, context.Cause(o.ctx)
	}
	if !transient(err) {
		return 0, o.final(err)
	}
	o.mu.Lock()
	now := time.Now()
	if o.failed.IsZero() {
		o.failed = now
	}
	since := now.Sub(o.failed)
	o.attempt++
	attempt := o.attempt
	o.mu.Unlock()

	left := o.s.cfg.Retry - since
	if left <= 0 {
		if o.s.cfg.Retry < 0 {
			return 0, o.final(err)
		}
		return 0, o.final(&fault{is: []error{ErrNoAnswer, err}, text: fmt.Sprintf(
			"no answer for %s: %s: check the location and the network, and run again",
			since.Round(100*time.Millisecond), describe(err))})
	}
	wait := min(max(since, minWait), maxWait)
	wait = wait/2 + rand.N(wait/2)
	if after := retryAfter(err); after > wait {
		wait = min(after, time.Minute)
	}
	wait = min(wait, left)
	if o.s.cfg.OnRetry != nil {
		o.s.cfg.OnRetry(Retry{Object: o.s.where(o.name), Attempt: attempt,
			Err: errors.New(describe(err)), Wait: wait, Left: left})
	}
	return wait, nil
}

// ended is an error that an operation ends with.
type ended struct{ fault }

// final returns the error that the operation ends with.
func (o *operation) final(err error) error {
	is := []error{err}
	if a := answerOf(err); a != nil && a.sentinel() != nil {
		is = append(is, a.sentinel())
	}
	return &ended{fault{is: is, text: fmt.Sprintf("%s %s: %s%s",
		o.what, o.s.where(o.name), describe(err), remedy(err))}}
}
