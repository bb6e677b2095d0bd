package servertest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"avjepa/internal/media"
	"avjepa/internal/server"
)

// Library holds clips that are made when they are opened. Clip i is of kind i mod Kinds;
// some lack sound or picture, and the name of one is not kind to pages.
type Library struct {
	mu    sync.Mutex
	clips []server.Clip
	kind  map[string]int

	scores []server.ChanceScores // of random pairs, when there were as many clips as:
	scored int
}

// NewLibrary returns a library of n clips.
func NewLibrary(n int) *Library {
	l := &Library{kind: map[string]int{}}
	for i := range n {
		l.add(i)
	}
	return l
}

// add makes clip number i.
func (l *Library) add(i int) {
	kind := i % Kinds
	id := fmt.Sprintf("c%05d", i)
	c := server.Clip{ID: id, Name: fmt.Sprintf("%s_%03d", strings.ReplaceAll(Names[kind], " ", "_"), i),
		Labels: []string{Names[kind]}, Split: [...]string{"train", "train", "train", "test"}[i/Kinds%4],
		Seconds: 2, HasVideo: true, HasAudio: true, Width: Width, Height: Height,
		Outcome: string(media.Usable), Flags: []server.Flag{}, Hash: fmt.Sprintf("%064x", i+1),
		Added:  time.Date(2026, 11, 1, 12, i, 0, 0, time.UTC),
		Source: fmt.Sprintf("videos/%s/%03d.mp4", Names[kind], i)}
	switch i % 40 {
	case 11:
		c.Name = `<script>alert("` + "ünï" + `")</script> & 'clip'`
	case 17:
		c.HasAudio, c.Outcome = false, string(media.NoAudio)
		c.Flags = append(c.Flags, server.Flag{Name: "no audio", Detail: "The file has no sound."})
	case 23:
		c.HasVideo, c.Outcome, c.Width, c.Height = false, string(media.NoVideo), 0, 0
		c.Flags = append(c.Flags, server.Flag{Name: "no picture", Detail: "The file has no picture."})
	case 27:
		c.Outcome = string(media.Silent) // its sound is nothing of the kind, but nobody listens
	case 31:
		c.Flags = append(c.Flags, server.Flag{Name: "duplicate", Of: fmt.Sprintf("c%05d", i-8),
			Detail: "Nearly the same as another clip."})
	}
	l.clips = append(l.clips, c)
	l.kind[id] = kind
}

// Info describes the library.
func (l *Library) Info(ctx context.Context) (server.LibraryInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	info := server.LibraryInfo{Name: "toy", Clips: len(l.clips), Bytes: 123456, Model: ModelID, Vectors: "projected",
		LeftOut: []server.LeftOut{{Path: "videos/broken.mp4", Outcome: "corrupt",
			Reason: "not a container"}}, Updated: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)}
	labels, splits, flags := map[string]int{}, map[string]int{}, map[string]int{}
	for _, c := range l.clips {
		info.Seconds += c.Seconds
		splits[c.Split]++
		for _, x := range c.Labels {
			labels[x]++
		}
		for _, f := range c.Flags {
			flags[f.Name]++
		}
	}
	info.Labels, info.Splits, info.Flags = counts(labels), counts(splits), counts(flags)
	if l.scored != len(l.clips) {
		l.scores, l.scored = nil, len(l.clips)
		for _, from := range []server.Modality{server.Audio, server.Video, server.Both} {
			for _, to := range []server.Modality{server.Audio, server.Video, server.Both} {
				l.scores = append(l.scores, l.chance(from, to))
			}
		}
	}
	info.Chance = l.scores
	return info, nil
}

