package enginetest

import (
	"math"
	"slices"
	"strings"

	"avjepa/internal/engine"
	"avjepa/internal/engine/ref"
	"avjepa/internal/tensor"
)

// halfEps is the distance of bfloat16 numbers at 1. Rounding to the nearest is off
// by half of it at most.
const halfEps = 1.0 / (1 << 7)

// mix is one choice of the operands of a case that are BF16. Names are separated by
// blanks.
type mix struct {
	half string // the operands of type BF16

	// large are operands that are added to a result and, where they are F32, made
	// 1024 times larger: an engine that rounds them to BF16 is then off by more than
	// the result.
	large string

	// rounded are operands that package engine's rules let an engine round on the way,
	// or which move the result as much as what they let it round.
	rounded string
}

// mixes are those of the model, then others that the rules allow, by operation.
var mixes = map[string][]mix{
	"Linear": {
		{half: "X Y Pre", large: "Residual", rounded: "W Bias X"},
		{half: "X", large: "Y Residual", rounded: "W Bias X"},
		{half: "X Y Residual Pre", rounded: "W Bias X"},
		{half: "Y Pre", rounded: "W Bias"},
		{half: "Residual", rounded: "W Bias"},
	},
	"LinearInput": {
		{half: "DX DY Pre Act", rounded: "W DY"},
		{half: "DY", large: "DX", rounded: "W DY"},
		{half: "DX Pre", rounded: "W"},
		{half: "DY Act", large: "DX", rounded: "W DY"},
	},
	"LinearWeight": {
		{half: "DY X", large: "DW DBias", rounded: "X"},
		{half: "X", large: "DW DBias", rounded: "X"},
		{half: "DY", large: "DW DBias", rounded: "X"},
	},
	"LayerNorm": {{half: "Y"}, {half: "X Y"}, {half: "X"}},
	"LayerNormBackward": {{half: "DY", large: "DX DGain DBias"}, {half: "DX DY X"}, {half: "X"},
		{half: "DX"}},
	"GELU":              {{half: "x y"}, {half: "x"}, {half: "y"}},
	"GELUBackward":      {{half: "x dy dx"}, {half: "dy"}, {half: "x"}, {half: "dx"}},
	"Dropout":           {{half: "y"}, {half: "x y"}, {half: "x"}},
	"AddTo":             {{half: "x", large: "dst"}, {half: "dst x"}, {half: "dst"}},
	"Cast":              {{half: "dst"}, {half: "src"}, {half: "dst src"}},
	"Copy":              {{half: "dst src"}},
	"Attention":         {{half: "Q K V QKV Out", rounded: "V"}},
	"AttentionBackward": {{half: "Q K V QKV Out DOut DQ DK DV DQKV", rounded: "V DOut"}},
	"AttentionWeights":  {{half: "Q K"}},
	"PatchifyVideo":     {{half: "Y"}},
	"PatchifyAudio":     {{half: "Y"}},
	"AssembleTokens":    {{half: "Video Audio"}, {half: "Video"}, {half: "Audio"}},
	"AssembleTokensBackward": {{half: "DVideo DAudio"}, {half: "DVideo"},
		{half: "DAudio"}},
}

// has reports whether a name is in a list.
func has(list, name string) bool {
	for word := range strings.FieldsSeq(list) {
		if word == name {
			return true
		}
	}
	return false
}

// magnify returns the factor of an operand of type F32.
func (x mix) magnify(name string) float32 {
	if has(x.large, name) {
		return 1024
	}
	return 1
}

// mayRound reports whether column i of n of an operand is among the rounded.
func (x mix) mayRound(name string, i, n int) bool {
	if name == "QKV" { // packed: the values are the last third
		name = [...]string{"Q", "K", "V"}[i*3/n]
	}
	return has(x.rounded, name)
}

// mixes returns those that make a difference to the case: all of them for a small
// case, one by turns for a large one.
func (c testCase) mixes(turn int) (all []mix) {
	probe := &memory{t: quiet{}, e: ref.New()}
	c.build(probe)
	seen := map[string]bool{"": true}
	for _, x := range mixes[c.op] {
		key := ""
		for _, r := range probe.regions {
			if has(x.half, r.name) {
				key += " " + r.name
			}
		}
		if !seen[key] {
			all = append(all, x)
		}
		seen[key] = true
	}
	if len(all) > 1 && (refRun{regions: probe.regions}).elems() > smallCase {
		all = all[turn%len(all):][:1]
	}
	return all
}

