package pages_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"avjepa/internal/media"
	"avjepa/internal/scenes"
	"avjepa/internal/server"
	"avjepa/internal/server/browsertest"
	"avjepa/internal/server/servertest"
	"avjepa/internal/view"
)

// library is a small library of real files whose vectors are made up from their
// labels, so that pages can be looked at in every state without a trained model.
type library struct {
	tools  media.Tools
	clips  []server.Clip
	paths  map[string]string
	vector map[string][]float32 // id + modality
	extra  int                  // points of the map beside those of the clips

	mu     sync.Mutex
	opened map[string]*server.Medium
}

const dims = 16

// unit returns a vector of unit length: mostly of the label, partly of the clip.
func unit(label, own string, share float64) []float32 {
	v := make([]float32, dims)
	for part, text := range map[float64]string{share: label, 1 - share: own} {
		h := fnv.New64a()
		h.Write([]byte(text))
		r := rand.New(rand.NewPCG(h.Sum64(), 7))
		for i := range v {
			v[i] += float32(part * r.NormFloat64())
		}
	}
	norm := 0.0
	for _, x := range v {
		norm += float64(x) * float64(x)
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(norm))
	}
	return v
}

// sources are the files of a test's library: films and sounds with their labels.
type sources struct {
	films, sounds []string
	label         func(path string) string
}

// realSources are the clips and sounds in shared/data; nil when they are not there.
func realSources(t testing.TB) *sources {
	t.Helper()
	dir, err := filepath.Abs("../../../../shared/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		if browsertest.Required("shared") {
			t.Fatalf("AVJEPA_REQUIRE has shared: %v", err)
		}
		return nil
	}
	s := &sources{label: func(path string) string {
		label, _, _ := strings.Cut(filepath.Base(path), "_")
		return label
	}}
	s.films, _ = filepath.Glob(filepath.Join(dir, "clips", "misc", "*.mp4"))
	s.sounds, _ = filepath.Glob(filepath.Join(dir, "sounds", "esc10", "*.ogg"))
	if len(s.films) < 5 || len(s.sounds) < 3 {
		t.Fatalf("%s has %d films and %d sounds", dir, len(s.films), len(s.sounds))
	}
	s.sounds = s.sounds[:3]
	return s
}

// madeSources are scenes as the demo makes them, where nothing real is at hand.
func madeSources(t testing.TB, tools media.Tools) *sources {
	t.Helper()
	dir := t.TempDir()
	cfg := scenes.Default()
	cfg.Train, cfg.HeldOut, cfg.Side, cfg.ScenesPerFile, cfg.Workers = 20, 1, 144, 1, 2
	if err := scenes.Write(t.Context(), tools, dir, cfg, nil); err != nil {
		t.Fatal(err)
	}
	s := &sources{label: func(path string) string {
		var i int
		if _, err := fmt.Sscanf(filepath.Base(path), "train-%d.mp4", &i); err == nil {
			return scenes.Labels()[cfg.Scene(scenes.Train, i).Kind]
		}
		return "tone"
	}}
	s.films, _ = filepath.Glob(filepath.Join(dir, "train-*.mp4"))
	for i := range 3 {
		path := filepath.Join(dir, fmt.Sprintf("tone-%d.wav", i))
		if err := os.WriteFile(path, servertest.Tone(i, 4), 0o644); err != nil {
			t.Fatal(err)
		}
		s.sounds = append(s.sounds, path)
	}
	return s
}

// newLibrary makes a library of files.
func newLibrary(tools media.Tools, s *sources) *library {
	l := &library{tools: tools, paths: map[string]string{}, vector: map[string][]float32{},
		opened: map[string]*server.Medium{}}
	for i, path := range slices.Concat(s.films, s.sounds) {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		label := s.label(path)
		c := server.Clip{ID: fmt.Sprintf("clip%02d", i), Name: name, Labels: []string{label},
			Split: "val", Seconds: 3, HasVideo: strings.HasSuffix(path, ".mp4"), HasAudio: true,
			Width: 224, Height: 224, Outcome: "ok", Flags: []server.Flag{}, Hash: name, Bytes: fileBytes(path),
			Added: time.Date(2026, 11, 20, 12, i, 0, 0, time.UTC), Source: filepath.Base(path)}
		if !c.HasVideo {
			c.Width, c.Height = 0, 0
			c.Flags = append(c.Flags, server.Flag{Name: "no picture", Detail: "The file has sound alone."})
		}
		l.clips = append(l.clips, c)
		l.paths[c.ID] = path
		l.vector[c.ID+"audio"] = unit(label, name, .7)
		if c.HasVideo {
			l.vector[c.ID+"video"] = unit(label, name+"v", .6)
			l.vector[c.ID+"both"] = unit(label, name+"b", .65)
		}
	}
	return l
}