func counts(of map[string]int) []server.Count {
	out := []server.Count{}
	for name, n := range of {
		out = append(out, server.Count{Name: name, Clips: n})
	}
	slices.SortFunc(out, func(a, b server.Count) int {
		return cmp.Or(cmp.Compare(b.Clips, a.Clips), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// chance draws 1000 random pairs; the caller holds mu.
func (l *Library) chance(from, to server.Modality) server.ChanceScores {
	r := rand.New(rand.NewPCG(1, 2))
	var scores []float64
	for range 1000 {
		a, b := r.IntN(len(l.clips)), r.IntN(len(l.clips))
		u, v := l.vector(&l.clips[a], from), l.vector(&l.clips[b], to)
		if a != b && u != nil && v != nil {
			scores = append(scores, dot(u, v))
		}
	}
	slices.Sort(scores)
	out := server.ChanceScores{From: from, To: to}
	for i := range 101 {
		out.Quantiles = append(out.Quantiles, scores[i*(len(scores)-1)/100])
	}
	return out
}

func dot(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// matches reports whether a query selects a clip.
func matches(q *server.ClipQuery, c *server.Clip) bool {
	has := func(text string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(q.Text))
	}
	flagged := func(f server.Flag) bool { return q.Flag == "any" || f.Name == q.Flag }
	return (q.Text == "" || has(c.Name) || slices.ContainsFunc(c.Labels, has)) &&
		(q.Label == "" || slices.Contains(c.Labels, q.Label)) &&
		(q.Split == "" || q.Split == c.Split) &&
		(q.Flag == "" || slices.ContainsFunc(c.Flags, flagged)) &&
		(q.Has == "" || q.Has == server.Audio && c.HasAudio || q.Has == server.Video && c.HasVideo ||
			q.Has == server.Both && c.HasAudio && c.HasVideo)
}

// sortKey returns a text that sorts as an order wants.
func sortKey(order string, c *server.Clip) string {
	switch order {
	case "oldest":
		return c.Added.Format(time.RFC3339)
	case "name":
		return c.Name
	case "longest":
		return fmt.Sprintf("%012.3f", 1e6-c.Seconds)
	case "shortest":
		return fmt.Sprintf("%012.3f", c.Seconds)
	}
	return fmt.Sprintf("%020d", math.MaxInt64-c.Added.UnixNano())
}

// List returns a page of clips.
func (l *Library) List(ctx context.Context, q server.ClipQuery, after *server.Key) (
	[]server.Clip, *server.Key, int, error) {

	l.mu.Lock()
	defer l.mu.Unlock()
	var all []server.Clip
	for _, c := range l.clips {
		if matches(&q, &c) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b server.Clip) int {
		return cmp.Or(cmp.Compare(sortKey(q.Sort, &a), sortKey(q.Sort, &b)), cmp.Compare(a.ID, b.ID))
	})
	total := len(all)
	if after != nil {
		at, _ := slices.BinarySearchFunc(all, *after, func(c server.Clip, k server.Key) int {
			if order := cmp.Or(cmp.Compare(sortKey(q.Sort, &c), k.Value), cmp.Compare(c.ID, k.ID)); order != 0 {
				return order
			}
			return -1 // behind the key itself
		})
		all = all[at:]
	}
	if len(all) <= q.Limit {
		return all, nil, total, nil
	}
	all = all[:q.Limit]
	last := &all[q.Limit-1]
	return all, &server.Key{Value: sortKey(q.Sort, last), ID: last.ID}, total, nil
}

func (l *Library) find(id string) (*server.Clip, error) {
	for i := range l.clips {
		if l.clips[i].ID == id {
			return &l.clips[i], nil
		}
	}
	return nil, fmt.Errorf("clip %s: %w", id, server.ErrNotFound)
}

// Clip returns one clip.
func (l *Library) Clip(ctx context.Context, id string) (server.Clip, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, err := l.find(id)
	if err != nil {
		return server.Clip{}, err
	}
	return *c, nil
}

// vector returns what Model makes of a clip; the caller holds mu.
func (l *Library) vector(c *server.Clip, of server.Modality) []float32 {
	if of != server.Video && !c.HasAudio || of != server.Audio && !c.HasVideo {
		return nil
	}
	v := make([]float32, 2*Kinds)
	kind := l.kind[c.ID]
	if of != server.Audio {
		rgb := colour(kind)
		addColour(v, []byte{rgb.R, rgb.G, rgb.B})
	}
	if of != server.Video {
		for k := range Kinds {
			v[k] += float32(math.Exp(-float64((k - kind) * (k - kind))))
		}
		v[Kinds+1] += .05
	}
	// Clips of a kind differ a little.
	n := 0
	fmt.Sscanf(c.ID, "c%d", &n)
	v[Kinds+2+n%(Kinds-2)] += float32(n%97) / 970
	norm := float32(math.Sqrt(dot(v, v)))
	for i := range v {
		v[i] /= norm
	}
	return v
}

// Vector returns a vector of a clip.
func (l *Library) Vector(ctx context.Context, id string, of server.Modality) ([]float32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, err := l.find(id)
	if err != nil {
		return nil, err
	}
	return l.vector(c, of), nil
}

// Nearest compares with every clip.
func (l *Library) Nearest(ctx context.Context, v []float32, to server.Modality, n server.Nearest) (
	[]server.Near, int, error) {

	l.mu.Lock()
	defer l.mu.Unlock()
	var all []server.Near
	for i := range l.clips {
		c := &l.clips[i]
		if u := l.vector(c, to); u != nil && c.ID != n.Except && matches(&n.Filter, c) {
			all = append(all, server.Near{Clip: *c, Score: dot(u, v)})
		}
	}
	slices.SortFunc(all, func(a, b server.Near) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Clip.ID, b.Clip.ID))
	})
	compared := len(all)
	all = all[min(n.Skip, len(all)):]
	return all[:min(n.Limit, len(all))], compared, nil
}

