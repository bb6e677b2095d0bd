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

// maxLaidOut bounds the points that t-SNE lays out, evenly chosen: the others are placed
// among them. maxMapPoints bounds all: of more a sample is shown. Of vectors that a server
// keeps, and which have to be fetched, no more are shown than are laid out.
const (
	maxLaidOut   = 10_000
	maxMapPoints = 100_000
)

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
	dims, step := 0, 1
	err := m.x.use(m.ctx, func(l *library.Library) error {
		about, _ := l.Model()
		s, err := l.Stats(m.ctx)
		if err != nil {
			return err
		}
		out.Model, out.All = about.ID, s.Clips
		most := maxMapPoints
		if about.Remote != "" {
			most = maxLaidOut
		}
		step = mapStep(s.Clips*len(spaces), most)
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
		labels, err := l.FirstLabels(m.ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			out.IDs = append(out.IDs, strconv.FormatInt(id, 10))
			out.Labels = append(out.Labels, labels[id])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(ids) < 4 {
		return nil, server.ErrNotFound
	}
	// Multiples of the step again, so that both points of a clip are laid out, or neither.
	step *= mapStep(len(ids), maxLaidOut)
	places, laid, err := layOutRows(m.ctx, tensor.From(rows, len(ids), dims), func(i int) bool {
		return ids[i]%int64(step) == 0
	})
	if err != nil {
		return nil, err
	}
	out.Method = fmt.Sprintf("t-SNE, seed 1, perplexity %.0f", min(30, float64(laid-1)/3))
	if laid < len(ids) {
		out.Method += fmt.Sprintf(", of %d; the others placed among their 5 nearest", laid)
	}
	out.Points = spread(places)
	if space == server.Both {
		out.Partner = partners(ids)
	} else {
		out.Of = nil
	}
	return out, nil
}

// mapStep returns which multiples of IDs to take of n points for no more than about most.
func mapStep(n, most int) int { return max(1, (n+most-1)/most) }

// layOutRows lays out the rows of x (n, D) that first chooses, or all when these are too few,
// and places the others among them. It returns places (n, 2) and how many were laid out.
func layOutRows(ctx context.Context, x tensor.Array, first func(i int) bool) ([]float64, int, error) {
	n, d := x.Shape.Rows(), x.Shape.Cols()
	var order []int
	for i := range n {
		if first(i) {
			order = append(order, i)
		}
	}
	laid := len(order)
	if laid < min(n, 100) {
		order, laid = order[:0], n
		first = func(int) bool { return true }
		for i := range n {
			order = append(order, i)
		}
	}
	for i := range n {
		if !first(i) {
			order = append(order, i)
		}
	}
	rows := make([]float32, 0, n*d)
	for _, i := range order {
		rows = append(rows, x.Data[i*d:(i+1)*d]...)
	}
	sample := tensor.From(rows[:laid*d], laid, d)
	places, err := tsne.Embed(ctx, sample, tsne.Config{Seed: 1}, nil)
	if err != nil {
		return nil, 0, err
	}
	further, err := tsne.Place(ctx, sample, places, tensor.From(rows[laid*d:], n-laid, d))
	if err != nil {
		return nil, 0, err
	}
	places = append(places, further...)
	out := make([]float64, 2*n)
	for at, i := range order {
		out[2*i], out[2*i+1] = places[2*at], places[2*at+1]
	}
	return out, laid, nil
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
