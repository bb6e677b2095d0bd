package pages

import (
	"errors"
	"net/http"
	"strconv"

	"avjepa/internal/server"
)

// startBody is what the first page of a server shows that has nothing to search yet.
type startBody struct {
	Info    *server.StartInfo // nil: this server starts nothing
	Model   bool
	FFmpeg  string
	Problem *server.Problem // of what was just asked for
	Failed  *server.Problem // of the last start
	Waiting bool            // something is under way
	Job     *server.Job
	Plan    *server.StartPlan
	Folder  string // as it was typed
	File    string

	Demo, Videos, Checkpoint []string // command lines
}

func (s *Site) start(w http.ResponseWriter, r *http.Request) error {
	return s.startPage(w, r, http.StatusOK, startBody{})
}

func (s *Site) startPage(w http.ResponseWriter, r *http.Request, status int, body startBody) error {
	body.Model = s.src.Status().Model
	info, err := s.src.StartInfo(r.Context())
	if err == nil {
		body.Info, body.FFmpeg = info, info.FFmpeg
		for _, way := range info.Ways {
			switch way.Way {
			case server.StartDemo:
				body.Demo = way.Commands
			case server.StartVideos:
				body.Videos = way.Commands
			case server.StartCheckpoint:
				body.Checkpoint = way.Commands
			}
		}
	}
	for _, j := range s.src.Jobs() {
		if j.Kind != "start" && j.Kind != "index" {
			continue
		}
		if !j.State.Over() {
			body.Job, body.Waiting = &j, true
		} else if j.State == server.JobFailed && body.Problem == nil && body.Plan == nil {
			body.Failed = j.Problem
		}
		break // the newest
	}
	return s.show(w, r, status, "start", "Start", body)
}

// check shows what a folder holds.
func (s *Site) check(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 8192)
	folder := r.PostFormValue("folder")
	plan, err := s.src.StartCheck(r.Context(), folder)
	if err != nil {
		return s.startAgain(w, r, err, startBody{Folder: folder})
	}
	return s.startPage(w, r, http.StatusOK, startBody{Plan: plan})
}

// startAgain shows the page with what was wrong with what somebody asked for.
func (s *Site) startAgain(w http.ResponseWriter, r *http.Request, err error, body startBody) error {
	var p *server.Problem
	if !errors.As(err, &p) {
		return err
	}
	body.Problem = p
	return s.startPage(w, r, p.Status, body)
}

// begin starts one of the ways.
func (s *Site) begin(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 8192)
	req := server.StartRequest{Way: server.StartWay(r.PostFormValue("way")), Path: r.PostFormValue("path")}
	if text := r.PostFormValue("minutes"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			n = -1 // none that is allowed
		}
		req.Minutes = n
	}
	if _, err := s.src.Start(req, ""); err != nil {
		body := startBody{}
		if req.Way == server.StartCheckpoint {
			body.File = req.Path
		}
		return s.startAgain(w, r, err, body)
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}
