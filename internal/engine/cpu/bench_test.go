package cpu

import (
	"fmt"
	"testing"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/rng"
	"avjepa/internal/tensor"
)

// bench gives tensors of random numbers to a benchmark.
type bench struct {
	*testing.B
	e    *Engine
	seed uint32
}

func (b *bench) tensor(dims ...int) engine.Tensor {
	shape := tensor.Of(dims...)
	buf, err := b.e.NewBuffer(engine.F32, shape.Elems())
	if err != nil {
		b.Fatal(err)
	}
	t := engine.NewTensor(buf, 0, shape)
	x := vec(t)
	for i := range x {
		b.seed = b.seed*1664525 + 1013904223
		x[i] = float32(int32(b.seed)) / (1 << 30)
	}
	return t
}

// best runs f b.N times and reports the fastest, in nanoseconds per unit and,
// when bytes > 0, as traffic: the machine may have other work.
func (b *bench) best(units, bytes int, unit string, f func()) {
	f()
	least := time.Hour
	for range b.N {
		start := time.Now()
		f()
		least = min(least, time.Since(start))
	}
	b.ReportMetric(float64(least.Nanoseconds())/float64(units), "ns/"+unit)
	b.ReportMetric(least.Seconds()*1e6, "best-µs")
	if bytes > 0 {
		b.ReportMetric(float64(bytes)/float64(least.Nanoseconds()), "GB/s")
	}
}

// BenchmarkOps times the operations around products and attention, at the
// widths of the presets tiny, small and base, on all cores.
func BenchmarkOps(b *testing.B) {
	for _, s := range [][2]int{{8448, 64}, {6304, 192}, {3152, 384}, {3152, 768}} {
		rows, d := s[0], s[1]
		b.Run(fmt.Sprintf("%dx%d", rows, d), func(b *testing.B) { benchRows(b, rows, d) })
	}
	b.Run("objective", benchObjective)
	b.Run("AdamW", func(b *testing.B) {
		withEngine(b, "16M", func(b *bench) {
			const n = 16 << 20
			a := engine.AdamWArgs{Param: b.tensor(n), Grad: b.tensor(n), M: b.tensor(n),
				V: b.tensor(n), LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 3}
			for i, v := range vec(a.V) {
				vec(a.V)[i] = v * v
			}
			b.best(n, 28*n, "element", func() { b.e.AdamW(a) })
		})
	})
	b.Run("SquaredNorm", func(b *testing.B) {
		withEngine(b, "16M", func(b *bench) {
			const n = 16 << 20
			x, sq := b.tensor(n), b.tensor(1)
			b.best(n, 4*n, "element", func() { b.e.SquaredNorm(sq, x) })
		})
	})
	b.Run("Fill", func(b *testing.B) {
		withEngine(b, "16M", func(b *bench) {
			const n = 16 << 20
			x := b.tensor(n)
			b.best(n, 4*n, "element", func() { b.e.Fill(x, 0) })
		})
	})
	b.Run("patchify", benchPatchify)
}

func withEngine(b *testing.B, name string, f func(b *bench)) {
	b.Run(name, func(b *testing.B) {
		e := open(b, 0)
		defer e.Close()
		f(&bench{B: b, e: e})
	})
}

func benchRows(b *testing.B, rows, d int) {
	n := rows * d
	withEngine(b, "GELU", func(b *bench) {
		x, y := b.tensor(rows, d), b.tensor(rows, d)
		b.best(n, 8*n, "element", func() { b.e.GELU(y, x) })
	})
	withEngine(b, "GELUBackward", func(b *bench) {
		x, dy, dx := b.tensor(rows, d), b.tensor(rows, d), b.tensor(rows, d)
		b.best(n, 12*n, "element", func() { b.e.GELUBackward(dx, dy, x) })
	})
	withEngine(b, "LayerNorm", func(b *bench) {
		a := engine.LayerNormArgs{Y: b.tensor(rows, d), X: b.tensor(rows, d), Mean: b.tensor(rows),
			RStd: b.tensor(rows), Gain: b.tensor(d), Bias: b.tensor(d), Eps: 1e-5}
		b.best(n, 8*n, "element", func() { b.e.LayerNorm(a) })
	})
	withEngine(b, "LayerNormBackward", func(b *bench) {
		a := engine.LayerNormBackwardArgs{DX: b.tensor(rows, d), DY: b.tensor(rows, d),
			X: b.tensor(rows, d), Mean: b.tensor(rows), RStd: b.tensor(rows), Gain: b.tensor(d),
			DGain: b.tensor(d), DBias: b.tensor(d)}
		b.best(n, 12*n, "element", func() { b.e.LayerNormBackward(a) })
	})
	withEngine(b, "Dropout", func(b *bench) {
		x, y := b.tensor(rows, d), b.tensor(rows, d)
		b.best(n, 8*n, "element", func() { b.e.Dropout(y, x, rng.Mask{P: 0.1, Key: 7}) })
	})
	withEngine(b, "AddTo", func(b *bench) {
		x, y := b.tensor(rows, d), b.tensor(rows, d)
		b.best(n, 12*n, "element", func() { b.e.AddTo(y, x, 1e-9) })
	})
	withEngine(b, "columnSum", func(b *bench) {
		x, sum := mat(b.tensor(rows, d)), vec(b.tensor(d))
		b.best(n, 4*n, "element", func() { b.e.addColumns(sum, x) })
	})
}

