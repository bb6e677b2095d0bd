package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

// JobState says where a job stands.
type JobState string

// The states of a job.
const (
	JobQueued   JobState = "queued"
	JobRunning  JobState = "running"
	JobDone     JobState = "done"
	JobFailed   JobState = "failed"
	JobCanceled JobState = "canceled"
)

// Over reports whether nothing more will happen.
func (s JobState) Over() bool { return s == JobDone || s == JobFailed || s == JobCanceled }

// Job is work that goes on after its request was answered.
type Job struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"` // index, start, embed, search, explain
	State    JobState   `json:"state"`
	Progress Progress   `json:"progress"`
	Created  time.Time  `json:"created"`
	Started  *time.Time `json:"started,omitempty"`
	Finished *time.Time `json:"finished,omitempty"`
	Result   any        `json:"result,omitempty"`
	Problem  *Problem   `json:"problem,omitempty"`
}

// jobs remembers the last jobs and runs them. Of those that index, one runs at a time.
type jobs struct {
	ctx  context.Context
	most int

	mu    sync.Mutex
	all   []*jobEntry // oldest first
	index chan struct{}
	group sync.WaitGroup
}

type jobEntry struct {
	job    Job
	key    string
	cancel context.CancelFunc
}

func newJobs(ctx context.Context, most int) *jobs {
	return &jobs{ctx: ctx, most: most, index: make(chan struct{}, 1)}
}

func (j *jobs) wait() { j.group.Wait() }

// indexKind is the kind of jobs that change the library.
const indexKind = "index"

// StartJob begins work that does not end with the request; run is called once, with a
// context that is over when the job is cancelled. A key that was used for a job of the
// kind already gives that job. Its error is a *Problem.
func (s *Server) StartJob(kind, key string,
	run func(ctx context.Context, report func(Progress)) (any, error)) (Job, error) {

	if s.draining.Load() {
		return Job{}, stoppingProblem()
	}
	j := s.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.all {
		if key != "" && e.key == key && e.job.Kind == kind {
			return e.job, nil
		}
	}
	for len(j.all) >= j.most {
		over := slices.IndexFunc(j.all, func(e *jobEntry) bool { return e.job.State.Over() })
		if over < 0 {
			return Job{}, problem(http.StatusTooManyRequests, "too-many-jobs",
				"too many jobs are not done yet").after(10 * time.Second)
		}
		j.all = slices.Delete(j.all, over, over+1)
	}
	ctx, cancel := context.WithCancel(j.ctx)
	e := &jobEntry{key: key, cancel: cancel, job: Job{ID: rand.Text(), Kind: kind, State: JobQueued,
		Created: time.Now().UTC()}}
	j.all = append(j.all, e)
	j.group.Add(1)
	go func() {
		defer j.group.Done()
		defer cancel()
		s.runJob(ctx, e, run)
	}()
	return e.job, nil
}

func (s *Server) runJob(ctx context.Context, e *jobEntry,
	run func(ctx context.Context, report func(Progress)) (any, error)) {

	j := s.jobs
	if e.job.Kind == indexKind || e.job.Kind == startKind {
		select {
		case j.index <- struct{}{}:
			defer func() { <-j.index }()
		case <-ctx.Done():
		}
	}
	j.change(e, func(job *Job) {
		now := time.Now().UTC()
		job.State, job.Started = JobRunning, &now
	})
	var result any
	err := guard(func() (err error) {
		pace := pace{now: time.Now}
		result, err = run(ctx, func(p Progress) {
			j.change(e, func(job *Job) {
				p.Left = pace.left(p)
				job.Progress = p
			})
		})
		return err
	})
	j.change(e, func(job *Job) {
		now := time.Now().UTC()
		job.Finished = &now
		switch {
		case err == nil:
			job.State, job.Result = JobDone, result
		case ctx.Err() != nil:
			job.State = JobCanceled
		default:
			job.State, job.Problem = JobFailed, s.jobProblem(job, err)
		}
	})
}

// pace tells how long the stage of a job will still take.
type pace struct {
	now   func() time.Time
	stage string
	since time.Time
	first int64 // done when the stage began: it may go on from an earlier one
}

// paceShare is the share of a stage before its rate is believed.
const paceShare = 0.03

// left returns how many seconds are left of the stage of p, 0 when that is not known.
func (x *pace) left(p Progress) float64 {
	if p.Stage != x.stage || p.Done < x.first {
		x.stage, x.since, x.first = p.Stage, x.now(), p.Done
	}
	done := float64(p.Done - x.first)
	if all := float64(p.Total - x.first); !(all > 0) || done < paceShare*all || p.Done >= p.Total {
		return 0
	}
	return x.now().Sub(x.since).Seconds() * float64(p.Total-p.Done) / done
}

// jobProblem is what clients see of a job's error.
func (s *Server) jobProblem(job *Job, err error) *Problem {
	var p *Problem
	if errors.As(asProblem(err, "thing", ""), &p) {
		return p
	}
	s.log.Error("job failed", "job", job.ID, "kind", job.Kind, "error", err)
	return problem(http.StatusInternalServerError, "internal-error",
		"something went wrong here; the log has it under this job's id")
}

func (j *jobs) change(e *jobEntry, f func(*Job)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f(&e.job)
}

// Jobs returns all jobs that are remembered, newest first.
func (s *Server) Jobs() []Job {
	s.jobs.mu.Lock()
	defer s.jobs.mu.Unlock()
	out := make([]Job, 0, len(s.jobs.all))
	for _, e := range slices.Backward(s.jobs.all) {
		out = append(out, e.job)
	}
	return out
}

// Job returns one job.
func (s *Server) Job(id string) (Job, error) {
	for _, j := range s.Jobs() {
		if j.ID == id {
			return j, nil
		}
	}
	return Job{}, notFound("job", id)
}

// CancelJob asks a job to end, and returns it as it is then; one that is over is
// forgotten.
func (s *Server) CancelJob(id string) (Job, error) {
	j := s.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	at := slices.IndexFunc(j.all, func(e *jobEntry) bool { return e.job.ID == id })
	if at < 0 {
		return Job{}, notFound("job", id)
	}
	e := j.all[at]
	if e.job.State.Over() {
		j.all = slices.Delete(j.all, at, at+1)
	}
	e.cancel()
	return e.job, nil
}

func (s *Server) getJobs(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"items": s.Jobs()})
}

func (s *Server) getJob(w http.ResponseWriter, r *http.Request) error {
	job, err := s.Job(r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, job)
}

func (s *Server) deleteJob(w http.ResponseWriter, r *http.Request) error {
	job, err := s.CancelJob(r.PathValue("id"))
	switch {
	case err != nil:
		return err
	case job.State.Over():
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return writeJSON(w, http.StatusAccepted, job)
}
