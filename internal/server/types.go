package server

import (
	"time"
)

// Modality says which part of a clip is meant.
type Modality string

// The modalities.
const (
	Audio Modality = "audio"
	Video Modality = "video"
	Both  Modality = "both"
)

// valid reports whether m is one of the three.
func (m Modality) valid() bool { return m == Audio || m == Video || m == Both }

// Clip is an entry of the library.
type Clip struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"` // for people; the id where there is no other
	Labels   []string  `json:"labels"`
	Split    string    `json:"split,omitempty"`
	Seconds  float64   `json:"duration_seconds"`
	HasVideo bool      `json:"has_video"`
	HasAudio bool      `json:"has_audio"`
	Width    int       `json:"width,omitempty"`  // pixels, of the stored frames
	Height   int       `json:"height,omitempty"` // pixels
	Outcome  string    `json:"outcome"`          // of decoding; see media.Outcome
	Flags    []Flag    `json:"flags"`
	Hash     string    `json:"content_hash"`         // of the file or the stored record
	Bytes    int64     `json:"size_bytes,omitempty"` // of the file or the stored record; 0: not known
	Added    time.Time `json:"added"`
	Source   string    `json:"source,omitempty"` // where the clip comes from, as people named it
}

// Flag is something about a clip that is worth a look.
type Flag struct {
	Name   string `json:"name"`             // silent, late start, duplicate, …
	Detail string `json:"detail,omitempty"` // one sentence
	Of     string `json:"of,omitempty"`     // the clip it is a duplicate of
}

// Pair is two clips that are nearly the same. Picture and Sound say how far they differ,
// from 0 to 1, the shares of what was compared; 0 too where one of them has none.
type Pair struct {
	Clips   [2]Clip `json:"clips"`
	Picture float64 `json:"picture"`
	Sound   float64 `json:"sound"`
}

// PairPage is one page of pairs.
type PairPage struct {
	Items []Pair `json:"items"`
	Next  string `json:"next,omitempty"` // cursor of the next page; "" after the last
	Total int    `json:"total"`          // pairs, on all pages
}

// ClipQuery selects clips and says in which order they come.
type ClipQuery struct {
	Text  string // part of the name or of a label, whatever its case
	Label string
	Split string
	Has   Modality // Audio or Video: clips that have it; Both: those with both; "": all
	Flag  string   // clips with this flag; "any": with some flag
	Sort  string   // newest (the default), oldest, name, longest, shortest

	Limit  int    // clips a page, 0: 50, at most 200
	Cursor string // of the page before; "" is the first
}

// ClipPage is one page of clips.
type ClipPage struct {
	Items []Clip `json:"items"`
	Next  string `json:"next,omitempty"` // cursor of the next page; "" after the last
	Total int    `json:"total"`          // clips that the query selects, on all pages
}

// LibraryInfo describes the library as a whole.
type LibraryInfo struct {
	Name    string         `json:"name"`
	Clips   int            `json:"clips"`
	Seconds float64        `json:"duration_seconds"` // of all clips
	Bytes   int64          `json:"size_bytes"`       // of the library's own files
	Model   string         `json:"model"`            // that made its vectors
	Vectors string         `json:"vectors"`          // of which kind: projected, cls or patches
	Labels  []Count        `json:"labels"`           // most frequent first
	Splits  []Count        `json:"splits"`
	Flags   []Count        `json:"flags"`
	LeftOut []LeftOut      `json:"left_out"` // files that are no clips, at most 1000
	Chance  []ChanceScores `json:"chance"`
	Updated time.Time      `json:"updated"`
}

// Count is how many clips have something.
type Count struct {
	Name  string `json:"name"`
	Clips int    `json:"clips"`
}