func benchObjective(b *testing.B) {
	const views, clips, dirs = 10, 32, 2048
	k := engine.Knots{Max: 5, Count: 17}
	withEngine(b, "ECF", func(b *bench) {
		a := engine.ECFArgs{E: b.tensor(views, dirs, 17, 2), P: b.tensor(views, clips, dirs), Knots: k}
		b.best(views*clips*dirs, 0, "row·direction", func() { b.e.ECF(a) })
	})
	withEngine(b, "ECFBackward", func(b *bench) {
		a := engine.ECFBackwardArgs{DE: b.tensor(views, dirs, 17, 2),
			P: b.tensor(views, clips, dirs), DP: b.tensor(views, clips, dirs), Knots: k}
		b.best(views*clips*dirs, 0, "row·direction", func() { b.e.ECFBackward(a) })
	})
	withEngine(b, "SIGReg", func(b *bench) {
		a := engine.SIGRegArgs{E: b.tensor(views, dirs, 17, 2), DE: b.tensor(views, dirs, 17, 2),
			Loss: b.tensor(views), Knots: k, N: clips, Weight: 1}
		b.best(views*dirs*17, 0, "direction·knot", func() { b.e.SIGReg(a) })
	})
	withEngine(b, "PredictionLoss", func(b *bench) {
		a := engine.PredictionLossArgs{Z: b.tensor(views, clips, 128),
			DZ: b.tensor(views, clips, 128), C: b.tensor(clips, 128), Loss: b.tensor(1), G: 2,
			Weight: 1}
		b.best(views*clips*128, 0, "element", func() { b.e.PredictionLoss(a) })
	})
	const wide = 2048
	withEngine(b, "BatchNorm", func(b *bench) {
		rows := views * clips
		a := engine.BatchNormArgs{Y: b.tensor(rows, wide), Pre: b.tensor(rows, wide),
			X: b.tensor(rows, wide), Mean: b.tensor(wide), RStd: b.tensor(wide),
			Gain: b.tensor(wide), Bias: b.tensor(wide), RunMean: b.tensor(wide),
			RunVar: b.tensor(wide), Eps: 1e-5, Momentum: 0.1, Train: true, GELU: true}
		b.best(rows*wide, 0, "element", func() { b.e.BatchNorm(a) })
	})
	withEngine(b, "BatchNormBackward", func(b *bench) {
		rows := views * clips
		a := engine.BatchNormBackwardArgs{DX: b.tensor(rows, wide), DY: b.tensor(rows, wide),
			X: b.tensor(rows, wide), Mean: b.tensor(wide), RStd: b.tensor(wide),
			Gain: b.tensor(wide), DGain: b.tensor(wide), DBias: b.tensor(wide)}
		b.best(rows*wide, 0, "element", func() { b.e.BatchNormBackward(a) })
	})
}

// benchPatchify cuts and assembles one clip of the full geometry: 16 frames of
// 224×224, 128 bands.
func benchPatchify(b *testing.B) {
	const clips, d, nv, na = 2, 384, 1568, 400
	withEngine(b, "bytes", func(b *bench) {
		buf, err := b.e.NewBuffer(engine.U8, clips*16*224*224*3)
		if err != nil {
			b.Fatal(err)
		}
		a := engine.PatchifyVideoArgs{Y: b.tensor(clips*nv, 1536),
			X: engine.NewTensor(buf, 0, tensor.Of(clips, 16, 224, 224, 3)), PatchT: 2, P: 16,
			Std: [3]float32{1, 1, 1}}
		b.best(clips*nv*1536, 5*clips*nv*1536, "element", func() { b.e.PatchifyVideo(a) })
	})
	withEngine(b, "floats", func(b *bench) {
		a := engine.PatchifyVideoArgs{Y: b.tensor(clips*nv, 1536),
			X: b.tensor(clips, 3, 16, 224, 224), PatchT: 2, P: 16}
		b.best(clips*nv*1536, 8*clips*nv*1536, "element", func() { b.e.PatchifyVideo(a) })
	})
	withEngine(b, "audio", func(b *bench) {
		a := engine.PatchifyAudioArgs{Y: b.tensor(clips*na, 256), X: b.tensor(clips, 128, 801),
			PF: 16, PT: 16}
		b.best(clips*na*256, 8*clips*na*256, "element", func() { b.e.PatchifyAudio(a) })
	})
	withEngine(b, "assemble", func(b *bench) {
		a := engine.AssembleArgs{Y: b.tensor(clips, 1+nv+na, d), CLS: b.tensor(d),
			Video: b.tensor(clips*nv, d), VideoBias: b.tensor(d), VideoType: b.tensor(d),
			VideoTime: b.tensor(8, d), VideoSpace: b.tensor(196, d),
			Audio: b.tensor(clips*na, d), AudioBias: b.tensor(d), AudioType: b.tensor(d),
			AudioFreq: b.tensor(8, d), AudioTime: b.tensor(50, d)}
		b.best(a.Y.Elems(), 8*a.Y.Elems(), "element", func() { b.e.AssembleTokens(a) })
	})
	withEngine(b, "assemble backward", func(b *bench) {
		a := engine.AssembleBackwardArgs{DY: b.tensor(clips, 1+nv+na, d), DCLS: b.tensor(d),
			DVideo: b.tensor(clips*nv, d), DVideoBias: b.tensor(d), DVideoType: b.tensor(d),
			DVideoTime: b.tensor(8, d), DVideoSpace: b.tensor(196, d),
			DAudio: b.tensor(clips*na, d), DAudioBias: b.tensor(d), DAudioType: b.tensor(d),
			DAudioFreq: b.tensor(8, d), DAudioTime: b.tensor(50, d)}
		b.best(a.DY.Elems(), 8*a.DY.Elems(), "element", func() { b.e.AssembleTokensBackward(a) })
	})
}
