package kernel

import (
	"fmt"
	"runtime"
	"sync/atomic"
)

// Task is work cut in numbered parts. Run does part i on the given worker
// (0…threads−1); parts run in any order and at the same time, each once.
// Implement it on a pointer to a struct that lives long: then a Pool.Run makes
// no garbage.
type Task interface{ Run(worker, i int) }

// Pool is a set of persistent workers that share the parts of one Task at a
// time. Parts are dealt one by one, so a worker that is held up by other load
// on the machine does fewer of them. Idle workers look for work for some
// microseconds, then sleep.
//
// One goroutine may call Run at a time, and never from inside a part.
type Pool struct {
	threads int
	busy    atomic.Bool
	closed  atomic.Bool

	// state is a Run's number in the upper half and the parts not yet dealt in
	// the lower. A worker takes a part by a compare-and-swap, so one that comes
	// late from an earlier Run cannot take a part it knows nothing of, and Run
	// never waits for a sleeping worker.
	state atomic.Uint64
	_     [56]byte // state and finished on lines of their own
	// finished counts the parts done in the present Run.
	finished atomic.Int64
	_        [56]byte

	task Task // valid while a part is held
	n    int

	sleepers atomic.Int64 // workers that wait, or are about to, on wake
	wake     chan struct{}
	waiting  atomic.Bool // the caller waits, or is about to, on done
	done     chan struct{}

	failed atomic.Pointer[any] // first panic of a part
}

// spinRounds bounds the search for work before a worker sleeps: about 30 µs.
const spinRounds = 200

// NewPool starts threads−1 workers; the caller of Run is the last one.
func NewPool(threads int) *Pool {
	if threads < 1 {
		panic(fmt.Sprintf("kernel: a pool of %d threads", threads))
	}
	p := &Pool{
		threads: threads,
		wake:    make(chan struct{}, threads),
		done:    make(chan struct{}, 1),
	}
	for w := 1; w < threads; w++ {
		go p.work(w)
	}
	return p
}

// Threads returns the number of workers, the caller of Run included.
func (p *Pool) Threads() int { return p.threads }

// Close ends the workers. The pool may not be used afterwards.
func (p *Pool) Close() {
	if p.closed.Swap(true) {
		return
	}
	for p.wakeOne() {
	}
}

// Run does parts 0…n−1 of t and returns when all are done. If a part panics,
// the others are still done, then Run panics with the first panic's value.
func (p *Pool) Run(t Task, n int) {
	if n <= 0 {
		return
	}
	if p.threads == 1 || n == 1 {
		for i := range n {
			t.Run(0, i)
		}
		return
	}
	if p.busy.Swap(true) {
		panic("kernel: Pool.Run called while another Run is under way")
	}
	p.task, p.n = t, n
	p.finished.Store(0)
	p.state.Store((p.state.Load()>>32+1)<<32 | uint64(uint32(n)))
	for i := min(n, p.threads) - 1; i > 0 && p.wakeOne(); i-- {
	}
	p.drain(0)
	p.await(int64(n))
	p.task = nil
	p.busy.Store(false)
	if f := p.failed.Swap(nil); f != nil {
		panic(*f)
	}
}

// wakeOne wakes a sleeping worker, or reports that none sleeps.
func (p *Pool) wakeOne() bool {
	for {
		s := p.sleepers.Load()
		if s == 0 {
			return false
		}
		if p.sleepers.CompareAndSwap(s, s-1) {
			p.wake <- struct{}{}
			return true
		}
	}
}

// await returns when n parts are finished.
func (p *Pool) await(n int64) {
	for round := 0; p.finished.Load() != n; round++ {
		if round < spinRounds {
			spin(round, func() bool { return p.finished.Load() == n })
			continue
		}
		p.waiting.Store(true)
		if p.finished.Load() == n && p.waiting.CompareAndSwap(true, false) {
			return
		}
		<-p.done
	}
}

// spin looks at ready some times, and now and then lets other goroutines run.
func spin(round int, ready func() bool) {
	for range 50 {
		if ready() {
			return
		}
	}
	if round%8 == 7 {
		runtime.Gosched()
	}
}

// work is the life of a worker.
func (p *Pool) work(worker int) {
	hasWork := func() bool { return uint32(p.state.Load()) != 0 }
	for round := 0; !p.closed.Load(); round++ {
		if hasWork() {
			p.drain(worker)
			round = 0
			continue
		}
		if round < spinRounds {
			spin(round, hasWork)
			continue
		}
		p.sleepers.Add(1)
		if (hasWork() || p.closed.Load()) && p.cancelSleep() {
			continue
		}
		<-p.wake
		round = 0
	}
}

// cancelSleep takes back one announcement of sleep, unless a waker was faster.
func (p *Pool) cancelSleep() bool {
	for {
		s := p.sleepers.Load()
		if s == 0 {
			return false
		}
		if p.sleepers.CompareAndSwap(s, s-1) {
			return true
		}
	}
}

// drain takes parts and does them until none is left.
func (p *Pool) drain(worker int) {
	for !p.drainUntilPanic(worker) {
	}
}

// drainUntilPanic is drain, but returns false after a part has panicked.
func (p *Pool) drainUntilPanic(worker int) (ok bool) {
	holding := false
	defer func() {
		if !holding {
			return
		}
		r := recover()
		p.failed.CompareAndSwap(nil, &r)
		p.finish()
	}()
	for {
		s := p.state.Load()
		left := uint32(s)
		if left == 0 {
			return true
		}
		if !p.state.CompareAndSwap(s, s-1) {
			continue
		}
		holding = true
		p.task.Run(worker, p.n-int(left))
		holding = false
		p.finish()
	}
}

// finish counts a part as done and wakes the caller after the last. Once the
// last part is counted, the caller may go on, so n is read before.
func (p *Pool) finish() {
	n := int64(p.n)
	if p.finished.Add(1) == n && p.waiting.CompareAndSwap(true, false) {
		p.done <- struct{}{}
	}
}
