package tsne

import (
	"math"
	"slices"
)

// tree is a quadtree over points in the plane. Points are sorted along a Z curve, so a
// cell's are neighbours in memory, and so are those of the points that walk it.
type tree struct {
	order  []int32 // place in the tree → point
	points []point
	nodes  []node // each before its children; the root first
	keys   []key
}

type point struct{ x, y float64 }

// node is a square cell. Its subtree ends before next, the node that follows when the
// cell is taken as a whole. One without children holds points lo … hi−1.
type node struct {
	x, y   float64 // center of mass
	count  float64
	size2  float64 // squared side
	next   int32
	lo, hi int32
}

type key struct {
	code uint64
	at   int32
}

// leafPoints are few enough to be compared one by one.
const leafPoints = 8

// levels of the tree: bits of a coordinate.
const levels = 31

// build makes the tree of places y (n, 2).
func (t *tree) build(y []float64) {
	n := len(y) / 2
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for i, v := range y {
		lo[i%2], hi[i%2] = math.Min(lo[i%2], v), math.Max(hi[i%2], v)
	}
	side := math.Max(hi[0]-lo[0], hi[1]-lo[1])
	scale := 0.0
	if side > 0 {
		scale = (1<<levels - 1) / side
	}
	t.keys = t.keys[:0]
	for i := range n {
		code := spread(uint64((y[2*i]-lo[0])*scale)) | spread(uint64((y[2*i+1]-lo[1])*scale))<<1
		t.keys = append(t.keys, key{code, int32(i)})
	}
	slices.SortFunc(t.keys, func(a, b key) int {
		switch {
		case a.code < b.code:
			return -1
		case a.code > b.code:
			return 1
		}
		return int(a.at - b.at)
	})
	t.order, t.points, t.nodes = t.order[:0], t.points[:0], t.nodes[:0]
	for _, k := range t.keys {
		t.order = append(t.order, k.at)
		t.points = append(t.points, point{y[2*k.at], y[2*k.at+1]})
	}
	t.cell(0, n, levels-1, side)
}

// cell adds the node of points lo … hi−1, which agree in all bits above level, and its
// children.
func (t *tree) cell(lo, hi, level int, side float64) {
	at := len(t.nodes)
	t.nodes = append(t.nodes, node{count: float64(hi - lo), size2: side * side,
		lo: int32(lo), hi: int32(hi)})
	if hi-lo > leafPoints && level >= 0 {
		for first := lo; first < hi; {
			quarter := t.keys[first].code >> (2 * level) & 3
			end := first + 1
			for end < hi && t.keys[end].code>>(2*level)&3 == quarter {
				end++
			}
			t.cell(first, end, level-1, side/2)
			first = end
		}
	}
	m := &t.nodes[at]
	m.next = int32(len(t.nodes))
	for _, p := range t.points[lo:hi] {
		m.x += p.x
		m.y += p.y
	}
	m.x /= m.count
	m.y /= m.count
}

// spread puts a zero bit behind each of the low 31 bits.
func spread(v uint64) uint64 {
	v &= 1<<levels - 1
	v = (v | v<<16) & 0x0000FFFF0000FFFF
	v = (v | v<<8) & 0x00FF00FF00FF00FF
	v = (v | v<<4) & 0x0F0F0F0F0F0F0F0F
	v = (v | v<<2) & 0x3333333333333333
	v = (v | v<<1) & 0x5555555555555555
	return v
}
