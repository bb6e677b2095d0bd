package server

import (
	"context"

	"avjepa/internal/media"
)

// Library is the store of clips, their vectors and what is known about them. All
// methods may be called by many goroutines. A clip that is not there is an error
// that wraps ErrNotFound.
type Library interface {
	Info(ctx context.Context) (LibraryInfo, error)

	// List returns up to q.Limit clips after the key (nil: from the start) in the
	// order of q.Sort, the key behind the last of them (nil: there are no more),
	// and how many q selects in all. q.Cursor is not looked at.
	List(ctx context.Context, q ClipQuery, after *Key) (
		clips []Clip, next *Key, total int, err error)

	Clip(ctx context.Context, id string) (Clip, error)

	// Vector returns a clip's vector of unit length, nil when it has none of
	// that modality.
	Vector(ctx context.Context, id string, of Modality) ([]float32, error)

	// Nearest returns the clips whose vector of the modality is most like v, which has
	// unit length, best first; and how many were compared.
	Nearest(ctx context.Context, v []float32, to Modality, n Nearest) (found []Near, compared int, err error)

	// Open decodes a clip as the model does; without a model its Windows are nil.
	Open(ctx context.Context, id string) (*Medium, error)

	// File returns where the clip can be read at its own size and rate; nil when
	// there is nothing but what Open returns.
	File(ctx context.Context, id string) (*Source, error)

	// Map returns the layout of a space; ErrNotFound when there is none yet.
	Map(ctx context.Context, space Modality) (*Map, error)
}

// Glancer is a Library that can show a clip and let it be heard without decoding all of
// it. Where it returns nil without an error, only Open helps.
type Glancer interface {
	// Still returns a frame from about the middle of a clip, as a JPEG file.
	Still(ctx context.Context, id string) ([]byte, error)

	// Sound returns a clip's sound as the model hears it, mono; of a long one its first
	// minute is enough.
	Sound(ctx context.Context, id string) (samples []int16, rateHz int, err error)
}

// Curator is a Library that tells what is odd about its clips, and which files it has not
// taken.
type Curator interface {
	// Duplicates returns up to limit pairs of clips that are nearly the same behind the
	// first skip of them, and how many there are; with an id only those of that clip.
	Duplicates(ctx context.Context, id string, skip, limit int) (pairs []Pair, total int, err error)

	// LeftOut returns all files that are no clips, where LibraryInfo has the first.
	LeftOut(ctx context.Context) ([]LeftOut, error)
}

// Indexer is a Library that takes on new clips.
type Indexer interface {
	// Index adds the clips of a folder, or brings it up to date. It embeds with e
	// and reports how far it is, at most a few times a second. Cancelling ctx
	// leaves what was finished.
	Index(ctx context.Context, folder string, e Embedder, report func(Progress)) (IndexResult, error)
}

// Key is a place in an order of clips: the value sorted by, and the id for equal
// ones.
type Key struct {
	Value string `json:"v"`
	ID    string `json:"i"`
}

// Nearest says which of the nearest clips are wanted.
type Nearest struct {
	From        Modality // what the query was made of
	Limit, Skip int
	Except      string // a clip that is not wanted
	Filter      ClipQuery
}

// Near is a clip with its score.
type Near struct {
	Clip  Clip
	Score float64
}

// Source is a stretch of a file on this machine; End 0 means its end.
type Source struct {
	Path       string
	Start, End float64 // seconds
}

// Model reads media as it was trained to see them and embeds them. Read, Mel and
// Info may be called by many goroutines; Embed and Explain by one at a time, which
// the server sees to.
type Model interface {
	Info() ModelInfo

	// Read decodes a file and cuts its windows: a *media.FileError for one that
	// cannot be used. Seconds bounds how much of it is read.
	Read(ctx context.Context, path string, limits media.Limits) (*Medium, error)

	// Mel returns the log-mel of the whole medium.
	Mel(m *Medium) (*Mel, error)

	Embedder
}

// Embedder makes vectors: one row of windows that all have the same modalities.
type Embedder interface {
	Embed(ctx context.Context, windows []Window, of Modality) ([]Vectors, error)
}

// Explainer says where a model looks. Called by one goroutine at a time, never
// while its model embeds.
type Explainer interface {
	// Explain attends over the sound of one medium and the picture of another (or
	// the same), both from start on.
	Explain(ctx context.Context, sound, picture *Medium, start float64) (*Explanation, error)
}

// Window is one view of a medium, as the model takes it.
type Window struct {
	Start float64   // seconds
	Video []byte    // (T, S, S, 3) RGB; nil: absent
	Audio []float32 // (F, M) normalised log-mel; nil: absent
}

// Vectors are what the model made of one window. They are not normalised.
type Vectors struct{ CLS, Projected, Patches []float32 }

// Medium is a decoded clip or upload. It is read-only once made.
type Medium struct {
	Outcome  media.Outcome
	Reason   string
	Seconds  float64
	HasVideo bool
	HasAudio bool
	Frames   [][]byte // JPEG
	FPS      float64
	Width    int     // of a frame
	Height   int     // of a frame
	Crop     Crop    // what the model sees of a frame; zero: all
	Samples  []int16 // mono
	RateHz   int     // of Samples
	Windows  []Window
	Decoded  any // whatever the model keeps of it
}

// bytes returns about how much memory the medium holds.
func (m *Medium) bytes() int64 {
	n := int64(2*len(m.Samples)) + 1024
	for _, f := range m.Frames {
		n += int64(len(f))
	}
	for _, w := range m.Windows {
		n += int64(len(w.Video)) + 4*int64(len(w.Audio))
	}
	return n
}

// Mel is a log-mel, normalised: (Bands, Frames) values.
type Mel struct {
	Bands, Frames int
	Values        []float32
}

// Progress is how far a job is.
type Progress struct {
	Stage string `json:"stage"` // for people: "decode", "embed"
	Done  int64  `json:"done"`
	Total int64  `json:"total"` // 0: not known yet
	Unit  string `json:"unit"`
	Note  string `json:"note,omitempty"` // such as "loss 0.31"
	Part  int    `json:"part,omitempty"` // of Parts, from 1: which stage of how many
	Parts int    `json:"parts,omitempty"`
	// Left is how many seconds the stage will still take; 0: not known yet.
	Left float64 `json:"left_seconds,omitempty"`
}

// IndexResult is what Index did.
type IndexResult struct {
	Added     int `json:"added"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	LeftOut   int `json:"left_out"`
}
