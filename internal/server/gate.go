package server

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// gate lets a bounded number of requests in that need a decoder or the model; it is
// passed before a byte of an upload is read.
type gate struct {
	most   int64
	inside atomic.Int64
}

func newGate(most int) *gate { return &gate{most: int64(most)} }

// enter returns the function that leaves, or false when too many are inside.
func (g *gate) enter() (leave func(), ok bool) {
	if g.inside.Add(1) > g.most {
		g.inside.Add(-1)
		return nil, false
	}
	return func() { g.inside.Add(-1) }, true
}

// admit lets a request in that needs a decoder or the model.
func (s *Server) admit() (leave func(), err error) {
	if s.draining.Load() {
		return nil, stoppingProblem()
	}
	out, ok := s.gate.enter()
	if !ok {
		s.metrics.rejections.Inc()
		most := float64(s.gate.most)
		return nil, problem(http.StatusTooManyRequests, "queue-full", fmt.Sprintf(
			"%d requests wait already", s.gate.most)).withLimit(most, most+1).
			withHint("try again in a moment").after(2 * time.Second)
	}
	s.metrics.queue.Inc()
	return func() { out(); s.metrics.queue.Dec() }, nil
}

func stoppingProblem() *Problem {
	return problem(http.StatusServiceUnavailable, "stopping", "the server is about to stop").
		after(10 * time.Second)
}
