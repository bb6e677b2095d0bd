package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// executor owns the model: all work with it is done on one goroutine, in the order in
// which it was asked for, requests before jobs. Windows of several requests with the
// same modality share a call.
type executor struct {
	model   func() Model // now; nil: calls fail
	most    int          // windows a call
	wait    func()
	pause   time.Duration
	metrics *metrics

	mu     sync.Mutex
	queue  []*task
	wake   chan struct{} // holds one: something was queued
	closed bool
}

// task is a part of a call, or something else that needs the model to itself.
type task struct {
	ctx        context.Context
	windows    []Window // at most executor.most
	of         Modality
	run        func(ctx context.Context) error
	background bool
	since      time.Time
	vectors    []Vectors
	err        error
	done       chan struct{}
}

func newExecutor(ctx context.Context, model func() Model, l Limits, m *metrics) *executor {
	x := &executor{model: model, most: l.BatchClips, pause: l.BatchWait, metrics: m,
		wake: make(chan struct{}, 1)}
	ended := make(chan struct{})
	x.wait = func() { <-ended }
	go func() {
		defer close(ended)
		x.loop(ctx)
	}()
	return x
}

// embed returns the vectors of each window. It may be called by many goroutines.
func (x *executor) embed(ctx context.Context, windows []Window, of Modality, background bool) (
	[]Vectors, error) {

	var tasks []*task
	for at := 0; at < len(windows); at += x.most {
		part := windows[at:min(at+x.most, len(windows))]
		tasks = append(tasks, &task{ctx: ctx, windows: part, of: of, background: background})
	}
	if err := x.add(tasks...); err != nil {
		return nil, err
	}
	var all []Vectors
	for _, t := range tasks {
		if err := x.result(ctx, t); err != nil {
			return nil, err
		}
		all = append(all, t.vectors...)
	}
	return all, nil
}

// do runs something that needs the model to itself. When ctx ends before run has
// begun, it is not run.
func (x *executor) do(ctx context.Context, run func(context.Context) error) error {
	t := &task{ctx: ctx, run: run}
	if err := x.add(t); err != nil {
		return err
	}
	// What run was given is in use until it returns, so that is waited for.
	<-t.done
	return t.err
}

func (x *executor) result(ctx context.Context, t *task) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (x *executor) add(tasks ...*task) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return stoppingProblem()
	}
	now := time.Now()
	for _, t := range tasks {
		t.since, t.done = now, make(chan struct{})
	}
	x.queue = append(x.queue, tasks...)
	x.signal()
	return nil
}

func (x *executor) signal() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// loop takes work until ctx ends, then fails what is left.
func (x *executor) loop(ctx context.Context) {
	for {
		batch, until := x.next(time.Now())
		switch {
		case batch != nil:
			x.runBatch(ctx, batch)
			continue
		case until.IsZero():
			select {
			case <-x.wake:
			case <-ctx.Done():
				x.closeAll()
				return
			}
		default: // others may still join the batch
			timer := time.NewTimer(time.Until(until))
			select {
			case <-x.wake:
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		if ctx.Err() != nil {
			x.closeAll()
			return
		}
	}
}

// next takes the tasks of one call from the queue. Without any it returns the time at
// which the oldest has waited long enough for others, zero for an empty queue.
func (x *executor) next(now time.Time) (batch []*task, until time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	head := -1
	for i, t := range x.queue {
		if head < 0 || x.queue[head].background && !t.background {
			head = i
		}
		if !x.queue[head].background {
			break
		}
	}
	if head < 0 {
		return nil, time.Time{}
	}
	first := x.queue[head]
	if first.run != nil {
		x.queue = append(x.queue[:head:head], x.queue[head+1:]...)
		return []*task{first}, time.Time{}
	}
	n := 0
	var rest []*task
	full := false
	for _, t := range x.queue {
		fits := t == first || t.run == nil && t.of == first.of && t.background == first.background
		if fits && n+len(t.windows) <= x.most {
			batch, n = append(batch, t), n+len(t.windows)
			continue
		}
		full = full || fits
		rest = append(rest, t)
	}
	if at := first.since.Add(x.pause); n < x.most && !full && now.Before(at) && !first.background {
		return nil, at
	}
	x.queue = rest
	return batch, time.Time{}
}

func (x *executor) closeAll() {
	x.mu.Lock()
	left := x.queue
	x.queue, x.closed = nil, true
	x.mu.Unlock()
	for _, t := range left {
		t.err = stoppingProblem()
		close(t.done)
	}
}

// runBatch makes one call for tasks of one modality, or runs one that is something
// else.
func (x *executor) runBatch(ctx context.Context, batch []*task) {
	var windows []Window
	live := batch[:0]
	for _, t := range batch {
		if t.ctx.Err() != nil { // nobody waits
			t.err = context.Cause(t.ctx)
			close(t.done)
			continue
		}
		live = append(live, t)
		windows = append(windows, t.windows...)
	}
	if len(live) == 0 {
		return
	}
	if t := live[0]; t.run != nil {
		t.err = guard(func() error { return t.run(t.ctx) })
		close(t.done)
		return
	}
	begun := time.Now()
	vectors, err := x.call(ctx, windows, live[0].of)
	x.metrics.embedSeconds.WithLabelValues(string(live[0].of)).Observe(time.Since(begun).Seconds())
	x.metrics.batch.Observe(float64(len(windows)))
	for _, t := range live {
		if t.err = err; err == nil {
			t.vectors, vectors = vectors[:len(t.windows):len(t.windows)], vectors[len(t.windows):]
		}
		close(t.done)
	}
}

func (x *executor) call(ctx context.Context, windows []Window, of Modality) (
	v []Vectors, err error) {

	model := x.model()
	if model == nil {
		return nil, errors.New("server: there is no model")
	}
	err = guard(func() error {
		v, err = model.Embed(ctx, windows, of)
		return err
	})
	if err == nil && len(v) != len(windows) {
		err = fmt.Errorf("server: the model made %d vectors of %d windows", len(v), len(windows))
	}
	return v, err
}

// guard turns a panic of the model's into an error, so that one file does not end the
// server.
func guard(f func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("server: panic: %v", fault)
		}
	}()
	return f()
}

// background is the model as jobs see it: their windows wait for those of requests.
type background struct{ x *executor }

func (b background) Embed(ctx context.Context, windows []Window, of Modality) ([]Vectors, error) {
	return b.x.embed(ctx, windows, of, true)
}

// unitMean returns the mean of rows, scaled to unit length: a clip is compared by the
// mean of its windows. A row with NaN, or rows that cancel out, are an error.
func unitMean(rows [][]float32) ([]float32, error) {
	if len(rows) == 0 || len(rows[0]) == 0 {
		return nil, errors.New("server: the model made no such vector")
	}
	sum := make([]float64, len(rows[0]))
	for _, row := range rows {
		for i, x := range row {
			sum[i] += float64(x)
		}
	}
	square := 0.0
	for _, x := range sum {
		square += x * x
	}
	if !(square > 0) || math.IsInf(square, 0) {
		return nil, fmt.Errorf("server: the model made a vector of square length %v", square)
	}
	out := make([]float32, len(sum))
	for i, x := range sum {
		out[i] = float32(x / math.Sqrt(square))
	}
	return out, nil
}