// quiet is the reporter of runs that cannot fail.
type quiet struct{}

func (quiet) Helper()                        {}
func (quiet) Errorf(format string, a ...any) { panic(format) }
func (quiet) Fatalf(format string, a ...any) { panic(format) }
func (quiet) Cleanup(func())                 {}

// roundBF16 returns the bfloat16 nearest to x, ties to even, by its bits.
func roundBF16(x float32) float32 {
	if x != x {
		return x
	}
	b := math.Float32bits(x)
	b += 1<<15 - 1 + b>>16&1
	return math.Float32frombits(b &^ (1<<16 - 1))
}

// newTensor returns a tensor with a buffer of its own.
func newTensor(t reporter, e engine.Engine, dt engine.DType, dims ...int) engine.Tensor {
	t.Helper()
	s := tensor.Of(dims...)
	buf, err := e.NewBuffer(dt, s.Elems())
	if err != nil {
		t.Fatalf("buffer of %d %v elements: %v", s.Elems(), dt, err)
	}
	return engine.NewTensor(buf, 0, s)
}

// upload sets a contiguous tensor of type F32 or BF16.
func upload(t reporter, e engine.Engine, dst engine.Tensor, src []float32) {
	t.Helper()
	if dst.DType() == engine.F32 {
		e.Upload(dst, src)
		return
	}
	staged := newTensor(t, e, engine.F32, len(src))
	e.Upload(staged, src)
	e.Cast(dst, staged)
	e.Download(make([]float32, len(src)), staged) // all is done with it
	staged.Buffer().Free()
}

// read returns the elements of a contiguous tensor of type F32 or BF16.
func read(t reporter, e engine.Engine, src engine.Tensor) []float32 {
	t.Helper()
	v := make([]float32, src.Elems())
	if src.DType() == engine.F32 {
		e.Download(v, src)
		return v
	}
	staged := newTensor(t, e, engine.F32, len(v))
	e.Cast(staged, src)
	e.Download(v, staged)
	staged.Buffer().Free()
	return v
}

// testBF16 checks that new buffers are zero, and the rounding of Cast value by
// value: to the nearest, ties to even, NaN, infinities and signs kept.
func testBF16(t reporter, e engine.Engine) {
	t.Helper()
	const n = 16
	for range 2 { // the second time in memory that was used
		x := newTensor(t, e, engine.BF16, n)
		for i, v := range read(t, e, x) {
			if v != 0 {
				t.Fatalf("element %d of a new buffer is %v", i, v)
			}
		}
		upload(t, e, x, slices.Repeat([]float32{3}, n))
		x.Buffer().Free()
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	values := []struct{ in, want float32 }{
		{0, 0}, {float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1))}, {1, 1}, {-2.5, -2.5},
		{1 + halfEps/2, 1}, {1 + 3*halfEps/2, 1 + 2*halfEps}, // ties
		{1 + halfEps/2 + eps, 1 + halfEps}, {-1 - halfEps/2 - eps, -1 - halfEps},
		{1 + halfEps/2 - eps, 1}, {2 - halfEps/4, 2}, {0x1p-120, 0x1p-120},
		{0x1.FEp127, 0x1.FEp127}, {0x1.FEFFFEp127, 0x1.FEp127}, {0x1.FFp127, inf},
		{-math.MaxFloat32, -inf}, {inf, inf}, {-inf, -inf}, {nan, nan},
	}
	src := make([]float32, len(values))
	for i, v := range values {
		src[i] = v.in
	}
	x := newTensor(t, e, engine.BF16, len(src))
	defer x.Buffer().Free()
	upload(t, e, x, src)
	for i, got := range read(t, e, x) {
		in, want := values[i].in, values[i].want
		if math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
			t.Errorf("%g (%#x) becomes %g, want %g", in, math.Float32bits(in), got, want)
		}
	}
}
