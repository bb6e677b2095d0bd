// Package avjepa embeds videos, sounds and pictures with a trained audio-visual encoder,
// so that a sound finds the pictures that go with it, and a picture the sounds.
//
//	m, err := avjepa.Open("runs/demo", nil)
//	defer m.Close()
//	bark, err := m.EmbedFile(ctx, "bark.wav")
//	clip, err := m.EmbedFile(ctx, "dog.mp4")
//	fmt.Println(avjepa.Similar(bark.Audio, clip.Video))
//
// A model is a folder or checkpoint written by the command avjepa, whose other work
// (data sets, training, libraries, the web app) is reached through that command and its
// HTTP interface. Files are decoded by ffmpeg and ffprobe, which must be on the PATH.
package avjepa

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"avjepa/internal/config"
	"avjepa/internal/encoder"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/media"
)

// Options say how a model is run. The zero value is what most want.
type Options struct {
	// Embedding is what stands for a clip: "projected", which training compared; "cls",
	// often better for classifiers; or "patches". Empty means "projected".
	Embedding string
	// Windows are taken evenly over a file and averaged; 0 means 1. With Stride they
	// begin every Stride instead.
	Windows int
	Stride  time.Duration
	// MaxSeconds bounds the files that are read; 0 means 60.
	MaxSeconds float64
	Threads    int // of the engine, 0 for one per core
}

// Model is a trained encoder in memory. Any number of goroutines may use it; files are
// decoded side by side and encoded one after the other.
type Model struct {
	options Options
	tools   media.Tools
	encoder *encoder.Encoder
	engine  engine.Engine
	mu      sync.Mutex // of the encoder
}

// Embedding is what a file looks and sounds like to the model: vectors of unit length,
// nil for what the file does not have.
type Embedding struct {
	Audio []float32 // heard alone
	Video []float32 // seen alone
	Both  []float32 // heard and seen

	Seconds float64
	Windows int    // that were averaged
	Note    string // why a modality is missing, or that a sound is silent; or empty
}

// FileError is the error for a file that cannot be used: what became of it, in one
// word or two such as "corrupt" or "too large", and the reason.
type FileError struct {
	Path, Outcome, Reason string
}

func (e *FileError) Error() string {
	return fmt.Sprintf("avjepa: %s: %s: %s", e.Path, e.Outcome, e.Reason)
}

// Open loads the newest checkpoint of a run folder, or a checkpoint file. Options may
// be nil.
func Open(path string, o *Options) (*Model, error) {
	m := &Model{}
	if o != nil {
		m.options = *o
	}
	switch m.options.Embedding {
	case "":
		m.options.Embedding = "projected"
	case "projected", "cls", "patches":
	default:
		return nil, fmt.Errorf("avjepa: embedding %q is none of projected, cls, patches",
			m.options.Embedding)
	}
	if o := m.options; o.Windows < 0 || o.Stride < 0 || o.Threads < 0 || !(o.MaxSeconds >= 0) {
		return nil, fmt.Errorf("avjepa: windows %d, stride %v, at most %v s, threads %d: none may be negative",
			o.Windows, o.Stride, o.MaxSeconds, o.Threads)
	}
	var err error
	if m.tools, err = media.Find(); err != nil {
		return nil, fmt.Errorf("avjepa: %w", err)
	}
	if m.engine, err = cpu.New(cpu.Config{Threads: m.options.Threads}); err != nil {
		return nil, fmt.Errorf("avjepa: %w", err)
	}
	if m.encoder, err = open(path, m.engine); err != nil {
		m.engine.Close()
		return nil, fmt.Errorf("avjepa: %w", err)
	}
	return m, nil
}

// open opens a model in the processor's precision, whichever it was trained in.
func open(path string, e engine.Engine) (*encoder.Encoder, error) {
	run, err := encoder.Read(path)
	if err != nil {
		return nil, err
	}
	run.Config.Engine.Precision = config.PrecisionF32
	return run.Open(e, encoder.Options{})
}

// Close frees the model's memory. No other method may run or follow.
func (m *Model) Close() error {
	m.encoder.Close()
	return m.engine.Close()
}

// Info describes a model.
type Info struct {
	ID        string // only vectors of one ID may be compared
	Path      string // of the checkpoint
	Steps     int    // that it was trained for
	Dims      int    // of its vectors
	Embedding string
	Seconds   float64 // of a window
}

// Info describes the model.
func (m *Model) Info() Info {
	cls, projected := m.encoder.Dims()
	dims := cls
	if m.options.Embedding == "projected" {
		dims = projected
	}
	return Info{ID: m.encoder.ID(), Path: m.encoder.Path(), Steps: m.encoder.Step(), Dims: dims,
		Embedding: m.options.Embedding, Seconds: m.encoder.Config().View.Seconds}
}

// EmbedFile reads a video, a sound, or a JPEG or PNG picture and embeds what it has. The
// error is a *FileError for a file that cannot be used, else the context's or our own.
func (m *Model) EmbedFile(ctx context.Context, path string) (*Embedding, error) {
	clip, err := m.encoder.ReadFile(ctx, m.tools, path, encoder.ReadOptions{Windows: m.options.Windows,
		Stride: m.options.Stride, MaxSeconds: m.options.MaxSeconds})
	var bad *media.FileError
	if errors.As(err, &bad) {
		return nil, &FileError{Path: path, Outcome: string(bad.Outcome), Reason: bad.Reason}
	}
	if err != nil {
		return nil, fmt.Errorf("avjepa: %s: %w", path, err)
	}
	out := &Embedding{Seconds: clip.Seconds, Windows: len(clip.Windows)}
	if clip.Outcome != media.Usable {
		out.Note = string(clip.Outcome)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, want := range []struct {
		m   encoder.Modality
		dst *[]float32
	}{{encoder.Audio, &out.Audio}, {encoder.Video, &out.Video}, {encoder.Both, &out.Both}} {
		if clip.Modality()&want.m != want.m {
			continue
		}
		v, err := m.encoder.Embed(ctx, clip.Windows, want.m)
		if err != nil {
			return nil, fmt.Errorf("avjepa: %s: %w", path, err)
		}
		row, err := v.Mean().Pick(m.options.Embedding)
		if err != nil {
			return nil, err
		}
		normalise(row.Data)
		*want.dst = row.Data
	}
	return out, nil
}

// normalise scales x to unit length; zeros stay.
func normalise(x []float32) {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	if sum == 0 {
		return
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range x {
		x[i] *= scale
	}
}

// Similar returns the cosine of two vectors of one model, from −1 to 1, the larger the
// more alike. It is NaN where one is missing or zero, and panics where the lengths of two
// that are there differ.
func Similar(a, b []float32) float64 {
	if len(a) == 0 || len(b) == 0 {
		return math.NaN()
	}
	if len(a) != len(b) {
		panic(fmt.Sprintf("avjepa: vectors of %d and %d numbers come from different models",
			len(a), len(b)))
	}
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	return dot / math.Sqrt(aa*bb)
}

// Hit is one of the vectors that were searched.
type Hit struct {
	Index int
	Score float64 // see Similar
}

// Nearest returns the k vectors of a gallery that are most similar to a query, the most
// similar first; equal ones in the order of the gallery. Missing vectors, which are nil,
// are left out.
func Nearest(query []float32, gallery [][]float32, k int) []Hit {
	var hits []Hit
	for i, v := range gallery {
		if s := Similar(query, v); s == s {
			hits = append(hits, Hit{i, s})
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	})
	return hits[:min(max(k, 0), len(hits))]
}
