package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"avjepa/internal/library"
	"avjepa/internal/server"
	"avjepa/internal/tensor"
	"avjepa/internal/tsne"
)

// servedMaps lays the clips of a library out in the plane, each space once for as long as
// the library stays as it is.
type servedMaps struct {
	x      *servedLibrary
	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu   sync.Mutex
	made map[server.Modality]*layout
}

// layout is a map, or one that is being made.
type layout struct {
	done   chan struct{}
	of     string // what the library was like
	result *server.Map
	err    error
	told   atomic.Bool // somebody was given result or err
}

// maxMapPoints bounds the points of a map: more are a sample, evenly chosen.
const maxMapPoints = 10_000

// mapWait is how long a request waits for a map.
const mapWait = 5 * time.Second

func newServedMaps(x *servedLibrary) *servedMaps {
	m := &servedMaps{x: x, made: map[server.Modality]*layout{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

func (m *servedMaps) close() {
	m.cancel()
	m.group.Wait()
}

// Map returns the layout of a space. While it is being made the old one is shown, or
// clients are asked to come back.
func (x *servedLibrary) Map(ctx context.Context, space server.Modality) (*server.Map, error) {
	var now string
	err := x.use(ctx, func(l *library.Library) error {
		s, err := l.Stats(ctx)
		about, _ := l.Model()
		if s.Clips > 3 && about.ID != "" {
			now = fmt.Sprint(about.ID, s.Embedded, s.Clips)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if now == "" {
		return nil, server.ErrNotFound
	}
	l := x.maps.begin(space, now)
	timer := time.NewTimer(mapWait)
	defer timer.Stop()
	select {
	case <-l.done:
		l.told.Store(true)
		return l.result, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-timer.C:
	}
	return nil, &server.Problem{Type: "/docs/errors#map-pending", Title: "Map pending", Status: 503,
		Code: "map-pending", Detail: "the map is being laid out", RetryAfter: 5 * time.Second}
}

// begin begins to lay a space out, unless that is done or under way.
func (m *servedMaps) begin(space server.Modality, of string) *layout {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.made[space]; l != nil {
		select {
		case <-l.done:
			// A failure is told once, perhaps to who asks a second time; then it is tried again.
			if l.of == of && (l.err == nil || !l.told.Load()) {
				return l
			}
		default:
			return l
		}
	}
	l := &layout{done: make(chan struct{}), of: of}
	m.made[space] = l
	m.group.Go(func() {
		defer close(l.done)
		l.result, l.err = m.layOut(space)
	})
	return l
}

// layOut makes the map of a space; that of both has two points for a clip, heard and seen.
func (m *servedMaps) layOut(space server.Modality) (*server.Map, error) {
	spaces := []server.Modality{space}
	if space == server.Both {
		spaces = []server.Modality{server.Audio, server.Video}
	}
	out := &server.Map{Space: space}
	var rows []float32
	var ids []int64
	dims := 0
	err := m.x.use(m.ctx, func(l *library.Library) error {
		about, _ := l.Model()
		s, err := l.Stats(m.ctx)
		if err != nil {
			return err
		}
		out.Model, out.All = about.ID, s.Clips
		step := 1 + s.Clips*len(spaces)/(maxMapPoints+1)
		for _, of := range spaces {
			// By id, so that both points of a clip are there.
			found, data, n, err := l.Vectors(m.ctx, inLibrary(of), func(id int64) bool { return id%int64(step) == 0 })
			if err != nil {
				return err
			}
			ids, rows, dims = append(ids, found...), append(rows, data...), n
			for range found {
				out.Of = append(out.Of, of)
			}
		}
		m.x.vectorsBack()
		for _, id := range ids {
			label := ""
			if c, err := l.Clip(m.ctx, id); err == nil && len(c.Labels) > 0 {
				label = c.Labels[0]
			}
			out.IDs = append(out.IDs, strconv.FormatInt(id, 10))
			out.Labels = append(out.Labels, label)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(ids) < 4 {
		return nil, server.ErrNotFound
	}
	out.Method = fmt.Sprintf("t-SNE, seed 1, perplexity %.0f", min(30, float64(len(ids)-1)/3))
	places, err := tsne.Embed(m.ctx, tensor.From(rows, len(ids), dims), tsne.Config{Seed: 1}, nil)
	if err != nil {
		return nil, err
	}
	out.Points = spread(places)
	if space == server.Both {
		out.Partner = partners(ids)
	} else {
		out.Of = nil
	}
	return out, nil
}

// partners returns for each place the other place of the same clip, −1 for none.
func partners(ids []int64) []int32 {
	first := map[int64]int{}
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = -1
		if j, ok := first[id]; ok {
			out[i], out[j] = int32(j), int32(i)
		} else {
			first[id] = i
		}
	}
	return out
}

// spread scales places to 0…65535, both axes alike.
func spread(places []float64) [][2]uint16 {
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for i, p := range places {
		lo[i%2], hi[i%2] = min(lo[i%2], p), max(hi[i%2], p)
	}
	size := max(hi[0]-lo[0], hi[1]-lo[1], 1e-9)
	out := make([][2]uint16, len(places)/2)
	for i, p := range places {
		middle := (lo[i%2] + hi[i%2]) / 2
		out[i/2][i%2] = uint16(math.Round(65535 * ((p-middle)/size + .5)))
	}
	return out
}
