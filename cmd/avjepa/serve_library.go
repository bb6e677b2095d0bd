package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/encoder"
	"avjepa/internal/library"
	"avjepa/internal/media"
	"avjepa/internal/server"
)

// servedLibrary is a library folder as the server wants one. It is read, so that others
// may index into it meanwhile; what they add is seen a moment later. The folder need not
// be there yet.
type servedLibrary struct {
	dir   string
	model *servedModel // nil: none
	tools media.Tools

	log *slog.Logger

	mu     sync.RWMutex     // of l and remote: held while l is used
	l      *library.Library // nil: there is none yet
	remote string           // where its vectors were when it was opened; empty: in its file

	looking sync.Mutex // of looked
	looked  time.Time

	away atomic.Bool // the server with the vectors did not do what it was asked last

	counted sync.Mutex
	counts  library.Stats // as of countAt
	countAt time.Time

	sets   sync.Mutex
	opened map[string]*servedSet // by location

	chosen sync.Mutex
	picks  map[server.ClipQuery]*selection

	maps *servedMaps
}

// servedSet is a data set with the places of its clips.
type servedSet struct {
	set *dataset.Set
	at  map[string]int
}

func openServedLibrary(ctx context.Context, dir string, m *servedModel, tools media.Tools, log *slog.Logger) (
	*servedLibrary, error) {

	x := &servedLibrary{dir: dir, model: m, tools: tools, log: log, opened: map[string]*servedSet{},
		picks: map[server.ClipQuery]*selection{}}
	x.maps = newServedMaps(x)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return x, nil
	}
	return x, x.open(ctx)
}

// open opens the folder with the vectors of the model that is loaded, or, when it has none
// of them, with those used last.
func (x *servedLibrary) open(ctx context.Context) error {
	o := library.Options{}
	if x.model != nil {
		o.Model = x.model.x.ID()
	}
	l, _, err := openWithVectors(ctx, x.dir, o, servedRemote)
	if errors.Is(err, library.ErrNoModel) {
		l, _, err = openWithVectors(ctx, x.dir, library.Options{}, servedRemote)
	}
	if errors.Is(err, library.ErrNotLibrary) {
		return nil
	}
	if err != nil {
		return err
	}
	x.mu.Lock()
	old := x.l
	x.l = l
	about, ok := l.Model()
	x.remote = about.Remote
	if ok && x.model != nil {
		x.model.read.Store(&encoder.ReadOptions{Windows: about.Windows,
			Stride: time.Duration(about.Stride * float64(time.Second))})
	}
	x.mu.Unlock()
	x.counted.Lock()
	x.countAt = time.Time{}
	x.counted.Unlock()
	if old != nil {
		old.Close()
	}
	return nil
}

// there says whether the folder is a library.
func (x *servedLibrary) there() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.l != nil
}

// other says whether the library has vectors, and none of the model that is loaded.
func (x *servedLibrary) other() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.l == nil || x.model == nil {
		return false
	}
	about, ok := x.l.Model()
	return ok && about.ID != x.model.x.ID()
}

func (x *servedLibrary) close() {
	x.maps.close()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.l != nil {
		x.l.Close()
		x.l = nil
	}
}

// stats are the library's, perhaps two seconds old: every search asks for them.
func (x *servedLibrary) stats(ctx context.Context, l *library.Library) (library.Stats, error) {
	x.counted.Lock()
	defer x.counted.Unlock()
	if time.Since(x.countAt) < 2*time.Second {
		return x.counts, nil
	}
	s, err := l.Stats(ctx)
	if err == nil {
		x.counts, x.countAt = s, time.Now()
	}
	return s, err
}

// inLibrary translates a modality.
func inLibrary(m server.Modality) library.Modality { return library.Modality(modalityOf[m]) }

var allModalities = []server.Modality{server.Audio, server.Video, server.Both}

