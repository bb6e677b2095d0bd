package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// StartWay is one of the ways from nothing to a library that can be searched.
type StartWay string

// The ways.
const (
	StartDemo       StartWay = "demo"       // make a toy set, train on it, index it
	StartVideos     StartWay = "videos"     // a folder of the user's
	StartCheckpoint StartWay = "checkpoint" // a model that is there already
)

// Starter does what makes a server that has nothing useful. Its methods may be called by
// many goroutines, those that make something by one at a time.
type Starter interface {
	// FFmpeg returns the version of ffmpeg, "" for none.
	FFmpeg(ctx context.Context) string
	// Commands are what a way does, as command lines that do the same.
	Commands(r StartRequest, trained bool) []string
	// Check looks at a folder: what is in it, and what it will take. m embeds; nil: there is
	// no model, and one would be trained.
	Check(ctx context.Context, folder string, m Model) (*StartPlan, error)
	// Start does the work of a way and returns what came of it. Cancelling ctx leaves what
	// the same request goes on from.
	Start(ctx context.Context, r StartRequest, report func(Progress)) (*Loaded, error)
}

// StartRequest asks for one of the ways.
type StartRequest struct {
	Way     StartWay
	Path    string // the folder or the checkpoint; absolute
	Minutes int    // for the demo and for training on videos: most minutes; 0: 8
}

// Minutes of training that may be asked for.
const (
	defaultMinutes = 8
	maxMinutes     = 7 * 24 * 60
)

// StartInfo is what the first page shows.
type StartInfo struct {
	FFmpeg      string         `json:"ffmpeg"` // its version; "": there is none
	Cores       int            `json:"cores"`
	MemoryBytes int64          `json:"memory_bytes"` // 0: not known
	Model       bool           `json:"model"`
	Ways        []StartInfoWay `json:"ways"`
	Job         *Job           `json:"job,omitempty"` // the last that was started this way
}

// StartInfoWay is a way with what it does.
type StartInfoWay struct {
	Way      StartWay `json:"way"`
	Commands []string `json:"commands"` // the same as command lines
	Possible bool     `json:"possible"`
}

// StartPlan is what a folder holds and what it will take. Times and sizes are scaled from
// the files that were measured.
type StartPlan struct {
	Folder      string   `json:"folder"`
	Files       int      `json:"files"`
	Bytes       int64    `json:"size_bytes"`
	Seconds     float64  `json:"duration_seconds"` // of all files; 0: not measured
	Measured    int      `json:"measured"`         // files
	Trains      bool     `json:"trains"`           // there is no model: one is trained
	Minutes     int      `json:"minutes"`          // of training at most
	WorkSeconds float64  `json:"work_seconds"`     // reading, or reading and embedding; 0: not measured
	DiskBytes   int64    `json:"disk_bytes"`       // that will be written; 0: not measured
	DiskFree    int64    `json:"disk_free_bytes"`  // 0: not known
	Commands    []string `json:"commands"`
}

// startKind is the kind of jobs that a Starter does.
const startKind = "start"

// starter returns what makes a start, or the problem that there is none.
func (s *Server) starter() (Starter, error) {
	if s.cfg.Starter == nil {
		return nil, problem(http.StatusNotFound, "no-start", "this server starts nothing by itself").
			withHint("avjepa demo makes a model and avjepa index a library")
	}
	return s.cfg.Starter, nil
}

// StartInfo says what the ways are and what this machine has.
func (s *Server) StartInfo(ctx context.Context) (*StartInfo, error) {
	starter, err := s.starter()
	if err != nil {
		return nil, err
	}
	trained := s.loaded().Model != nil
	info := &StartInfo{FFmpeg: starter.FFmpeg(ctx), Cores: runtime.NumCPU(), Model: trained,
		MemoryBytes: s.cfg.MemoryBytes}
	for _, w := range []StartWay{StartDemo, StartVideos, StartCheckpoint} {
		info.Ways = append(info.Ways, StartInfoWay{Way: w,
			Commands: starter.Commands(StartRequest{Way: w, Minutes: defaultMinutes}, trained),
			Possible: (w == StartVideos || !trained) && (w == StartCheckpoint || info.FFmpeg != "")})
	}
	for _, j := range s.Jobs() {
		if j.Kind == startKind {
			info.Job = &j
			break
		}
	}
	return info, nil
}

// maxCheck bounds how long a folder is looked at.
const maxCheck = 30 * time.Second

// StartCheck looks at a folder before anything begins.
func (s *Server) StartCheck(ctx context.Context, folder string) (*StartPlan, error) {
	starter, err := s.starter()
	if err != nil {
		return nil, err
	}
	if s.cfg.Tools.FFmpeg == "" {
		return nil, noFFmpeg()
	}
	dir, err := s.indexable(folder)
	if err != nil {
		return nil, err
	}
	select {
	case s.checks <- struct{}{}:
		defer func() { <-s.checks }()
	default:
		return nil, problem(http.StatusTooManyRequests, "queue-full",
			"another folder is being looked at").after(2 * time.Second)
	}
	ctx, cancel := context.WithTimeout(ctx, maxCheck)
	defer cancel()
	model := s.loaded().Model
	if model != nil {
		model = jobModel{model, background{s.executor}}
	}
	plan, err := starter.Check(ctx, dir, model)
	if err != nil {
		return nil, asProblem(err, "folder", folder)
	}
	plan.Folder, plan.Trains, plan.Minutes = folder, model == nil, defaultMinutes
	plan.Commands = starter.Commands(StartRequest{Way: StartVideos, Path: dir, Minutes: defaultMinutes},
		model != nil)
	return plan, nil
}

