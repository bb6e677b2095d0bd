package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLayerNormRow(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, d := range vecSizes[1:] {
			x, _ := guardedVec(r, d, 1)
			gain, _ := guardedVec(r, d, 2)
			bias, _ := guardedVec(r, d, 0)
			y, intact := guardedVec(r, d, 1)
			for i := range x {
				x[i] += 3
			}
			var mean, variance float64
			for _, v := range x {
				mean += float64(v) / float64(d)
			}
			for _, v := range x {
				variance += (float64(v) - mean) * (float64(v) - mean) / float64(d)
			}
			rstd := 1 / math.Sqrt(variance+1e-2)
			gotMean, gotRstd := LayerNormRow(y, x, gain, bias, 1e-2)
			near(t, "mean, rstd", []float32{gotMean, gotRstd}, []float64{mean, rstd}, 1e-6)
			want := each64(d, func(i int) float64 {
				return (float64(x[i])-mean)*rstd*float64(gain[i]) + float64(bias[i])
			})
			near(t, "layer norm", y, want, 4e-6)
			intact(t, "layer norm")
			LayerNormRow(x, x, gain, bias, 1e-2)
			near(t, "layer norm in place", x, want, 4e-6)
			x[d/2] = float32(math.NaN())
			LayerNormRow(y, x, gain, bias, 1e-2)
			for i, v := range y {
				if v == v {
					t.Fatalf("d %d: NaN did not reach %d", d, i)
				}
			}
		}
	})
}

func TestLayerNormBackwardRow(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for _, d := range vecSizes[1:] {
			x, _ := guardedVec(r, d, 1)
			dy, okDY := guardedVec(r, d, 2)
			gain, _ := guardedVec(r, d, 0)
			dx, okDX := guardedVec(r, d, 1)
			dgain, okG := guardedVec(r, d, 2)
			dbias, okB := guardedVec(r, d, 1)
			mean, rstd := float32(0.2), float32(0.7)
			xh := func(i int) float64 { return (float64(x[i]) - float64(mean)) * float64(rstd) }
			var mg, mgx float64
			for i := range x {
				g := float64(dy[i]) * float64(gain[i])
				mg += g / float64(d)
				mgx += g * xh(i) / float64(d)
			}
			want := each64(d, func(i int) float64 {
				return float64(rstd) * (float64(dy[i])*float64(gain[i]) - mg - xh(i)*mgx)
			})
			added := each64(d, func(i int) float64 { return want[i] + float64(dx[i]) })
			wantGain := each64(d, func(i int) float64 {
				return float64(dgain[i]) + float64(dy[i])*xh(i)
			})
			wantBias := each64(d, func(i int) float64 { return float64(dbias[i]) + float64(dy[i]) })
			LayerNormBackwardRow(dx, dgain, dbias, dy, x, gain, mean, rstd, true)
			near(t, "dx added", dx, added, 5e-6)
			near(t, "dgain", dgain, wantGain, 2e-6)
			near(t, "dbias", dbias, wantBias, 1e-6)
			dx[0] = float32(math.NaN()) // must not be read
			LayerNormBackwardRow(dx, dgain, dbias, dy, x, gain, mean, rstd, false)
			near(t, "dx", dx, want, 5e-6)
			LayerNormBackwardRow(dy, dgain, dbias, dy, x, gain, mean, rstd, false)
			near(t, "dx in place", dy, want, 5e-6)
			okDX(t, "dx")
			okDY(t, "dy")
			okG(t, "dgain")
			okB(t, "dbias")
		}
	})
}

func TestColumns(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for _, n := range vecSizes {
			for _, rows := range []int{0, 1, 2, 5} {
				ld := n + 3
				x, _ := guardedVec(r, rows*ld, 1)
				dy, _ := guardedVec(r, rows*ld, 2)
				mean, _ := guardedVec(r, n, 1)
				column := func(f func(at, c int) float64) []float64 {
					return each64(n, func(c int) (s float64) {
						for i := range rows {
							s += f(i*ld+c, c)
						}
						return s
					})
				}
				deviation := func(at, c int) float64 { return float64(x[at]) - float64(mean[c]) }
				for _, op := range []struct {
					name string
					run  func(sum []float32)
					want []float64
				}{
					{"sum", func(s []float32) { AddColumns(s, x, rows, ld) },
						column(func(at, _ int) float64 { return float64(x[at]) })},
					{"squares", func(s []float32) { AddColumnSquares(s, x, mean, rows, ld) },
						column(func(at, c int) float64 { return deviation(at, c) * deviation(at, c) })},
					{"products", func(s []float32) { AddColumnProducts(s, dy, x, mean, rows, ld) },
						column(func(at, c int) float64 { return float64(dy[at]) * deviation(at, c) })},
				} {
					all, _ := guardedVec(r, n+2*lanes, 2)
					s, behind := all[:n], slices.Clone(all[n:])
					for c := range s {
						op.want[c] += float64(s[c])
					}
					op.run(s)
					near(t, op.name, s, op.want, 5e-6)
					if !slices.Equal(all[n:], behind) {
						t.Fatalf("%s, n %d: wrote behind the sums", op.name, n)
					}
				}
			}
		}
	})
}

func TestNormColumnsRow(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	mean, _ := guardedVec(r, 1001, 0)
	a, _ := guardedVec(r, 1001, 0)
	m, _ := guardedVec(r, 1001, 0)
	s, _ := guardedVec(r, 1001, 0)
	for i := range a { // the same everywhere: checkMap knows no index
		mean[i], a[i], m[i], s[i] = 0.5, 1.25, -0.75, 2
	}
	eachISA(t, func(t *testing.T) {
		checkMap(t, "norm columns", func(y, x, _ []float32) { NormColumnsRow(y, x, mean, a, m) },
			func(x, _ float64) float64 { return (x-0.5)*1.25 - 0.75 }, 1e-6)
		checkMap(t, "norm columns backward",
			func(y, x, z []float32) { NormColumnsBackwardRow(y, x, z, mean, a, m, s) },
			func(dy, x float64) float64 { return 1.25 * (dy + 0.75 - (x-0.5)*2) }, 2e-6)
	})
}

func BenchmarkLayerNorm(b *testing.B) {
	const d, rows = 384, 64
	r := rand.New(rand.NewPCG(1, 1))
	x, _ := guardedVec(r, d*rows, 0)
	y, _ := guardedVec(r, d*rows, 0)
	gain, _ := guardedVec(r, d, 0)
	bias, _ := guardedVec(r, d, 0)
	perElement := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(d*rows), "ns/element")
	}
	b.Run("forward", func(b *testing.B) {
		for range b.N {
			for i := 0; i < rows*d; i += d {
				LayerNormRow(y[i:i+d], x[i:i+d], gain, bias, 1e-5)
			}
		}
		perElement(b)
	})
	b.Run("backward", func(b *testing.B) {
		dgain, dbias := make([]float32, d), make([]float32, d)
		for range b.N {
			for i := 0; i < rows*d; i += d {
				LayerNormBackwardRow(y[i:i+d], dgain, dbias, x[i:i+d], x[i:i+d], gain, 0, 1, false)
			}
		}
		perElement(b)
	})
}
