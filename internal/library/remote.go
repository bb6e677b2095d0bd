package library

import "context"

// Remote is a server that keeps and searches the vectors of a library instead of its own
// file. Vectors are those of one model, normalised. Its methods may be called at the same time.
type Remote interface {
	// Upsert sets vectors; the same again does no harm.
	Upsert(ctx context.Context, v []RemoteVector) error

	// Delete removes all vectors of clips.
	Delete(ctx context.Context, ids []int64) error

	// Search returns the k clips whose vectors of a modality are nearest to q, best first.
	Search(ctx context.Context, m Modality, q []float32, k int) ([]Scored, error)

	// Fetch returns the vectors that the server has of clips, and nothing of others.
	Fetch(ctx context.Context, m Modality, ids []int64) (map[int64][]float32, error)
}

// RemoteVector is one vector of a clip.
type RemoteVector struct {
	Clip     int64
	Modality Modality
	Vector   []float32
}

// Scored is a clip and its cosine with a query.
type Scored struct {
	Clip  int64
	Score float32
}
