package main

import (
	"context"
	"errors"
	"time"

	"avjepa/internal/library"
	"avjepa/internal/server"
	"avjepa/internal/weaviate"
)

// servedRemote is how long a request waits for the server with the library's vectors.
var servedRemote = weaviate.Config{Timeout: 10 * time.Second, Retries: 1}

// use calls f with the library as it is now; without one it does nothing.
func (x *servedLibrary) use(ctx context.Context, f func(l *library.Library) error) error {
	if err := x.refresh(ctx); err != nil {
		return err
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.l == nil {
		return nil
	}
	return x.vectorsAway(f(x.l))
}

// refresh looks every two seconds for what others have changed in the library.
func (x *servedLibrary) refresh(ctx context.Context) error {
	x.looking.Lock()
	defer x.looking.Unlock()
	if time.Since(x.looked) <= 2*time.Second {
		return nil
	}
	x.mu.RLock()
	l, moved := x.l, false
	var err error
	if l != nil {
		x.looked = time.Now()
		if err = l.Refresh(ctx); err != nil && ctx.Err() != nil {
			err = nil
		}
		about, _ := l.Model()
		moved = about.Remote != x.remote
	}
	x.mu.RUnlock()
	if err == nil && moved { // its vectors are elsewhere now
		err = x.open(ctx)
	}
	return err
}

// vectorsAway turns an error of the server that has the library's vectors into what clients are
// told, and notes in the log when that server goes and comes back. Other errors stay.
func (x *servedLibrary) vectorsAway(err error) error {
	if !errors.Is(err, weaviate.ErrServer) {
		return err
	}
	if !x.away.Swap(true) {
		x.log.Warn("the vectors of the library cannot be had", "error", err)
	}
	p := &server.Problem{Type: "/docs/errors#library-away", Title: "Library away", Status: 503,
		Code: "library-away", Detail: "the server that has the library's vectors does not answer, or is busy",
		Hint: "try again in a moment; clips, previews and runs are there meanwhile", RetryAfter: 5 * time.Second}
	switch {
	case errors.Is(err, weaviate.ErrKey):
		p.Detail, p.RetryAfter = "the server that has the library's vectors refuses our key, or wants one", 0
		p.Hint = "start avjepa serve with the right key in " + weaviateKey
	case errors.Is(err, weaviate.ErrNoCollection):
		p.Detail, p.RetryAfter = "the server that had the library's vectors has them no longer", 0
		p.Hint = "avjepa index with the same model and files makes them again"
	case !errors.Is(err, weaviate.ErrAway):
		p.Detail, p.RetryAfter = "the server that has the library's vectors did not do what it was asked", 0
		p.Hint = "the log of avjepa serve has its words"
	}
	return p
}

// vectorsBack notes that the server with the vectors did what it was asked.
func (x *servedLibrary) vectorsBack() {
	if x.away.Swap(false) {
		x.log.Warn("the vectors of the library can be had again")
	}
}
