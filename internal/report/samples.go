package report

import (
	"fmt"
	"math"
	"path"
	"strconv"
	"strings"

	"avjepa/internal/retrieval"
)

// Samples are some held-out clips with what a run finds for them after a step: what each
// sounds like it looks, and the other way round.
type Samples struct {
	Step      int          `json:"step"`
	Split     string       `json:"split"`
	Embedding string       `json:"embedding"`
	Clips     []SampleClip `json:"clips"`
	A2V       []Sample     `json:"a2v"` // of each clip: its sound among the pictures
	V2A       []Sample     `json:"v2a"` // its picture among the sounds
}

// SampleClip is one of the clips.
type SampleClip struct {
	Key    string   `json:"key"`
	Labels []string `json:"labels,omitempty"`
}

// Sample is what was found for a query, best first.
type Sample struct {
	Rank    int               `json:"rank"` // of the query's own other half, from 1
	Nearest []SampleNeighbour `json:"nearest"`
}

// SampleNeighbour is a clip that was found.
type SampleNeighbour struct {
	Clip  int     `json:"clip"`  // index into Clips
	Score float64 `json:"score"` // cosine
}

// SampleNeighbours is how many are kept of a query.
const SampleNeighbours = 5

// SamplesDir is the folder of a run with the samples of its steps.
const SamplesDir = "samples"

// SamplesName returns the name of the file of a step within a run's folder.
func SamplesName(step int) string { return fmt.Sprintf("%s/step-%08d.json", SamplesDir, step) }

// SamplesStep returns the step of a file's name, and whether it is one of samples.
func SamplesStep(name string) (int, bool) {
	text, ok := strings.CutPrefix(path.Base(name), "step-")
	text, ok2 := strings.CutSuffix(text, ".json")
	n, err := strconv.Atoi(text)
	return n, ok && ok2 && err == nil && n >= 0 && path.Base(name) == path.Base(SamplesName(n))
}

// Fill compares the (n, d) vectors of the clips' sounds and pictures, which it normalises.
// Vectors that are not finite are an error.
func (s *Samples) Fill(audio, video []float32, d int) error {
	n := len(s.Clips)
	retrieval.Normalise(audio, n, d)
	retrieval.Normalise(video, n, d)
	for _, x := range []struct {
		out            *[]Sample
		query, gallery []float32
	}{{&s.A2V, audio, video}, {&s.V2A, video, audio}} {
		sim := retrieval.Similarities(x.query, x.gallery, n, d)
		for _, v := range sim {
			if v-v != 0 {
				return fmt.Errorf("report: samples after step %d: a score is %v", s.Step, v)
			}
		}
		ranks := retrieval.Ranks(sim, n)
		for i := range n {
			one := Sample{Rank: ranks[i]}
			for _, j := range retrieval.Nearest(sim, n, i, SampleNeighbours) {
				one.Nearest = append(one.Nearest, SampleNeighbour{j, math.Round(1e4*float64(sim[i*n+j])) / 1e4})
			}
			*x.out = append(*x.out, one)
		}
	}
	return nil
}

// Valid says whether samples that were read hold together.
func (s *Samples) Valid() bool {
	n := len(s.Clips)
	if len(s.A2V) != n || len(s.V2A) != n {
		return false
	}
	for _, all := range [][]Sample{s.A2V, s.V2A} {
		for _, one := range all {
			if one.Rank < 1 || one.Rank > n {
				return false
			}
			for _, x := range one.Nearest {
				if x.Clip < 0 || x.Clip >= n || !(x.Score >= -1.001 && x.Score <= 1.001) {
					return false
				}
			}
		}
	}
	return true
}

// First returns how many of the samples found their own other half first.
func First(all []Sample) int {
	n := 0
	for _, one := range all {
		if one.Rank == 1 {
			n++
		}
	}
	return n
}