// LeftOut is a file that did not become a clip.
type LeftOut struct {
	Path    string `json:"path"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
}

// ChanceScores are quantiles of the scores of random pairs, 0 … 100 %, evenly
// spaced: what a score is worth is read against them.
type ChanceScores struct {
	From      Modality  `json:"from"`
	To        Modality  `json:"to"`
	Quantiles []float64 `json:"quantiles"`
}

// SearchRequest asks for the clips that are most like a query. One of Clip, Query
// and Upload is set.
type SearchRequest struct {
	Clip   string  // a clip of the library
	Query  string  // a query that is kept
	Upload *Upload // a file just received

	From   Modality // what of the query is looked at; "": see To
	To     Modality // what of the clips; "": the other of From, or what the query lacks
	Limit  int      // 0: 50, at most 200
	Cursor string
	Filter ClipQuery // Limit, Cursor and Sort are not used
}

// SearchResult is one page of what was found, best first.
type SearchResult struct {
	Query   QueryInfo `json:"query"`
	From    Modality  `json:"from"`
	To      Modality  `json:"to"`
	Items   []Hit     `json:"items"`
	Next    string    `json:"next,omitempty"`
	Chance  Chance    `json:"chance"`
	Clips   int       `json:"clips"` // that were compared
	Model   string    `json:"model"`
	Seconds float64   `json:"took_seconds"` // of the comparison alone
}

// Hit is a clip that was found.
type Hit struct {
	Rank        int     `json:"rank"` // from 1
	Clip        Clip    `json:"clip"`
	Score       float64 `json:"score"`        // cosine, −1 … 1
	Percentile  float64 `json:"percentile"`   // share of random pairs that are less alike, 0 … 100
	AboveChance bool    `json:"above_chance"` // Score > Chance.Score
}

// Chance is the line below which a score is no better than that of 1 in 20 random
// pairs.
type Chance struct {
	Score float64 `json:"score"`
	Known bool    `json:"known"` // false: the library has no scores of random pairs
}

// QueryInfo describes what was searched with.
type QueryInfo struct {
	Kind     string    `json:"kind"` // clip or upload
	ID       string    `json:"id"`   // of the clip, or of the kept query
	Name     string    `json:"name"`
	Seconds  float64   `json:"duration_seconds"`
	HasVideo bool      `json:"has_video"`
	HasAudio bool      `json:"has_audio"`
	Outcome  string    `json:"outcome"`
	Expires  time.Time `json:"expires,omitzero"` // of a kept query
}

// EmbedRequest asks for the vectors of a clip or a file.
type EmbedRequest struct {
	Clip       string
	Upload     *Upload
	Modalities []Modality // none: all that the medium has
	Kind       string     // projected (the default), cls or patches
}

// Embedding is the answer: one vector per modality, of unit length.
type Embedding struct {
	Model    string     `json:"model"`
	Kind     string     `json:"kind"`
	Vectors  []VectorOf `json:"vectors"`
	Seconds  float64    `json:"duration_seconds"`
	Outcome  string     `json:"outcome"`
	HasVideo bool       `json:"has_video"`
	HasAudio bool       `json:"has_audio"`
	Cached   bool       `json:"cached"`
}

// VectorOf is the vector of one modality.
type VectorOf struct {
	Modality Modality  `json:"modality"`
	Values   []float32 `json:"values"`
}

// Ref names a medium: a clip of the library, a kept query, or an upload.
type Ref struct {
	Clip   string
	Query  string
	Upload *Upload
}

// ExplainRequest asks where the model looks. Sound and picture may be of one medium
// or of two; an empty one stands for the other.
type ExplainRequest struct {
	Audio, Video Ref
	Start        float64 // seconds into both: where the window begins
}

// Explanation is how the last layer's heads, on average, spread their attention
// between the modalities. Each map sums to 1.
type Explanation struct {
	Model string  `json:"model"`
	Start float64 `json:"start_seconds"`
	// Seconds is the length of the window that both maps cover.
	Seconds float64 `json:"window_seconds"`
	// AudioToVideo: from the sound's tokens to places in the frames.
	AudioToVideo *VideoMap `json:"audio_to_video,omitempty"`
	// VideoToAudio: from the picture's tokens to places in the log-mel.
	VideoToAudio *AudioMap `json:"video_to_audio,omitempty"`
}

// VideoMap is (Steps, Rows, Columns) weights, in that order. Step i covers
// window_seconds/Steps from its start; the grid lies over Crop of the frame.
type VideoMap struct {
	Steps   int       `json:"steps"`
	Rows    int       `json:"rows"`
	Columns int       `json:"columns"`
	Crop    Crop      `json:"crop"`
	Weights []float32 `json:"weights"`
}

// Crop is a part of a frame, in fractions of its width and height.
type Crop struct {
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// AudioMap is (Bands, Steps) weights, lowest band first.
type AudioMap struct {
	Bands   int       `json:"bands"`
	Steps   int       `json:"steps"`
	Weights []float32 `json:"weights"`
}

// Frames says when the frames of a medium are shown, so that stepping does not
// depend on a player's idea of them.
type Frames struct {
	FPS    float64   `json:"fps"`
	Times  []float64 `json:"times_seconds"`
	Width  int       `json:"width"`
	Height int       `json:"height"`
	Crop   Crop      `json:"crop"` // what the model sees of a frame
}

// Map is where the clips lie on the plane.
type Map struct {
	Space   Modality    // Audio, Video or Both
	Method  string      // such as "t-SNE, seed 1, perplexity 30"
	Model   string      // whose vectors were laid out
	All     int         // clips of the library; more than points when a sample is shown
	IDs     []string    // (n)
	Labels  []string    // (n) first label, "" for none
	Points  [][2]uint16 // (n) x, y; 0 … 65535 over the extent of the map
	Partner []int32     // (n) index of the same clip's other point, −1 for none; nil: no pairs
	Of      []Modality  // (n) which vector a point stands for; nil: Space
}

// ModelInfo is the card of a model.
type ModelInfo struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Run        string    `json:"run,omitempty"`
	Step       int       `json:"step"`
	Parameters int64     `json:"parameters"`
	Dims       int       `json:"dims"`           // of a CLS vector
	Projected  int       `json:"projected_dims"` // of a projected vector
	Seconds    float64   `json:"window_seconds"`
	Frames     int       `json:"frames"`
	Side       int       `json:"side"`
	Bands      int       `json:"mel_bands"`
	RateHz     int       `json:"sample_rate_hz"`
	Settings   []Setting `json:"config"`
	Files      []File    `json:"files"`
	Measured   []Figure  `json:"measured"`
	Data       *DataInfo `json:"data,omitempty"`
	Engine     string    `json:"engine"`
	Loaded     bool      `json:"loaded"`               // this server embeds with it
	Unreadable string    `json:"unreadable,omitempty"` // why its checkpoint cannot be read
}

// Setting is one key of a configuration and where its value came from.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

// File is a file of a model or a run.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"size_bytes"`
	SHA256 string `json:"sha256,omitempty"`
}

// Figure is something that was measured.
type Figure struct {
	Name    string    `json:"name"` // such as "A→V R@1"
	Value   float64   `json:"value"`
	Unit    string    `json:"unit,omitempty"`
	Chance  *float64  `json:"chance,omitempty"`
	Clips   int       `json:"clips,omitempty"`
	Command string    `json:"command,omitempty"`
	Machine string    `json:"machine,omitempty"`
	Made    time.Time `json:"made,omitzero"`
}

// DataInfo describes what a model was trained on.
type DataInfo struct {
	Name    string  `json:"name"`
	Clips   int     `json:"clips"`
	Seconds float64 `json:"duration_seconds,omitempty"`
	LeftOut int     `json:"left_out"`
}