// Info describes the library.
func (x *servedLibrary) Info(ctx context.Context) (server.LibraryInfo, error) {
	info := server.LibraryInfo{Name: x.dir, Labels: []server.Count{}, Splits: []server.Count{},
		Flags: []server.Count{}, LeftOut: []server.LeftOut{}, Chance: []server.ChanceScores{}}
	err := x.use(ctx, func(l *library.Library) error {
		s, err := l.Stats(ctx)
		if err != nil {
			return err
		}
		labels, err := l.Labels(ctx)
		if err != nil {
			return err
		}
		splits, err := l.Splits(ctx)
		if err != nil {
			return err
		}
		left, err := l.LeftOut(ctx)
		if err != nil {
			return err
		}
		info.Clips, info.Seconds, info.Bytes = s.Clips, s.Seconds, s.Bytes
		about, _ := l.Model()
		info.Model, info.Vectors = about.ID, about.Embedding
		for _, c := range labels[:min(len(labels), 1000)] {
			info.Labels = append(info.Labels, server.Count(c))
		}
		for _, c := range splits {
			if c.Name != "" {
				info.Splits = append(info.Splits, server.Count(c))
			}
		}
		for _, f := range flagTexts {
			if n := s.Flags[f.name]; n > 0 {
				info.Flags = append(info.Flags, server.Count{Name: f.name, Clips: n})
			}
		}
		for _, f := range left[:min(len(left), 1000)] {
			info.LeftOut = append(info.LeftOut, server.LeftOut{Path: f.Key, Outcome: f.Outcome, Reason: f.Reason})
			info.Updated = later(info.Updated, f.Added)
		}
		for _, from := range allModalities {
			for _, to := range allModalities {
				if n := l.Null(inLibrary(from), inLibrary(to)); n != nil {
					info.Chance = append(info.Chance, chanceScores(from, to, n))
				}
			}
		}
		newest, err := l.Clips(ctx, library.Filter{}, library.Page{Descending: true, Limit: 1})
		if err == nil && len(newest.Clips) > 0 {
			info.Updated = later(info.Updated, newest.Clips[0].Added)
		}
		return err
	})
	return info, err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// chanceScores keeps every tenth of a thousand quantiles.
func chanceScores(from, to server.Modality, n *library.Null) server.ChanceScores {
	out := server.ChanceScores{From: from, To: to}
	for i := 0; i < len(n.Quantiles); i += 10 {
		out.Quantiles = append(out.Quantiles, float64(n.Quantiles[i]))
	}
	return out
}

// flagTexts say what the flags mean.
var flagTexts = []struct{ name, text string }{
	{library.FlagSilent, "The sound is there, but nothing is to be heard."},
	{library.FlagStill, "All frames are the same picture."},
	{library.FlagDuplicate, "Nearly the same as another clip."},
	{library.FlagNoAudio, "The file has no sound."},
	{library.FlagNoVideo, "The file has no picture."},
}

// clip is a library's clip as the server shows it.
func (x *servedLibrary) clip(ctx context.Context, l *library.Library, c *library.Clip) server.Clip {
	out := server.Clip{ID: strconv.FormatInt(c.ID, 10), Name: c.Name(), Labels: c.Labels, Split: c.Split,
		Seconds: c.Seconds, HasVideo: c.HasVideo, HasAudio: c.HasAudio, Width: c.Width, Height: c.Height,
		Outcome: outcomeOf(c), Flags: []server.Flag{}, Hash: c.Hash, Bytes: c.Bytes,
		Added: c.Added.UTC(), Source: c.Key}
	if c.Data != "" {
		out.Source = c.Data + " " + c.Key
	}
	if out.Labels == nil {
		out.Labels = []string{}
	}
	if out.Hash == "" {
		out.Hash = fmt.Sprintf("%d-%d", c.Bytes, c.Modified.UnixNano())
	}
	for _, name := range c.Flags() {
		f := server.Flag{Name: name}
		for _, t := range flagTexts {
			if t.name == name {
				f.Detail = t.text
			}
		}
		if name == library.FlagDuplicate {
			if pairs, err := l.Duplicates(ctx, c.ID); err == nil && len(pairs) > 0 {
				other := pairs[0].Other
				if other == c.ID {
					other = pairs[0].Clip
				}
				f.Of = strconv.FormatInt(other, 10)
			}
		}
		out.Flags = append(out.Flags, f)
	}
	return out
}

func outcomeOf(c *library.Clip) string {
	switch {
	case !c.HasVideo:
		return string(media.NoVideo)
	case !c.HasAudio:
		return string(media.NoAudio)
	case c.Silent:
		return string(media.Silent)
	case c.Still:
		return string(media.StillImage)
	}
	return string(media.Usable)
}

// find returns a clip by the id that clients have.
func (x *servedLibrary) find(ctx context.Context, id string) (out library.Clip, err error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != id {
		return out, fmt.Errorf("clip %q: %w", id, server.ErrNotFound)
	}
	err = server.ErrNotFound
	if e := x.use(ctx, func(l *library.Library) error {
		out, err = l.Clip(ctx, n)
		return nil
	}); e != nil {
		return out, e
	}
	if errors.Is(err, library.ErrNoClip) {
		err = fmt.Errorf("%w: %w", server.ErrNotFound, err)
	}
	return out, err
}

// Clip returns one clip.
func (x *servedLibrary) Clip(ctx context.Context, id string) (server.Clip, error) {
	c, err := x.find(ctx, id)
	if err != nil {
		return server.Clip{}, err
	}
	var out server.Clip
	err = x.use(ctx, func(l *library.Library) error {
		out = x.clip(ctx, l, &c)
		return nil
	})
	return out, err
}

// Vector returns a clip's vector, nil for one it does not have.
func (x *servedLibrary) Vector(ctx context.Context, id string, of server.Modality) (v []float32, err error) {
	c, err := x.find(ctx, id)
	if err != nil {
		return nil, err
	}
	err = x.use(ctx, func(l *library.Library) error {
		v, err = l.Vector(ctx, c.ID, inLibrary(of))
		if errors.Is(err, library.ErrNoClip) {
			err = nil
		}
		if err == nil {
			x.vectorsBack()
		}
		return err
	})
	return v, err
}

// Nearest compares with every clip.
func (x *servedLibrary) Nearest(ctx context.Context, v []float32, to server.Modality, n server.Nearest) (
	found []server.Near, compared int, err error) {

	err = x.use(ctx, func(l *library.Library) error {
		stats, err := x.stats(ctx, l)
		if err != nil || stats.Embedded[inLibrary(to)] == 0 {
			return err
		}
		sel, err := x.selected(ctx, l, &n.Filter)
		if err != nil {
			return err
		}
		q := library.Query{Vector: v, From: inLibrary(n.From), In: inLibrary(to),
			K: min(n.Skip+n.Limit, library.MaxK)}
		if id, err := strconv.ParseInt(n.Except, 10, 64); err == nil {
			q.Exclude = []int64{id}
		}
		compared = stats.Embedded[inLibrary(to)] - len(q.Exclude)
		if sel.ids != nil {
			q.Keep = func(id int64) bool { return sel.ids[id] }
			compared = min(compared, sel.count)
		}
		hits, err := l.Search(ctx, q)
		if err != nil {
			return err
		}
		x.vectorsBack()
		for _, h := range hits[min(n.Skip, len(hits)):] {
			c, err := l.Clip(ctx, h.ID)
			if errors.Is(err, library.ErrNoClip) {
				continue // it went away in this moment
			}
			if err != nil {
				return err
			}
			found = append(found, server.Near{Clip: x.clip(ctx, l, &c), Score: float64(h.Score)})
		}
		return nil
	})
	return found, compared, err
}
