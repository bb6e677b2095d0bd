package server

import (
	"container/list"
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// queryStore keeps uploads that were searched with, decoded, for a while: pages of
// their results and explanations need them, the file itself is gone.
type queryStore struct {
	age  time.Duration
	most int64 // bytes

	mu    sync.Mutex
	bytes int64
	byID  map[string]*list.Element
	order *list.List // of *query, oldest first
}

// query is a kept upload.
type query struct {
	info   QueryInfo
	hash   string
	medium *Medium
}

func newQueryStore(age time.Duration, most int64) *queryStore {
	return &queryStore{age: age, most: most, byID: map[string]*list.Element{}, order: list.New()}
}

// add keeps a medium under a new id that nobody can guess.
func (q *queryStore) add(u *Upload, m *Medium) *query {
	x := &query{hash: u.Hash, medium: m, info: QueryInfo{Kind: "upload", ID: rand.Text(),
		Name: u.Name, Seconds: m.Seconds, HasVideo: m.HasVideo, HasAudio: m.HasAudio,
		Outcome: string(m.Outcome), Expires: time.Now().Add(q.age).UTC().Truncate(time.Second)}}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.byID[x.info.ID] = q.order.PushBack(x)
	q.bytes += m.bytes()
	q.expire(time.Now())
	for q.bytes > q.most && q.order.Len() > 1 {
		q.drop(q.order.Front())
	}
	return x
}

func (q *queryStore) get(id string) *query {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(time.Now())
	e := q.byID[id]
	if e == nil {
		return nil
	}
	return e.Value.(*query)
}

func (q *queryStore) remove(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.byID[id]
	if e != nil {
		q.drop(e)
	}
	return e != nil
}

// expire forgets what is too old; the caller holds mu. Without requests nothing is
// forgotten, and nothing is added either.
func (q *queryStore) expire(now time.Time) {
	for e := q.order.Front(); e != nil && now.After(e.Value.(*query).info.Expires); {
		next := e.Next()
		q.drop(e)
		e = next
	}
}

func (q *queryStore) drop(e *list.Element) {
	x := q.order.Remove(e).(*query)
	delete(q.byID, x.info.ID)
	q.bytes -= x.medium.bytes()
}

// Query describes a kept query.
func (s *Server) Query(ctx context.Context, id string) (QueryInfo, error) {
	x, err := s.query(id)
	if err != nil {
		return QueryInfo{}, err
	}
	return x.info, nil
}

func (s *Server) query(id string) (*query, error) {
	if x := s.queries.get(id); x != nil {
		return x, nil
	}
	return nil, problem(http.StatusNotFound, "query-gone", "there is no such query, or no longer").
		withHint("queries are kept for " + s.cfg.Limits.QueryAge.String() + ": send the file again")
}

func (s *Server) getQuery(w http.ResponseWriter, r *http.Request) error {
	info, err := s.Query(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, info)
}

func (s *Server) deleteQuery(w http.ResponseWriter, r *http.Request) error {
	if !s.queries.remove(r.PathValue("id")) {
		return notFound("query", r.PathValue("id"))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