// Open makes a clip's frames and sound.
func (l *Library) Open(ctx context.Context, id string) (*server.Medium, error) {
	l.mu.Lock()
	found, err := l.find(id)
	if err != nil {
		l.mu.Unlock()
		return nil, err
	}
	c, kind := *found, l.kind[id]
	l.mu.Unlock()
	m := &server.Medium{Outcome: media.Outcome(c.Outcome), Seconds: c.Seconds, HasVideo: c.HasVideo,
		HasAudio: c.HasAudio, FPS: FPS, RateHz: RateHz, Crop: server.Crop{X: 1. / 6, Width: 2. / 3, Height: 1}}
	if c.HasVideo {
		m.Width, m.Height = Width, Height
		for i := range int(c.Seconds * FPS) {
			m.Frames = append(m.Frames, frame(kind, len(id), i))
		}
	}
	if c.HasAudio {
		m.Samples = tone(kind, c.Seconds)
	}
	return m, cut(m)
}

// File returns nothing: there are no files.
func (l *Library) File(ctx context.Context, id string) (*server.Source, error) { return nil, nil }

// Map lays the clips out in a ring of their kinds.
func (l *Library) Map(ctx context.Context, space server.Modality) (*server.Map, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &server.Map{Space: space, Method: "t-SNE, seed 1, perplexity 30", Model: ModelID,
		All: len(l.clips)}
	r := rand.New(rand.NewPCG(3, 4))
	for i := range l.clips {
		c := &l.clips[i]
		if l.vector(c, space) == nil {
			continue
		}
		angle := 2 * math.Pi * float64(l.kind[c.ID]) / Kinds
		at := func(x float64) uint16 {
			return uint16(math.Max(0, math.Min(65535, 32768+22000*x+2500*r.NormFloat64())))
		}
		m.IDs, m.Labels = append(m.IDs, c.ID), append(m.Labels, c.Labels[0])
		m.Points = append(m.Points, [2]uint16{at(math.Cos(angle)), at(math.Sin(angle))})
	}
	return m, nil
}

// Index adds ten clips, slowly enough to be watched.
func (l *Library) Index(ctx context.Context, folder string, e server.Embedder,
	report func(server.Progress)) (server.IndexResult, error) {

	for i := range 10 {
		report(server.Progress{Stage: "embed", Done: int64(i), Total: 10, Unit: "clips"})
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return server.IndexResult{}, context.Cause(ctx)
		}
		w := server.Window{Video: []byte{1, 2, 3}}
		if _, err := e.Embed(ctx, []server.Window{w}, server.Video); err != nil {
			return server.IndexResult{}, err
		}
		l.mu.Lock()
		l.add(len(l.clips))
		l.mu.Unlock()
	}
	return server.IndexResult{Added: 10}, nil
}
