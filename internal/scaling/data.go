package scaling

import "math"

// Stored is what a clip takes in the shards, in bytes.
type Stored struct{ Frames, Sound, Clip float64 }

// Stored returns the bytes of a clip of ten seconds.
func (a Assumptions) Stored() Stored {
	// The tar header and half a block of padding do not grow with the picture.
	const tar = 512 + 256
	frame := (a.FrameBytes-tar)*a.PixelRatio + tar
	s := Stored{Frames: frame * float64(a.Frames), Sound: a.SoundBytes}
	s.Clip = s.Frames + s.Sound
	return s
}

// Feed is what some clips a second ask of stores and hosts.
type Feed struct {
	ClipsPerS float64
	Bytes     float64 // a second
	Requests  float64 // a second, one a clip
	Shards    float64 // a second, whole ones instead
	Streams   float64 // requests at a time, one a clip
	Cores     float64 // that make views
}

// Feed returns what a rate of clips takes. A clip is one request of its own or comes
// in a whole shard.
func (a Assumptions) Feed(clipsPerS float64) Feed {
	clip := a.Stored().Clip
	return Feed{
		ClipsPerS: clipsPerS,
		Bytes:     clipsPerS * clip,
		Requests:  clipsPerS,
		Shards:    clipsPerS * clip / a.ShardBytes,
		Streams:   clipsPerS * (a.FirstByte + clip/a.Stream),
		Cores:     clipsPerS * a.ViewSeconds * a.PixelRatio,
	}
}

// GPUsFor returns how many GPUs see the corpus once in so many seconds: the fewest
// of a node, or whole nodes.
func GPUsFor(w Work, a Assumptions, seconds float64) int {
	need := a.Corpus / seconds
	for gpus := 1; ; gpus = next(gpus, a.PerNode) {
		if Reckon(w, a, gpus).ClipsPerS >= need {
			return gpus
		}
		if gpus > 1<<16 {
			return math.MaxInt // the network bounds the rate
		}
	}
}

func next(gpus, perNode int) int {
	if gpus < perNode {
		return gpus + 1
	}
	return gpus + perNode
}
