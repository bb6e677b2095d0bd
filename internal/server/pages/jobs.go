package pages

import (
	"net/http"

	"avjepa/internal/server"
)

func (s *Site) jobs(w http.ResponseWriter, r *http.Request) error {
	return s.show(w, r, http.StatusOK, "jobs", "Jobs", struct{ Jobs []server.Job }{s.src.Jobs()})
}

// running returns how many jobs are not over.
func (s *Site) running() int {
	n := 0
	for _, j := range s.src.Jobs() {
		if !j.State.Over() {
			n++
		}
	}
	return n
}

func (s *Site) cancelJob(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.src.CancelJob(r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/jobs", http.StatusSeeOther)
	return nil
}

func (s *Site) startIndex(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 8192)
	if _, err := s.src.StartIndex(r.PostFormValue("folder"), ""); err != nil {
		return err
	}
	http.Redirect(w, r, "/jobs", http.StatusSeeOther)
	return nil
}