func (l *library) Info(context.Context) (server.LibraryInfo, error) {
	info := server.LibraryInfo{Name: "test", Clips: len(l.clips), Model: "test-model",
		LeftOut: []server.LeftOut{{Path: "holiday/broken.mp4", Outcome: "corrupt",
			Reason: "no frame could be decoded"}}}
	labels := map[string]int{}
	for _, c := range l.clips {
		info.Seconds += c.Seconds
		for _, x := range c.Labels {
			labels[x]++
		}
		for range c.Flags {
			info.Flags = []server.Count{{Name: "no picture", Clips: 3}, {Name: "duplicate", Clips: 2}}
		}
	}
	for name, n := range labels {
		info.Labels = append(info.Labels, server.Count{Name: name, Clips: n})
	}
	sort.Slice(info.Labels, func(i, j int) bool {
		a, b := info.Labels[i], info.Labels[j]
		return a.Clips > b.Clips || a.Clips == b.Clips && a.Name < b.Name
	})
	for _, d := range [][2]server.Modality{{"audio", "video"}, {"video", "audio"}, {"both", "both"},
		{"audio", "audio"}, {"video", "video"}} {
		var q []float64
		for i := 0; i <= 100; i++ {
			q = append(q, -.6+1.1*float64(i)/100)
		}
		info.Chance = append(info.Chance, server.ChanceScores{From: d[0], To: d[1], Quantiles: q})
	}
	return info, nil
}

func (l *library) pick(q server.ClipQuery) []server.Clip {
	var out []server.Clip
	for _, c := range l.clips {
		if q.Text != "" && !strings.Contains(c.Name, q.Text) ||
			q.Label != "" && !slices.Contains(c.Labels, q.Label) ||
			q.Has == server.Video && !c.HasVideo || q.Flag != "" && len(c.Flags) == 0 {
			continue
		}
		out = append(out, c)
	}
	return out
}

func (l *library) List(_ context.Context, q server.ClipQuery, after *server.Key) (
	[]server.Clip, *server.Key, int, error) {

	all := l.pick(q)
	from := 0
	if after != nil {
		from = 1 + slices.IndexFunc(all, func(c server.Clip) bool { return c.ID == after.ID })
	}
	page := all[from:]
	if len(page) <= q.Limit {
		return page, nil, len(all), nil
	}
	page = page[:q.Limit]
	return page, &server.Key{Value: page[len(page)-1].ID, ID: page[len(page)-1].ID}, len(all), nil
}

func (l *library) Clip(_ context.Context, id string) (server.Clip, error) {
	for _, c := range l.clips {
		if c.ID == id {
			return c, nil
		}
	}
	return server.Clip{}, server.ErrNotFound
}

func (l *library) Vector(_ context.Context, id string, of server.Modality) ([]float32, error) {
	return l.vector[id+string(of)], nil
}

func (l *library) Nearest(_ context.Context, v []float32, to server.Modality, n server.Nearest) (
	found []server.Near, compared int, err error) {

	for _, c := range l.pick(n.Filter) {
		w := l.vector[c.ID+string(to)]
		if w == nil || c.ID == n.Except {
			continue
		}
		score := 0.0
		for i := range v {
			score += float64(v[i]) * float64(w[i])
		}
		found = append(found, server.Near{Clip: c, Score: score})
	}
	compared = len(found)
	sort.SliceStable(found, func(i, j int) bool { return found[i].Score > found[j].Score })
	found = found[min(n.Skip, len(found)):]
	return found[:min(n.Limit, len(found))], compared, nil
}

func (l *library) Open(ctx context.Context, id string) (*server.Medium, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.opened[id]; m != nil {
		return m, nil
	}
	m, err := decode(ctx, l.tools, l.paths[id])
	if err == nil {
		l.opened[id] = m
	}
	return m, err
}

func (l *library) File(context.Context, string) (*server.Source, error) { return nil, nil }

func (l *library) Map(_ context.Context, space server.Modality) (*server.Map, error) {
	if space == server.Video {
		return nil, server.ErrNotFound
	}
	m := &server.Map{Space: space, Method: "t-SNE, seed 1, perplexity 5", Model: "test-model",
		All: len(l.clips)}
	for i := range len(l.clips) + l.extra {
		c := l.clips[i%len(l.clips)]
		for k, of := range []server.Modality{server.Audio, server.Video} {
			if l.vector[c.ID+string(of)] == nil || space != server.Both && of != space {
				continue
			}
			v := unit(c.Labels[0], fmt.Sprint(c.Name, i, of), .8)
			m.IDs = append(m.IDs, c.ID)
			m.Labels = append(m.Labels, c.Labels[0])
			m.Of = append(m.Of, of)
			partner := int32(-1)
			if n := len(m.IDs); k == 1 && space == server.Both {
				partner = int32(n - 2)
				m.Partner[n-2] = int32(n - 1)
			}
			m.Partner = append(m.Partner, partner)
			place := func(x float32) uint16 { return uint16(65535 * (.5 + .45*math.Tanh(float64(x)*2))) }
			m.Points = append(m.Points, [2]uint16{place(v[0]), place(v[1])})
		}
	}
	return m, nil
}

