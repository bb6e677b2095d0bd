package kernel

import (
	"fmt"
	"math"
)

// Int8Weights is the weight matrix of a linear layer in signed bytes: row n is
// scale[n]·q, with scale[n] the greatest absolute value of the row over 127.
// It is made by NewInt8Weights and may be used by any number of products.
type Int8Weights struct {
	n, k   int
	panels []int8    // (N/32, K/4, 32, 4), padded with zeros
	scale  []float32 // (N), padded with zeros to whole panels
	sums   []int32   // (N) of q over a row, likewise
}

const (
	int8Panel = 32 // columns of a panel
	int8Group = 4  // values of K that one instruction multiplies
	int8Tile  = 14 // rows of a tile
	// int8MaxK bounds K, so that no sum of products of a byte and a signed byte
	// leaves an int32: 255·127·K < 2³¹.
	int8MaxK = 1 << 16
	int8Zero = 128 // the byte that stands for a signed 0
	// tinyScale is a bound below which a row counts as zeros.
	tinyScale = 1e-30
)

// NewInt8Weights quantises w (N, K), a linear layer's weights. A value that is
// not finite makes its row's scale NaN, and so its outputs.
func NewInt8Weights(w []float32, n, k int) *Int8Weights {
	checkMatrix("W", w, n, k, k)
	if k > int8MaxK {
		panic(fmt.Sprintf("kernel: 8-bit weights %d×%d: at most %d inputs", n, k, int8MaxK))
	}
	panels, groups := (n+int8Panel-1)/int8Panel, (k+int8Group-1)/int8Group
	q := &Int8Weights{n: n, k: k,
		panels: make([]int8, panels*groups*int8Panel*int8Group),
		scale:  make([]float32, panels*int8Panel),
		sums:   make([]int32, panels*int8Panel),
	}
	bytes := make([]uint8, groups*int8Group) // of a row, the values behind K zero
	for i := range bytes {
		bytes[i] = int8Zero
	}
	for r := range n {
		row := w[r*k : (r+1)*k]
		lo, hi, nan := valueRange(row)
		most := max(-lo, hi)
		q.scale[r] = most/127 + nan
		if !(most >= tinyScale) { // its inverse may not be finite
			q.scale[r] = nan
			continue
		}
		roundRow(bytes, row, 127/most, int8Zero)
		panel := q.panels[r/int8Panel*groups*int8Panel*int8Group:]
		sum := -int8Zero * int32(len(bytes))
		for g := range groups {
			from := bytes[g*int8Group:][:int8Group]
			to := panel[(g*int8Panel+r%int8Panel)*int8Group:][:int8Group]
			for i, v := range from {
				to[i] = int8(v - int8Zero)
				sum += int32(v)
			}
		}
		q.sums[r] = sum
	}
	return q
}

// int8Row says how a row of activations was quantised: x = scale·(q + minusZero).
type int8Row struct {
	scale     float32
	minusZero int32
}

// quantizeRow sets q to x in 256 even steps from the least of x and 0 to the
// greatest, 0 among them. A value that is not finite makes the scale NaN.
func quantizeRow(q []uint8, x []float32) int8Row {
	lo, hi, nan := valueRange(x)
	scale := (hi - lo) / 255
	if !(scale-scale+nan == 0) {
		return int8Row{scale: float32(math.NaN())}
	}
	if scale < tinyScale { // its inverse may not be finite
		clear(q[:len(x)])
		return int8Row{}
	}
	inv := 1 / scale
	zero := float32(math.RoundToEven(float64(-lo * inv)))
	roundRow(q, x, inv, zero)
	return int8Row{scale, -int32(zero)}
}

func valueRangeGo(x []float32) (lo, hi, nan float32) {
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
		nan += 0 * v
	}
	return lo, hi, nan
}

// roundRowGo sets q to x·inv + zero, rounded to the nearest of 0…255.
func roundRowGo(q []uint8, x []float32, inv, zero float32) {
	for i, v := range x {
		y := math.RoundToEven(math.FMA(float64(v), float64(inv), float64(zero)))
		q[i] = uint8(min(max(y, 0), 255))
	}
}

// int8Call is one call of the micro-kernel: c = scales·(a·b) + bias + d for one
// panel of b. Nothing checks the bounds.
type int8Call struct {
	rows, cols, groups int
	a                  []uint8
	lda                int
	row                []int8Row
	b                  []int8
	sums               []int32
	scale              []float32
	c                  []float32
	ldc                int
	d                  []float32
	ldd                int
	bias               []float32
}

// mulGo is the portable micro-kernel.
func (p *int8Call) mulGo() {
	for i := range p.rows {
		a := p.a[i*p.lda:][:p.groups*int8Group]
		for j := range p.cols {
			sum := p.row[i].minusZero * p.sums[j]
			for k, v := range a {
				b := p.b[(k/int8Group*int8Panel+j)*int8Group+k%int8Group]
				sum += int32(v) * int32(b)
			}
			v := float32(sum) * p.row[i].scale * p.scale[j]
			if p.bias != nil {
				v += p.bias[j]
			}
			if p.d != nil {
				v += p.d[i*p.ldd+j]
			}
			p.c[i*p.ldc+j] = v
		}
	}
}
