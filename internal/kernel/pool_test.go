package kernel

import (
	"sync/atomic"
	"testing"
	"time"
)

// countTask counts how often each part is done, and panics at one of them.
type countTask struct {
	count   []atomic.Int32
	workers []atomic.Int32
	panicAt int
	nap     time.Duration
}

func (t *countTask) Run(worker, i int) {
	t.workers[worker].Add(1)
	time.Sleep(t.nap)
	t.count[i].Add(1)
	if i == t.panicAt {
		panic("part failed")
	}
}

func TestPoolRunsEachPartOnce(t *testing.T) {
	for threads := 1; threads <= 5; threads++ {
		p := NewPool(threads)
		for round := range 300 {
			n := round % 17
			task := &countTask{make([]atomic.Int32, n), make([]atomic.Int32, threads), -1, 0}
			p.Run(task, n)
			for i := range task.count {
				if got := task.count[i].Load(); got != 1 {
					t.Fatalf("%d threads: part %d of %d done %d times", threads, i, n, got)
				}
			}
			if round%100 == 99 {
				time.Sleep(2 * time.Millisecond) // the workers fall asleep
			}
		}
		p.Close()
		p.Close()
	}
}

func TestPoolSharesParts(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	task := &countTask{make([]atomic.Int32, 30), make([]atomic.Int32, 3), -1, time.Millisecond}
	p.Run(task, 30)
	for w := range task.workers {
		if task.workers[w].Load() == 0 {
			t.Errorf("worker %d did nothing", w)
		}
	}
}

func TestPoolPanics(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	for panicAt := range 8 {
		task := &countTask{make([]atomic.Int32, 8), make([]atomic.Int32, 3), panicAt, 0}
		func() {
			defer func() {
				if r := recover(); r != "part failed" {
					t.Errorf("recovered %v", r)
				}
			}()
			p.Run(task, 8)
		}()
		for i := range task.count {
			if task.count[i].Load() != 1 {
				t.Errorf("part %d was not done once", i)
			}
		}
	}
}

// nestedTask runs its pool from inside a part.
type nestedTask struct{ pool *Pool }

func (t *nestedTask) Run(_, _ int) { t.pool.Run(t, 2) }

func TestPoolRefusesNesting(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	p.Run(&nestedTask{p}, 2)
}

func TestPoolMakesNoGarbage(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	task := &countTask{make([]atomic.Int32, 9), make([]atomic.Int32, 3), -1, 0}
	if got := testing.AllocsPerRun(100, func() { p.Run(task, 9) }); got != 0 {
		t.Errorf("%v allocations a run", got)
	}
}

func BenchmarkPoolRun(b *testing.B) {
	p := NewPool(2)
	defer p.Close()
	task := &emptyTask{}
	for b.Loop() {
		p.Run(task, 8)
	}
}

type emptyTask struct{}

func (*emptyTask) Run(_, _ int) {}