// decode reads the first three seconds of a file as a model would see it.
func decode(ctx context.Context, tools media.Tools, path string) (*server.Medium, error) {
	var m *server.Medium
	cfg := media.DecodeConfig{ShortSide: 224, FPS: 12.5, SampleRateHz: 16000}
	err := tools.Decode(ctx, path, cfg, []media.Segment{{End: 3}}, func(_ int, c *media.Clip) error {
		m = &server.Medium{Outcome: c.Outcome, Reason: c.Reason, Seconds: c.Seconds,
			HasVideo: c.HasVideo, HasAudio: c.HasAudio, Frames: c.Frames, FPS: c.FPS, Width: c.Width,
			Height: c.Height, Samples: c.Samples, RateHz: 16000, Windows: []server.Window{{}}}
		if c.HasVideo {
			m.Windows[0].Video = []byte{1}
		}
		if c.HasAudio {
			m.Windows[0].Audio = []float32{float32(len(c.Samples))}
		}
		if c.HasVideo {
			m.Crop = server.Crop{X: .05, Y: .05, Width: .9, Height: .9}
		}
		return nil
	})
	return m, err
}

// model makes vectors up from what it is given.
type model struct {
	tools media.Tools
	mel   *view.LogMel
}

const bands = 64

func newModel(t testing.TB, tools media.Tools) *model {
	t.Helper()
	mel, err := view.NewLogMel(view.MelConfig{SampleRateHz: 16000, NFFT: 400, Hop: 160,
		Bands: bands, FMax: 8000})
	if err != nil {
		t.Fatal(err)
	}
	return &model{tools: tools, mel: mel}
}

func (m *model) Info() server.ModelInfo {
	chance := .05
	return server.ModelInfo{ID: "test-model", Name: "demo", Run: "demo", Step: 1200,
		Parameters: 740000, Dims: 64, Projected: dims, Seconds: 2.56, Frames: 16, Side: 32,
		Bands: bands, RateHz: 16000, Engine: "cpu",
		Settings: []server.Setting{{Key: "train.lr", Value: "0.002", Origin: "preset demo"},
			{Key: "loss.lambda", Value: "0.05", Origin: "default"}},
		Files: []server.File{{Name: "checkpoints/step-1200.safetensors", Bytes: 9_400_000,
			SHA256: strings.Repeat("ab", 32)}},
		Measured: []server.Figure{{Name: "A→V R@1", Value: 1.4, Unit: "%", Chance: &chance,
			Clips: 200, Command: "avjepa retrieve runs/demo", Machine: "2 cores",
			Made: time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)}}}
}

func (m *model) Read(ctx context.Context, path string, _ media.Limits) (*server.Medium, error) {
	return decode(ctx, m.tools, path)
}

func (m *model) Mel(x *server.Medium) (*server.Mel, error) {
	samples := make([]float32, len(x.Samples))
	for i, v := range x.Samples {
		samples[i] = float32(v) / 32768
	}
	n := m.mel.Frames(len(samples))
	out := &server.Mel{Bands: bands, Frames: n, Values: make([]float32, bands*n)}
	m.mel.Compute(out.Values, samples, m.mel.NewScratch())
	for i, v := range out.Values {
		out.Values[i] = (v + 35) / 25
	}
	return out, nil
}

func (m *model) Embed(_ context.Context, windows []server.Window, of server.Modality) (
	[]server.Vectors, error) {

	var out []server.Vectors
	for _, w := range windows {
		v := unit("toy", fmt.Sprint(len(w.Video), len(w.Audio), of), .6)
		out = append(out, server.Vectors{CLS: v, Projected: v, Patches: v})
	}
	return out, nil
}

// Explain lets a bright spot wander over frames and log-mel.
func (m *model) Explain(_ context.Context, sound, picture *server.Medium, start float64) (
	*server.Explanation, error) {

	const steps, rows, columns, aBands, aSteps = 8, 7, 7, 4, 16
	e := &server.Explanation{Model: "test-model", Start: start, Seconds: 2.56,
		AudioToVideo: &server.VideoMap{Steps: steps, Rows: rows, Columns: columns, Crop: picture.Crop},
		VideoToAudio: &server.AudioMap{Bands: aBands, Steps: aSteps}}
	spot := func(x, y, cx, cy float64) float32 {
		return float32(math.Exp(-6*((x-cx)*(x-cx)+(y-cy)*(y-cy))) + .05)
	}
	sum := float32(0)
	for t := range steps {
		for r := range rows {
			for c := range columns {
				w := spot(float64(c)/columns, float64(r)/rows, .2+.6*float64(t)/steps, .45)
				e.AudioToVideo.Weights = append(e.AudioToVideo.Weights, w)
				sum += w
			}
		}
	}
	for i := range e.AudioToVideo.Weights {
		e.AudioToVideo.Weights[i] /= sum
	}
	sum = 0
	for b := range aBands {
		for s := range aSteps {
			w := spot(float64(s)/aSteps, float64(b)/aBands, .35, .3)
			e.VideoToAudio.Weights = append(e.VideoToAudio.Weights, w)
			sum += w
		}
	}
	for i := range e.VideoToAudio.Weights {
		e.VideoToAudio.Weights[i] /= sum
	}
	return e, nil
}
