package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// StartIndex begins to take a folder's clips into the library, as a job.
func (s *Server) StartIndex(folder, key string) (Job, error) {
	lib, err := s.library()
	if err != nil {
		return Job{}, err
	}
	indexer, ok := lib.(Indexer)
	if !ok {
		return Job{}, problem(http.StatusConflict, "read-only", "this library takes on no clips")
	}
	if _, err := s.model(); err != nil {
		return Job{}, err
	}
	if s.cfg.Tools.FFmpeg == "" {
		return Job{}, noFFmpeg()
	}
	dir, err := s.indexable(folder)
	if err != nil {
		return Job{}, err
	}
	return s.StartJob(indexKind, key, func(ctx context.Context, report func(Progress)) (any, error) {
		return indexer.Index(ctx, dir, background{s.executor}, report)
	})
}

// indexable returns the folder a client names, if it is one and may be read.
func (s *Server) indexable(folder string) (string, error) {
	if folder == "" {
		return "", badRequest("/folder", "is missing")
	}
	if len(folder) > 4096 || strings.ContainsRune(folder, 0) || !filepath.IsAbs(folder) {
		return "", badRequest("/folder", "is no absolute path")
	}
	// Where links lead is decided before it is compared.
	dir, err := filepath.EvalSymlinks(folder)
	if !below(s.cfg.IndexRoots, dir, err) {
		return "", problem(http.StatusForbidden, "folder-not-allowed",
			"folders there may not be indexed from here").
			withHint("start the server with --media DIR, or run avjepa index there")
	}
	if err != nil {
		return "", badRequest("/folder", "cannot be read")
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", badRequest("/folder", "is no folder")
	}
	return dir, nil
}

func (s *Server) postIndex(w http.ResponseWriter, r *http.Request) error {
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxKey {
		return badRequest("Idempotency-Key", fmt.Sprintf("is longer than %d bytes", maxKey))
	}
	fields, err := s.fields(w, r, "folder")
	if err != nil {
		return err
	}
	job, err := s.StartIndex(fields.Get("folder"), key)
	if err != nil {
		return err
	}
	return accepted(w, job)
}

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 200

// fields reads a body that has fields of the names and no file.
func (s *Server) fields(w http.ResponseWriter, r *http.Request, names ...string) (url.Values, error) {
	leave, err := s.admit()
	if err != nil {
		return nil, err
	}
	defer leave()
	form, err := s.Receive(w, r)
	if err != nil {
		return nil, err
	}
	defer form.Close()
	if form.Upload != nil {
		return nil, badRequest("file", "is not taken here: give a folder of the server's")
	}
	return form.Fields, known(form.Fields, names...)
}
