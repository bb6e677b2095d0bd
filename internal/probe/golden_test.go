package probe

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/checkpoint"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/ref"
	"avjepa/internal/jepa"
	"avjepa/internal/nn"
	"avjepa/internal/sigreg"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// Geometry of the golden vectors.
const (
	goldenClips   = 6
	goldenClasses = 7
)

func goldenConfig() jepa.Config {
	return jepa.Config{
		Encoder: vit.Config{Width: 48, Depth: 2, Heads: 3, MLPRatio: 4,
			Frames: 4, Side: 32, PatchT: 2, Patch: 16,
			MelBands: 32, MelFrames: 48, PatchMel: 16, PatchMelT: 16,
			EmbedNorm: true, InitStd: 0.02},
		Hidden: 64, Proj: 32, Globals: 2, Locals: 2, Lambda: 0.05,
		Directions: 64, Knots: sigreg.DefaultKnots, KeepTokens: true,
	}
}

// golden is a file of vectors from the published code with its tolerances, and
// the largest errors seen by level.
type golden struct {
	t     *testing.T
	file  *checkpoint.File
	bound map[string]bound
	worst map[string]seen
}

// bound is a tolerance: class P allows a few entries of a tensor up to Atol, and
// 1e-5 to all others.
type bound struct {
	Atol  float64 `json:"atol"`
	Class string  `json:"cls"`
}

type seen struct{ err, share float64 } // absolute, and relative to the tolerance

func goldenPath(name string) string {
	return filepath.Join("..", "..", "testdata", "golden", name)
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(goldenPath(name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func openGolden(t *testing.T, name string) *golden {
	t.Helper()
	file, err := checkpoint.Read(goldenPath(name))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]bound
	readJSON(t, "tolerance.json", &all)
	return &golden{t: t, file: file, bound: all[name], worst: map[string]seen{}}
}

func (g *golden) array(name string) tensor.Array {
	g.t.Helper()
	a, err := g.file.Float32(name)
	if err != nil {
		g.t.Fatal(err)
	}
	return a
}

// check compares got with the vector of that name under a level's heading.
func (g *golden) check(level, name string, got ...float32) {
	g.t.Helper()
	g.checkTo(level, name, got, g.array(name).Data)
}

// checkTo is check with other values than those of the file.
func (g *golden) checkTo(level, name string, got, want []float32) {
	g.t.Helper()
	b, ok := g.bound[name]
	if !ok || len(got) != len(want) {
		g.t.Fatalf("%s: %d values, want %d; tolerance known: %v", name, len(got), len(want), ok)
	}
	worst, at, loose := 0.0, 0, 0
	for i := range want {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if !(d <= worst) {
			worst, at = d, i
		}
		if !(d <= 1e-5) {
			loose++
		}
	}
	if !(worst <= b.Atol) {
		g.t.Errorf("%s[%d] = %g, want %g: off by %.2g, allowed %.2g",
			name, at, got[at], want[at], worst, b.Atol)
	}
	if most := max(3, len(want)/100); b.Class == "P" && loose > most {
		g.t.Errorf("%s: %d of %d entries off by more than 1e-5, allowed %d",
			name, loose, len(want), most)
	}
	s := g.worst[level]
	g.worst[level] = seen{max(s.err, worst), max(s.share, worst/b.Atol)}
}

// table logs the largest error of every level, for the documentation.
func (g *golden) table(levels ...string) {
	for _, l := range levels {
		g.t.Logf("%-32s max error %.1e, %3.0f %% of the tolerance",
			l, g.worst[l].err, 100*g.worst[l].share)
	}
}

// onEngines runs a test on every engine.
func onEngines(t *testing.T, run func(t *testing.T, e engine.Engine)) {
	t.Run("ref", func(t *testing.T) { run(t, ref.New()) })
	t.Run("cpu", func(t *testing.T) {
		e, err := cpu.New(cpu.Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		run(t, e)
	})
}

// goldenWeights sets the values of a register to the golden ones.
func goldenWeights(t *testing.T, ps *nn.Params) {
	t.Helper()
	w := openGolden(t, "weights.safetensors")
	arrays := map[string]tensor.Array{}
	for _, name := range w.file.Names() {
		if !strings.HasSuffix(name, "num_batches_tracked") {
			arrays[name] = w.array(name)
		}
	}
	if err := ps.Import(arrays); err != nil {
		t.Fatal(err)
	}
}

func goldenModel(t *testing.T, e engine.Engine) *jepa.Model {
	t.Helper()
	m, err := jepa.New(e, goldenConfig(), 1, goldenClips)
	if err != nil {
		t.Fatal(err)
	}
	goldenWeights(t, m.Params)
	return m
}

func goldenOnline(t *testing.T, e engine.Engine, cfg OnlineConfig) *Online {
	t.Helper()
	o, err := NewOnline(e, cfg, goldenConfig(), 1, goldenClips)
	if err != nil {
		t.Fatal(err)
	}
	goldenWeights(t, o.Params)
	return o
}

func download(e engine.Engine, x engine.Tensor) []float32 {
	out := make([]float32, x.Elems())
	e.Download(out, x)
	return out
}

func upload(t *testing.T, e engine.Engine, data []float32, dims ...int) engine.Tensor {
	t.Helper()
	buf, err := e.NewBuffer(engine.F32, len(data))
	if err != nil {
		t.Fatal(err)
	}
	x := engine.NewTensor(buf, 0, tensor.Of(dims...))
	e.Upload(x, data)
	return x
}

// viewMajor reorders rows clip·views + view to view·B + clip.
func viewMajor(a tensor.Array, views int) []float32 {
	out := make([]float32, len(a.Data))
	row := len(a.Data) / (goldenClips * views)
	for c := range goldenClips {
		for v := range views {
			copy(out[(v*goldenClips+c)*row:][:row], a.Data[(c*views+v)*row:][:row])
		}
	}
	return out
}

// goldenBatch returns the inputs of loss.safetensors, and the labels.
func goldenBatch(g *golden, e engine.Engine) (*jepa.Batch, []int) {
	const n = goldenClips
	labels := make([]int, n)
	stored, err := g.file.Int64("in.label")
	if err != nil {
		g.t.Fatal(err)
	}
	for i, l := range stored {
		labels[i] = int(l)
	}
	up := func(data []float32, dims ...int) engine.Tensor { return upload(g.t, e, data, dims...) }
	return &jepa.Batch{
		GlobalVideo: up(viewMajor(g.array("in.global_video"), 2), 2*n, 3, 4, 32, 32),
		GlobalAudio: up(viewMajor(g.array("in.global_audio"), 2), 2*n, 32, 48),
		LocalVideo:  up(g.array("in.local_video").Data, n, 3, 4, 32, 32),
		LocalAudio:  up(g.array("in.local_audio").Data, n, 32, 48),
	}, labels
}

// setDirections uploads directions (K, M), as they are stored, as (M, K).
func setDirections(m *jepa.Model, columns []float32) {
	k, rows := m.Proj, make([]float32, len(columns))
	for i := range columns {
		rows[i%m.Directions*k+i/m.Directions] = columns[i]
	}
	m.SetDirections(rows)
}
