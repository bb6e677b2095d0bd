package pages

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"avjepa/internal/report"
	"avjepa/internal/server"
)

// Of the samples of a run the page shows some; the API has all.
const (
	shownSamples    = 8
	shownNeighbours = 3
)

// samplesBody is what a run found after a step.
type samplesBody struct {
	Run        string
	Steps      []server.SampleStep
	Step       int
	At         int // index of Step
	Last       int // index of the last step
	Checkpoint bool
	Clips      int
	A2V, V2A   int // of them, that found their other half first
	Rows       []sampleRow
}

// sampleRow is a clip with what its sound finds, and what its picture finds.
type sampleRow struct {
	Query     sampleClip
	Looks     []sampleClip // pictures that its sound finds
	Sounds    []sampleClip // sounds that its picture finds
	LookRank  int
	SoundRank int
}

// sampleClip is a clip of the held-out set; ID is its id in the library, "" where the
// library does not have it.
type sampleClip struct {
	Key    string
	Labels []string
	ID     string
	Thumb  string
	Score  float64
	Found  bool // it has a score
	Own    bool // the query's other half
}

// samples returns the samples of a step, nil when the run has none. A step of −1 is the last.
func (s *Site) samples(ctx context.Context, id string, step int) (*samplesBody, error) {
	all, err := s.src.RunSamples(id, step)
	if err != nil {
		return nil, err
	}
	x := all.Samples
	body := &samplesBody{Run: id, Steps: all.Steps, Step: x.Step, Last: len(all.Steps) - 1,
		Clips: len(x.Clips), A2V: report.First(x.A2V), V2A: report.First(x.V2A)}
	for i, at := range all.Steps {
		if at.Step == x.Step {
			body.At, body.Checkpoint = i, at.Checkpoint
		}
	}
	known := map[int]sampleClip{}
	clip := func(i int) sampleClip {
		c, ok := known[i]
		if !ok {
			c = s.sampleClip(ctx, &x.Clips[i])
			known[i] = c
		}
		return c
	}
	n := min(shownSamples, len(x.Clips))
	for row := range n {
		i := row * len(x.Clips) / n // the same clips at every step, evenly over all
		r := sampleRow{Query: clip(i), LookRank: x.A2V[i].Rank, SoundRank: x.V2A[i].Rank}
		for _, side := range []struct {
			to   *[]sampleClip
			from []report.SampleNeighbour
		}{{&r.Looks, x.A2V[i].Nearest}, {&r.Sounds, x.V2A[i].Nearest}} {
			for _, near := range side.from[:min(shownNeighbours, len(side.from))] {
				c := clip(near.Clip)
				c.Score, c.Found, c.Own = near.Score, true, near.Clip == i
				*side.to = append(*side.to, c)
			}
		}
		body.Rows = append(body.Rows, r)
	}
	return body, nil
}

// sampleClip looks a clip up in the library, by its name.
func (s *Site) sampleClip(ctx context.Context, c *report.SampleClip) sampleClip {
	out := sampleClip{Key: c.Key, Labels: c.Labels}
	if len(c.Key) > 200 {
		return out
	}
	found, err := s.src.Clips(ctx, server.ClipQuery{Text: c.Key, Limit: 10})
	if err != nil {
		return out
	}
	for _, x := range found.Items {
		if x.Name == c.Key {
			out.ID = x.ID
			if x.HasVideo {
				out.Thumb = "/v1/clips/" + url.PathEscape(x.ID) + "/thumb.jpg"
			}
			break
		}
	}
	return out
}

// samplesPart sends the part of a run's page that the slider changes.
func (s *Site) samplesPart(w http.ResponseWriter, r *http.Request) error {
	step, err := strconv.Atoi(r.URL.Query().Get("step"))
	if err != nil {
		step = -1
	}
	body, err := s.samples(r.Context(), r.PathValue("id"), step)
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "samples", "Samples of "+r.PathValue("id"), body)
}
