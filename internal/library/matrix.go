package library

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"avjepa/internal/kernel"
)

// blockRows is the number of vectors in a block of a matrix.
const blockRows = 512

// matrix is the vectors of one modality, as they are compared: of length 1, or zero where a
// clip has none. They lie in blocks of 512, in a block feature by feature, so that a product
// with a query reads memory once, in order, and adds up 512 scores at a time.
type matrix struct {
	dims   int
	blocks [][]float32 // (dims, blockRows) each
	has    []bool      // row → there is a vector
	count  int         // of rows that have one
}

// at returns the block and the column of a row.
func (m *matrix) at(row int) (block []float32, column int) {
	return m.blocks[row/blockRows], row % blockRows
}

// push adds a row; v nil for none.
func (m *matrix) push(v []float32) {
	if len(m.has)%blockRows == 0 {
		m.blocks = append(m.blocks, make([]float32, m.dims*blockRows))
	}
	m.has = append(m.has, false)
	m.set(len(m.has)-1, v)
}

// set replaces a row.
func (m *matrix) set(row int, v []float32) {
	b, c := m.at(row)
	for j := range m.dims {
		x := float32(0)
		if v != nil {
			x = v[j]
		}
		b[j*blockRows+c] = x
	}
	if m.has[row] {
		m.count--
	}
	if m.has[row] = v != nil; v != nil {
		m.count++
	}
}

// get copies a row into v and says whether it has a vector.
func (m *matrix) get(row int, v []float32) bool {
	b, c := m.at(row)
	for j := range m.dims {
		v[j] = b[j*blockRows+c]
	}
	return m.has[row]
}

// drop removes a row; the last one takes its place.
func (m *matrix) drop(row int) {
	last := len(m.has) - 1
	if m.has[row] {
		m.count--
	}
	if row != last {
		v := make([]float32, m.dims)
		m.get(last, v)
		b, c := m.at(row)
		for j := range m.dims {
			b[j*blockRows+c] = v[j]
		}
		m.has[row] = m.has[last]
	}
	m.has = m.has[:last]
	if last%blockRows == 0 {
		m.blocks = m.blocks[:len(m.blocks)-1]
	}
}

// scores sets s to the products of q with the rows of block b.
func (m *matrix) scores(s *[blockRows]float32, q []float32, b int) {
	n := min(blockRows, len(m.has)-b*blockRows)
	*s = [blockRows]float32{}
	block := m.blocks[b]
	for j, x := range q {
		kernel.Axpy(s[:n], block[j*blockRows:][:n], x)
	}
}

// ranked is a row and its score.
type ranked struct {
	row   int
	score float32
}

// better orders by score, equal ones as before adds them: then results are the same again.
func better(a, b ranked) int {
	switch {
	case a.score > b.score:
		return -1
	case a.score < b.score:
		return 1
	}
	return a.row - b.row
}

// best returns the k rows with the highest scores among those that keep allows, best first,
// and the number of rows compared.
func (m *matrix) best(q []float32, k int, keep func(row int) bool) []ranked {
	blocks := len(m.blocks)
	// Less than this many blocks are done before another goroutine has started.
	const least = 8
	workers := max(1, min(runtime.GOMAXPROCS(0), blocks/least))
	tops := make([]top, workers)
	var next atomic.Int64
	work := func(w int) {
		t := &tops[w]
		t.k = k
		var s [blockRows]float32
		for {
			b := int(next.Add(1)) - 1
			if b >= blocks {
				return
			}
			m.scores(&s, q, b)
			base := b * blockRows
			for i := range min(blockRows, len(m.has)-base) {
				if r := (ranked{base + i, s[i]}); m.has[base+i] && t.wants(r) && (keep == nil || keep(r.row)) {
					t.add(r)
				}
			}
		}
	}
	if workers == 1 {
		work(0)
	} else {
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() { work(w) })
		}
		wg.Wait()
	}
	var all []ranked
	for i := range tops {
		all = append(all, tops[i].heap...)
	}
	slices.SortFunc(all, better)
	return all[:min(k, len(all))]
}

// top is the k best so far: a heap with the worst at its root.
type top struct {
	k    int
	heap []ranked
}

// wants says whether r would be among the best. A score that is no number never is.
func (t *top) wants(r ranked) bool {
	return r.score == r.score && (len(t.heap) < t.k || better(r, t.heap[0]) < 0)
}

func (t *top) add(r ranked) {
	h := t.heap
	if len(h) < t.k {
		h = append(h, r)
		for i := len(h) - 1; i > 0; {
			up := (i - 1) / 2
			if better(h[up], h[i]) >= 0 {
				break
			}
			h[up], h[i] = h[i], h[up]
			i = up
		}
		t.heap = h
		return
	}
	h[0] = r
	for i := 0; ; {
		worst := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if better(h[worst], h[c]) < 0 {
				worst = c
			}
		}
		if worst == i {
			return
		}
		h[i], h[worst] = h[worst], h[i]
		i = worst
	}
}

// normalise scales v to length 1. It says no when v has no direction.
func normalise(v []float32) bool {
	sum := 0.
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 0) {
		return false
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
	return true
}
