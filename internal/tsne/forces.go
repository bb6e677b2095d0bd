package tsne

import "avjepa/internal/kernel"

// forces computes the gradient of the divergence with respect to the places y (n, 2):
//
//	dyᵢ = 4 Σⱼ (e·pᵢⱼ − qᵢⱼ) wᵢⱼ (yᵢ − yⱼ),  wᵢⱼ = 1/(1 + |yᵢ − yⱼ|²),  qᵢⱼ = wᵢⱼ/Z,  Z = Σ wₖₗ
//
// e is the exaggeration. The sum with p is over neighbours, that with q by the tree.
type forces struct {
	pool  *kernel.Pool
	p     *sparse
	y, dy []float64
	theta float64

	tree    tree
	repel   []float64 // (n, 2) Σⱼ wᵢⱼ² (yᵢ − yⱼ), in the order of the tree
	z       []float64 // of blocks
	attract attractTask
}

// blockPoints are one part of the work. Sums are over blocks, so that threads do not
// change them.
const blockPoints = 128

// gradient sets dy.
func (f *forces) gradient(exaggeration float64) {
	n := len(f.y) / 2
	blocks := (n + blockPoints - 1) / blockPoints
	if f.repel == nil {
		f.repel, f.z = make([]float64, 2*n), make([]float64, blocks)
	}
	f.tree.build(f.y)
	f.pool.Run(f, blocks)
	z := 0.0
	for _, v := range f.z {
		z += v
	}
	for k, i := range f.tree.order {
		f.dy[2*i] = -4 * f.repel[2*k] / z
		f.dy[2*i+1] = -4 * f.repel[2*k+1] / z
	}
	f.attract = attractTask{p: f.p, y: f.y, dy: f.dy, factor: 4 * exaggeration}
	f.pool.Run(&f.attract, blocks)
}

// Run computes the repulsion of a block of points, neighbours in the tree.
func (f *forces) Run(_, block int) {
	t := &f.tree
	lo, hi := block*blockPoints, min((block+1)*blockPoints, len(t.order))
	z, theta2 := 0.0, f.theta*f.theta
	for k := lo; k < hi; k++ {
		x, y, dx, dy := t.points[k].x, t.points[k].y, 0.0, 0.0
		for at := 0; at < len(t.nodes); {
			m := &t.nodes[at]
			ax, ay := x-m.x, y-m.y
			d2 := ax*ax + ay*ay
			if m.size2 < theta2*d2 {
				w := 1 / (1 + d2)
				c := m.count * w
				z += c
				c *= w
				dx += c * ax
				dy += c * ay
				at = int(m.next)
				continue
			}
			at++
			if int(m.next) > at { // not a leaf: its children follow
				continue
			}
			for j := int(m.lo); j < int(m.hi); j++ {
				if j == k {
					continue
				}
				ax, ay := x-t.points[j].x, y-t.points[j].y
				w := 1 / (1 + ax*ax + ay*ay)
				z += w
				w *= w
				dx += w * ax
				dy += w * ay
			}
		}
		f.repel[2*k], f.repel[2*k+1] = dx, dy
	}
	f.z[block] = z
}

// attractTask adds the attraction of a block of points.
type attractTask struct {
	p      *sparse
	y, dy  []float64
	factor float64
}

func (t *attractTask) Run(_, block int) {
	n := len(t.y) / 2
	for i := block * blockPoints; i < min((block+1)*blockPoints, n); i++ {
		x, y, dx, dy := t.y[2*i], t.y[2*i+1], 0.0, 0.0
		for e := t.p.from[i]; e < t.p.from[i+1]; e++ {
			j := t.p.at[e]
			ax, ay := x-t.y[2*j], y-t.y[2*j+1]
			w := t.p.value[e] / (1 + ax*ax + ay*ay)
			dx += w * ax
			dy += w * ay
		}
		t.dy[2*i] += t.factor * dx
		t.dy[2*i+1] += t.factor * dy
	}
}