// jobModel is a model whose vectors wait for those of requests.
type jobModel struct {
	Model
	embed Embedder
}

func (m jobModel) Embed(ctx context.Context, windows []Window, of Modality) ([]Vectors, error) {
	return m.embed.Embed(ctx, windows, of)
}

// Start begins one of the ways, as a job. With a model there is one way left: the folder is
// indexed with it.
func (s *Server) Start(r StartRequest, key string) (Job, error) {
	starter, err := s.starter()
	if err != nil {
		return Job{}, err
	}
	if r.Minutes == 0 {
		r.Minutes = defaultMinutes
	}
	if r.Minutes < 1 || r.Minutes > maxMinutes {
		return Job{}, badRequest("/minutes", fmt.Sprintf("is not 1 to %d", maxMinutes))
	}
	trained := s.loaded().Model != nil
	switch r.Way {
	case StartDemo:
		if r.Path != "" {
			return Job{}, badRequest("/path", "is not for the demo")
		}
	case StartVideos:
		if trained {
			return s.StartIndex(r.Path, key)
		}
		if r.Path, err = s.indexable(r.Path); err != nil {
			return Job{}, err
		}
	case StartCheckpoint:
		if r.Path, err = s.openable(r.Path); err != nil {
			return Job{}, err
		}
	default:
		return Job{}, badRequest("/way", "is none of demo, videos, checkpoint")
	}
	if trained {
		return Job{}, modelLoaded()
	}
	if s.cfg.Tools.FFmpeg == "" && r.Way != StartCheckpoint {
		return Job{}, noFFmpeg()
	}
	for _, j := range s.Jobs() {
		if j.Kind == startKind && !j.State.Over() && key == "" {
			return Job{}, problem(http.StatusConflict, "already-started", "a start is under way").
				withHint("wait for it or cancel it: it is in the list of jobs")
		}
	}
	return s.StartJob(startKind, key, func(ctx context.Context, report func(Progress)) (any, error) {
		loaded, err := starter.Start(ctx, r, report)
		if err != nil {
			return nil, err
		}
		if err := s.Load(*loaded); err != nil {
			return nil, err
		}
		return map[string]string{"model": loaded.Model.Info().Name}, nil
	})
}

// openable returns the checkpoint that a client names, if it may be read: where folders may
// be indexed, and in the folder of runs.
func (s *Server) openable(path string) (string, error) {
	if path == "" {
		return "", badRequest("/path", "is missing")
	}
	if len(path) > 4096 || strings.ContainsRune(path, 0) {
		return "", badRequest("/path", "is no path")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", badRequest("/path", "is no path")
	}
	real, err := filepath.EvalSymlinks(abs)
	roots := s.cfg.IndexRoots
	if roots != nil && s.cfg.RunsDir != "" {
		if runs, err := filepath.Abs(s.cfg.RunsDir); err == nil {
			if runs, err = filepath.EvalSymlinks(runs); err == nil {
				roots = append(roots[:len(roots):len(roots)], runs)
			}
		}
	}
	if !below(roots, real, err) {
		return "", problem(http.StatusForbidden, "folder-not-allowed",
			"files there may not be opened from here").
			withHint("start the server with --media DIR, or with --model FILE")
	}
	if err != nil {
		return "", badRequest("/path", "cannot be read")
	}
	if info, err := os.Stat(real); err != nil || !info.IsDir() && !info.Mode().IsRegular() {
		return "", badRequest("/path", "is no file and no folder of a run")
	}
	return real, nil
}

// below says whether a path, whose links were followed with the error err, lies below one of
// the roots; nil roots allow any.
func below(roots []string, path string, err error) bool {
	if roots == nil {
		return true
	}
	for _, root := range roots {
		rel, relErr := filepath.Rel(root, path)
		if err == nil && relErr == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

func (s *Server) getStart(w http.ResponseWriter, r *http.Request) error {
	info, err := s.StartInfo(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, info)
}

func (s *Server) postStartCheck(w http.ResponseWriter, r *http.Request) error {
	form, err := s.fields(w, r, "folder")
	if err != nil {
		return err
	}
	plan, err := s.StartCheck(r.Context(), form.Get("folder"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, plan)
}

func (s *Server) postStart(w http.ResponseWriter, r *http.Request) error {
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxKey {
		return badRequest("Idempotency-Key", fmt.Sprintf("is longer than %d bytes", maxKey))
	}
	form, err := s.fields(w, r, "way", "path", "minutes")
	if err != nil {
		return err
	}
	req := StartRequest{Way: StartWay(form.Get("way")), Path: form.Get("path")}
	if text := form.Get("minutes"); text != "" {
		if req.Minutes, err = strconv.Atoi(text); err != nil || req.Minutes < 1 {
			return badRequest("/minutes", fmt.Sprintf("is not 1 to %d", maxMinutes))
		}
	}
	job, err := s.Start(req, key)
	if err != nil {
		return err
	}
	return accepted(w, job)
}
