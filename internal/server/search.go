package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"avjepa/internal/media"
)

// Search returns the clips that are most like a query. An upload is kept as a query of
// its own, whose id is in the result.
func (s *Server) Search(ctx context.Context, req SearchRequest) (*SearchResult, error) {
	lib, err := s.library()
	if err != nil {
		return nil, err
	}
	if err := checkLimit(&req.Limit); err != nil {
		return nil, err
	}
	req.Filter.Sort, req.Filter.Limit = "", 0
	if err := req.Filter.check(); err != nil {
		return nil, err
	}
	skip, err := rankOf(req.Cursor)
	if err != nil {
		return nil, err
	}
	x, err := s.subjectOf(ctx, Ref{Clip: req.Clip, Query: req.Query, Upload: req.Upload})
	if err != nil {
		return nil, err
	}
	from, to, err := direction(x, req.From, req.To)
	if err != nil {
		return nil, err
	}
	info, err := s.libraryNow(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.fits(x, &info); err != nil {
		return nil, err
	}
	v, _, err := s.vector(ctx, x, from, s.libraryKind(ctx))
	if err != nil {
		return nil, err
	}
	out := &SearchResult{Query: x.info, From: from, To: to, Model: info.Model, Items: []Hit{}}
	if x.upload != nil {
		m, _ := x.medium(ctx)
		out.Query = s.queries.add(x.upload, m).info
	}
	except := ""
	if x.clip != nil {
		except = x.clip.ID
	}
	begun := time.Now()
	near, compared, err := lib.Nearest(ctx, v, to, Nearest{From: from, Limit: req.Limit + 1,
		Skip: skip, Except: except, Filter: req.Filter})
	if err != nil {
		return nil, asProblem(err, "library", "")
	}
	out.Seconds, out.Clips = time.Since(begun).Seconds(), compared
	s.metrics.searchSeconds.Observe(out.Seconds)
	if len(near) > req.Limit {
		near = near[:req.Limit]
		out.Next = encodeCursor(byRank, &Key{Value: strconv.Itoa(skip + req.Limit), ID: "rank"})
	}
	chance := chanceOf(info.Chance, from, to)
	out.Chance = chance.line()
	for i, n := range near {
		out.Items = append(out.Items, Hit{Rank: skip + i + 1, Clip: n.Clip, Score: n.Score,
			Percentile:  chance.percentile(n.Score),
			AboveChance: !out.Chance.Known || n.Score > out.Chance.Score})
	}
	return out, nil
}

// fits refuses to compare vectors of different models.
func (s *Server) fits(x *subject, info *LibraryInfo) error {
	if x.clip != nil || s.loaded().Model == nil || info.Model == "" {
		return nil
	}
	if id := s.loaded().Model.Info().ID; id != info.Model {
		return problem(http.StatusConflict, "other-model", fmt.Sprintf(
			"the library was indexed with model %s, the server has loaded %s", info.Model, id)).
			withHint("index the library again with this model, or start the server with the other")
	}
	return nil
}

// byRank is the order of search results in their cursors.
const byRank = "rank"

// maxRank bounds how far results can be paged through.
const maxRank = 10000

func rankOf(text string) (int, error) {
	key, err := decodeCursor(byRank, text)
	if err != nil || key == nil {
		return 0, err
	}
	n, err := strconv.Atoi(key.Value)
	if err != nil || n < 0 || n > maxRank {
		return 0, badRequest("cursor", fmt.Sprintf("results end at rank %d", maxRank))
	}
	return n, nil
}

// direction chooses what is compared with what, from what the query has.
func direction(x *subject, from, to Modality) (Modality, Modality, error) {
	for name, m := range map[string]Modality{"from": from, "to": to} {
		if m != "" && !m.valid() {
			return "", "", badRequest(name, "is none of audio, video, both")
		}
	}
	has := x.has()
	if len(has) == 0 {
		return "", "", problem(http.StatusUnprocessableEntity, "corrupt",
			"the query has neither picture nor sound")
	}
	if from == "" {
		switch all := slices.Contains(has, Both); {
		case !all:
			from = has[0]
		case to == Audio:
			from = Video
		case to == Video:
			from = Audio
		case to == "" && x.info.Outcome == string(media.Silent): // there is nothing to hear
			from = Video
		default:
			from = Both
		}
	}
	if to == "" {
		to = map[Modality]Modality{Audio: Video, Video: Audio, Both: Both}[from]
	}
	return from, to, x.lacks(from)
}

// Neighbours returns the clips most like a clip of the library.
func (s *Server) Neighbours(ctx context.Context, id string, from, to Modality, limit int) (
	*SearchResult, error) {
	return s.Search(ctx, SearchRequest{Clip: id, From: from, To: to, Limit: limit})
}

// quantiles are the scores of random pairs; nil: not known.
type quantiles []float64

func chanceOf(all []ChanceScores, from, to Modality) quantiles {
	for _, c := range all {
		if c.From == from && c.To == to && len(c.Quantiles) > 1 && slices.IsSorted(c.Quantiles) {
			return c.Quantiles
		}
	}
	return nil
}

// chanceShare is the share of random pairs below the line: 19 in 20.
const chanceShare = .95

func (q quantiles) line() Chance {
	if q == nil {
		return Chance{}
	}
	at := chanceShare * float64(len(q)-1)
	i := min(int(at), len(q)-2)
	return Chance{Score: q[i] + (at-float64(i))*(q[i+1]-q[i]), Known: true}
}

// percentile returns the share of random pairs with a lower score, in per cent.
func (q quantiles) percentile(score float64) float64 {
	if q == nil {
		return 0
	}
	i, _ := slices.BinarySearch(q, score)
	switch {
	case i == 0:
		return 0
	case i == len(q):
		return 100
	}
	within := 0.0
	if gap := q[i] - q[i-1]; gap > 0 {
		within = (score - q[i-1]) / gap
	}
	return 100 * (float64(i-1) + within) / float64(len(q)-1)
}

// libraryNow is Library, but may be some seconds old: searching needs the scores of
// random pairs, not the latest counts.
func (s *Server) libraryNow(ctx context.Context) (LibraryInfo, error) {
	s.infoMu.Lock()
	defer s.infoMu.Unlock()
	if time.Since(s.infoAt) < 2*time.Second {
		return s.info, nil
	}
	info, err := s.Library(ctx)
	if err == nil {
		s.info, s.infoAt = info, time.Now()
	}
	return info, err
}
