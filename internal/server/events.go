package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"avjepa/internal/train"
)

// Pace of an event stream.
const (
	eventPoll  = 500 * time.Millisecond
	eventBeat  = 15 * time.Second
	maxBacklog = 2000 // steps that are sent one by one; more are for /metrics
)

// getEvents sends the steps of a run as they are made: event "step" with the step as
// id, "state" when it stops or goes on, "rewind" when it was resumed from an earlier
// step, and "gap" when more steps are missing than are sent. A client that comes back
// with Last-Event-ID, or asks with after, gets what it missed.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := known(q, "after"); err != nil {
		return err
	}
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = q.Get("after")
	}
	after := -1
	if text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return badRequest("after", "is no step")
		}
		after = n
	}
	dir, id, err := s.runs.open(r.PathValue("id"))
	if err != nil {
		return err
	}
	defer dir.Close()
	info, log, _, err := s.runInfo(dir, id)
	if err != nil {
		return err
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return problem(http.StatusTooManyRequests, "too-many-streams",
			"too many event streams are open").withHint("close a page").after(10 * time.Second)
	}
	if after < 0 {
		after = info.Step
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	stream := &stream{w: w, control: control, after: after}
	stream.send("state", "", map[string]any{"state": info.State, "step": info.Step,
		"steps": info.Steps})
	poll := time.NewTicker(eventPoll)
	defer poll.Stop()
	beat := time.Now()
	for stream.err == nil {
		steps, _ := log.steps()
		stream.catchUp(steps)
		if time.Since(beat) >= eventBeat {
			stream.comment()
			beat = time.Now()
		}
		if stream.err == nil {
			stream.err = control.Flush()
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-s.stopping:
			return nil
		case <-poll.C:
		}
		was := info.State
		if info, log, _, err = s.runInfo(dir, id); err != nil {
			return nil // what was sent stays true; the client asks again and is told
		}
		if info.State != was {
			stream.send("state", "", map[string]any{"state": info.State, "step": info.Step,
				"steps": info.Steps})
		}
	}
	return nil
}

// stream writes events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	after   int // the last step that was sent
	err     error
}

func (s *stream) send(event, id string, v any) {
	text, err := json.Marshal(v)
	if s.err != nil || err != nil {
		return
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	_, s.err = fmt.Fprintf(s.w, "event: %s\n%sdata: %s\n\n", event, id, text)
}

func (s *stream) comment() {
	if s.err == nil {
		_, s.err = fmt.Fprint(s.w, ": still here\n\n")
	}
}

// catchUp sends the steps after the last that was sent.
func (s *stream) catchUp(steps []train.Metrics) {
	if len(steps) == 0 {
		return
	}
	last := steps[len(steps)-1].Step
	if last < s.after {
		s.after = last
		s.send("rewind", strconv.Itoa(last), map[string]int{"step": last})
		return
	}
	from, found := slices.BinarySearchFunc(steps, s.after, func(m train.Metrics, at int) int {
		return m.Step - at
	})
	if found {
		from++
	}
	if missing := len(steps) - from; missing > maxBacklog {
		s.after = last
		s.send("gap", strconv.Itoa(last), map[string]int{"step": last, "missing": missing})
		return
	}
	for i := range steps[from:] {
		m := &steps[from+i]
		s.send("step", strconv.Itoa(m.Step), m)
		s.after = m.Step
	}
}
