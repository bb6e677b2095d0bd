package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"avjepa/internal/durable"
)

// Server is the state behind the routes. Its methods may be called by many
// goroutines; the errors of those that answer requests are *Problem.
type Server struct {
	cfg     Config
	log     *slog.Logger
	handler http.Handler
	root    *os.Root // Config.Dir
	unlock  func()
	started time.Time

	now      atomic.Pointer[Loaded]
	loading  sync.Mutex // held by the one who changes it
	gate     *gate
	executor *executor
	decoders chan struct{}
	media    *mediaCache
	vectors  *lru[[]float32]
	facts    *lru[facts]
	whys     *lru[*Explanation]
	queries  *queryStore
	cards    *lru[ModelInfo] // of checkpoints of runs
	hashes   *lru[string]    // of them
	hashing  sync.Mutex      // one at a time
	previews *previews
	jobs     *jobs
	runs     *runs
	metrics  *metrics
	access   *access
	streams  chan struct{}
	checks   chan struct{} // holds one: a folder is looked at

	infoMu sync.Mutex
	info   LibraryInfo // of infoAt
	infoAt time.Time

	ctx      context.Context // of everything that outlives a request
	cancel   context.CancelFunc
	stopping chan struct{} // closed when the server is about to stop
	stop     sync.Once
	draining atomic.Bool
}

// New opens a server. The caller must Close it.
func New(cfg Config) (*Server, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	root, err := openDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(filepath.Join(cfg.Dir, ".lock"))
	if err != nil {
		root.Close()
		if errors.Is(err, durable.ErrLocked) {
			err = fmt.Errorf("server: working folder %w: another server works there, choose "+
				"another folder or port", err)
		}
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, root: root, unlock: unlock, started: time.Now(),
		stopping: make(chan struct{}), decoders: make(chan struct{}, cfg.Limits.Decoders),
		streams: make(chan struct{}, cfg.Limits.Streams), checks: make(chan struct{}, 1)}
	s.now.Store(&Loaded{Library: cfg.Library, Model: cfg.Model, Explainer: cfg.Explainer})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.metrics = newMetrics(s)
	s.gate = newGate(cfg.Limits.Queue + cfg.Limits.Decoders)
	s.media = newMediaCache(cfg.Limits.QueryBytes / 2)
	s.vectors = newLRU(3*int64(cfg.Limits.Embeddings), one[[]float32])
	s.facts = newLRU(int64(cfg.Limits.Embeddings), one[facts])
	s.cards, s.hashes = newLRU(2*maxModels, one[ModelInfo]), newLRU(2*maxModels, one[string])
	s.whys = newLRU(256, one[*Explanation])
	s.queries = newQueryStore(cfg.Limits.QueryAge, cfg.Limits.QueryBytes/2)
	s.jobs = newJobs(s.ctx, cfg.Limits.Jobs)
	s.runs = newRuns(cfg.RunsDir)
	s.access = newAccess(&s.cfg)
	s.executor = newExecutor(s.ctx, func() Model { return s.loaded().Model }, cfg.Limits, s.metrics)
	if err := s.sweep(); err != nil {
		s.Close()
		return nil, err
	}
	if s.previews, err = newPreviews(s); err != nil {
		s.Close()
		return nil, err
	}
	s.handler = s.routes()
	return s, nil
}

// Handler returns what answers every request, with all checks.
func (s *Server) Handler() http.Handler { return s.handler }

// Config returns what the server was made with, defaults filled in.
func (s *Server) Config() *Config { return &s.cfg }

// Close cancels jobs and children, waits for them and removes what is temporary.
// Requests must have ended.
func (s *Server) Close() {
	s.beginStop()
	s.cancel()
	s.jobs.wait()
	s.executor.wait()
	if s.previews != nil {
		s.previews.wait()
	}
	if err := s.sweep(); err != nil {
		s.log.Error("uploads are not removed", "error", err)
	}
	s.root.Close()
	s.unlock()
}

// beginStop makes /readyz refuse and ends the event streams.
func (s *Server) beginStop() {
	s.stop.Do(func() {
		s.draining.Store(true)
		close(s.stopping)
	})
}
