package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// previews are the files made of clips: what browsers play and show. Each is made once,
// by one maker however many ask, and kept on disk within a bound, the last used the
// longest. A file is called KEY-HASH.EXT after what it was made of and after its bytes.
type previews struct {
	s    *Server
	most int64

	mu     sync.Mutex
	bytes  int64
	files  map[string]*preview // by key
	making map[string]*making
	makers chan struct{}
	group  sync.WaitGroup
}

type preview struct {
	name  string // below the folder
	bytes int64
	etag  string
	used  time.Time
}

type making struct {
	done chan struct{}
	err  error
}

// maxMaking bounds the previews that are made or wait for their turn.
const maxMaking = 256

func newPreviews(s *Server) (*previews, error) {
	p := &previews{s: s, most: s.cfg.Limits.PreviewBytes, files: map[string]*preview{},
		making: map[string]*making{}, makers: make(chan struct{}, s.cfg.Limits.Decoders)}
	dir, err := s.root.Open(previewsDir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		info, err := e.Info()
		key, rest, ok := strings.Cut(name, "-")
		etag, _, _ := strings.Cut(rest, ".")
		if err != nil || !ok || !info.Mode().IsRegular() || len(key) != keyLength || etag == "" {
			// Half of one that a kill has left, or nothing of ours: the folder is.
			if err := s.root.RemoveAll(filepath.Join(previewsDir, name)); err != nil {
				return nil, err
			}
			continue
		}
		p.files[key] = &preview{name: name, bytes: info.Size(), etag: etag, used: info.ModTime()}
		p.bytes += info.Size()
	}
	p.evict()
	return p, nil
}

// wait returns when nothing is being made any more.
func (p *previews) wait() { p.group.Wait() }

// keyLength is that of a key: half a SHA-256, hexadecimal.
const keyLength = 32

// previewVersion changes when previews of the same clip come to look otherwise.
const previewVersion = "1"

func previewKey(kind string, of ...string) string {
	sum := sha256.Sum256([]byte(previewVersion + "\x00" + kind + "\x00" + strings.Join(of, "\x00")))
	return hex.EncodeToString(sum[:])[:keyLength]
}

// open returns the preview under key, made by write if it is not there yet. write gets
// the path of a file that is its own. The maker does not stop when the one who asked
// goes away. A preview that takes longer than Limits.PreviewWait is a problem that asks
// to come back.
func (p *previews) open(ctx context.Context, key, ext string,
	write func(ctx context.Context, path string) error) (f *os.File, etag string, err error) {

	for range 3 { // it may be evicted between being made and being opened
		f, etag, err = p.find(key)
		if f != nil || err != nil {
			return f, etag, err
		}
		m, err := p.make(key, ext, write)
		if err != nil {
			return nil, "", err
		}
		timer := time.NewTimer(p.s.cfg.Limits.PreviewWait)
		select {
		case <-m.done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-timer.C:
			err = pending()
		}
		timer.Stop()
		if err == nil {
			err = m.err
		}
		if err != nil {
			return nil, "", err
		}
	}
	return nil, "", pending()
}

func pending() *Problem {
	return problem(http.StatusServiceUnavailable, "preview-pending",
		"the preview is being made").after(2 * time.Second)
}

// find opens the preview under key; a nil file: there is none.
func (p *previews) find(key string) (*os.File, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.files[key]
	if x == nil {
		return nil, "", nil
	}
	f, err := p.s.root.Open(filepath.Join(previewsDir, x.name))
	if errors.Is(err, os.ErrNotExist) { // somebody tidied up
		p.drop(key)
		return nil, "", nil
	}
	x.used = time.Now()
	return f, x.etag, err
}

// make begins to make the preview under key, or joins who does.
func (p *previews) make(key, ext string, write func(context.Context, string) error) (
	*making, error) {

	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.making[key]; m != nil {
		return m, nil
	}
	if len(p.making) >= maxMaking {
		p.s.metrics.rejections.Inc()
		return nil, pending()
	}
	if p.s.draining.Load() {
		return nil, stoppingProblem()
	}
	m := &making{done: make(chan struct{})}
	p.making[key] = m
	p.group.Add(1)
	go func() {
		defer p.group.Done()
		m.err = guard(func() error { return p.run(key, ext, write) })
		p.mu.Lock()
		delete(p.making, key)
		p.mu.Unlock()
		close(m.done)
	}()
	return m, nil
}

// makeTime bounds the making of one preview.
const makeTime = 3 * time.Minute

func (p *previews) run(key, ext string, write func(context.Context, string) error) error {
	ctx, cancel := context.WithTimeout(p.s.ctx, makeTime)
	defer cancel()
	select {
	case p.makers <- struct{}{}:
		defer func() { <-p.makers }()
	case <-ctx.Done():
		return stoppingProblem()
	}
	temporary := filepath.Join(previewsDir, key+ext)
	path := filepath.Join(p.s.cfg.Dir, temporary)
	defer p.s.root.Remove(temporary) // it has another name by then, unless this failed
	if err := write(ctx, path); err != nil {
		if p.s.ctx.Err() != nil {
			return stoppingProblem()
		}
		return err
	}
	f, err := p.s.root.Open(temporary)
	if err != nil {
		return err
	}
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	f.Close()
	if err != nil {
		return err
	}
	x := &preview{bytes: size, etag: hex.EncodeToString(sum.Sum(nil))[:keyLength], used: time.Now()}
	x.name = fmt.Sprintf("%s-%s%s", key, x.etag, ext)
	if err := p.s.root.Rename(temporary, filepath.Join(previewsDir, x.name)); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.files[key]; old != nil {
		p.bytes -= old.bytes
	}
	p.files[key] = x
	p.bytes += size
	p.evict()
	return nil
}

// evict removes what was not used for the longest until the rest is within the bound;
// the caller holds mu.
func (p *previews) evict() {
	if p.bytes > p.most {
		keys := make([]string, 0, len(p.files))
		for key := range p.files {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, func(a, b string) int {
			return cmp.Or(p.files[a].used.Compare(p.files[b].used), cmp.Compare(a, b))
		})
		// A tenth more than needed, so that not every new one sorts all.
		for _, key := range keys[:max(0, len(keys)-1)] {
			if p.bytes <= p.most-p.most/10 {
				break
			}
			p.drop(key)
		}
	}
	p.s.metrics.previewBytes.Set(float64(p.bytes))
}

func (p *previews) drop(key string) {
	x := p.files[key]
	delete(p.files, key)
	p.bytes -= x.bytes
	_ = p.s.root.Remove(filepath.Join(previewsDir, x.name))
}
