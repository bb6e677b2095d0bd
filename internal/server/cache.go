package server

import (
	"container/list"
	"context"
	"sync"
)

// lru keeps values within a bound on their cost, the last used the longest.
type lru[V any] struct {
	most int64
	cost func(V) int64

	mu     sync.Mutex
	sum    int64
	byKey  map[string]*list.Element
	recent *list.List // of *lruEntry, last used first
}

type lruEntry[V any] struct {
	key   string
	value V
}

func newLRU[V any](most int64, cost func(V) int64) *lru[V] {
	return &lru[V]{most: most, cost: cost, byKey: map[string]*list.Element{}, recent: list.New()}
}

func (c *lru[V]) get(key string) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return v, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(*lruEntry[V]).value, true
}

func (c *lru[V]) put(key string, v V) {
	size := c.cost(v)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil || size > c.most {
		return
	}
	c.byKey[key] = c.recent.PushFront(&lruEntry[V]{key, v})
	for c.sum += size; c.sum > c.most; {
		old := c.recent.Remove(c.recent.Back()).(*lruEntry[V])
		delete(c.byKey, old.key)
		c.sum -= c.cost(old.value)
	}
}

// clear forgets all.
func (c *lru[V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum = 0
	clear(c.byKey)
	c.recent.Init()
}

// one is the cost of values that are counted.
func one[V any](V) int64 { return 1 }

// mediaCache keeps decoded media, and decodes one only once however many ask for it.
type mediaCache struct {
	kept   *lru[*Medium]
	flight flights[*Medium]
}

func newMediaCache(most int64) *mediaCache {
	return &mediaCache{kept: newLRU(most, (*Medium).bytes)}
}

// get returns the medium under key, made by load if it is not there.
func (c *mediaCache) get(ctx context.Context, key string,
	load func(context.Context) (*Medium, error)) (*Medium, error) {

	if m, ok := c.kept.get(key); ok {
		return m, nil
	}
	return c.flight.do(ctx, key, func(ctx context.Context) (*Medium, error) {
		m, err := load(ctx)
		if err == nil {
			c.kept.put(key, m)
		}
		return m, err
	})
}

// flights makes things of which several may be asked for at once only once. What is
// being made goes on as long as one of those who asked still waits.
type flights[T any] struct {
	mu    sync.Mutex
	byKey map[string]*flight[T]
}

type flight[T any] struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{}
	value   T
	err     error
}

func (f *flights[T]) do(ctx context.Context, key string,
	make_ func(context.Context) (T, error)) (T, error) {

	f.mu.Lock()
	x := f.byKey[key]
	if x == nil {
		x = f.begin(ctx, key, make_)
	}
	x.waiting++
	f.mu.Unlock()
	select {
	case <-x.done:
		return x.value, x.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	x.waiting--
	last := x.waiting == 0
	if last {
		x.cancel()
		if f.byKey[key] == x { // who comes now begins anew
			delete(f.byKey, key)
		}
	}
	f.mu.Unlock()
	if last {
		// What it works on belongs to the one who asked: that must not go away first.
		<-x.done
	}
	var none T
	return none, context.Cause(ctx)
}

// begin starts making a thing; the caller holds mu.
func (f *flights[T]) begin(ctx context.Context, key string,
	make_ func(context.Context) (T, error)) *flight[T] {

	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	x := &flight[T]{cancel: cancel, done: make(chan struct{})}
	if f.byKey == nil {
		f.byKey = map[string]*flight[T]{}
	}
	f.byKey[key] = x
	go func() {
		err := guard(func() (err error) {
			x.value, err = make_(own)
			return err
		})
		f.mu.Lock()
		x.err = err
		if f.byKey[key] == x {
			delete(f.byKey, key)
		}
		f.mu.Unlock()
		cancel()
		close(x.done)
	}()
	return x
}
