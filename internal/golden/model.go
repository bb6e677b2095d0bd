package golden

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/engine/ref"
	"avjepa/internal/engine/torch"
	"avjepa/internal/engine/torch/shim/shimtest"
	"avjepa/internal/tensor"
	"avjepa/internal/vit"
)

// Sizes of the model and the step that made the vectors, beside Encoder's.
const (
	Clips      = 6 // B
	Globals    = 2
	Locals     = 2
	Hidden     = 64 // of the projector
	Proj       = 32 // K
	Directions = 64 // M
	Classes    = 7
)

// Encoder is the encoder that made the vectors.
func Encoder() vit.Config {
	return vit.Config{Width: 48, Depth: 2, Heads: 3, MLPRatio: 4,
		Frames: 4, Side: 32, PatchT: 2, Patch: 16,
		MelBands: 32, MelFrames: 48, PatchMel: 16, PatchMelT: 16,
		EmbedNorm: true, InitStd: 0.02}
}

// OnEngines runs a test on every engine. That of libtorch is skipped where libtorch
// is not installed.
func OnEngines(t *testing.T, run func(t *testing.T, e engine.Engine)) {
	t.Run("ref", func(t *testing.T) { run(t, ref.New()) })
	t.Run("cpu", func(t *testing.T) {
		e, err := cpu.New(cpu.Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		run(t, e)
	})
	t.Run("torch", func(t *testing.T) {
		e, err := torch.New(torch.Config{Library: shimtest.Library(t), Device: shimtest.Device(),
			Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		run(t, e)
		if err := e.Sync(); err != nil {
			t.Error(err)
		}
	})
}

// Upload returns a tensor of the data with a buffer of its own.
func Upload(t *testing.T, e engine.Engine, data []float32, dims ...int) engine.Tensor {
	t.Helper()
	buf, err := e.NewBuffer(engine.F32, len(data))
	if err != nil {
		t.Fatal(err)
	}
	x := engine.NewTensor(buf, 0, tensor.Of(dims...))
	e.Upload(x, data)
	return x
}

// Download returns the elements of x.
func Download(e engine.Engine, x engine.Tensor) []float32 {
	out := make([]float32, x.Elems())
	e.Download(out, x)
	return out
}

// Views are the inputs of loss.safetensors, view-major: row = view·B + clip.
//
//	GlobalVideo  (2B, 3, 4, 32, 32)    GlobalAudio  (2B, 32, 48)
//	LocalVideo   (B, 3, 4, 32, 32)     LocalAudio   (B, 32, 48)
type Views struct{ GlobalVideo, GlobalAudio, LocalVideo, LocalAudio engine.Tensor }

// Batch uploads the inputs of a step from loss.safetensors.
func (g *File) Batch(e engine.Engine) Views {
	const n = Clips
	up := func(data []float32, dims ...int) engine.Tensor { return Upload(g.T, e, data, dims...) }
	return Views{
		GlobalVideo: up(ViewMajor(g.Array("in.global_video").Data, 2), 2*n, 3, 4, 32, 32),
		GlobalAudio: up(ViewMajor(g.Array("in.global_audio").Data, 2), 2*n, 32, 48),
		LocalVideo:  up(g.Array("in.local_video").Data, n, 3, 4, 32, 32),
		LocalAudio:  up(g.Array("in.local_audio").Data, n, 32, 48),
	}
}

// ViewMajor reorders rows clip·views + view to view·B + clip.
func ViewMajor(data []float32, views int) []float32 {
	out := make([]float32, len(data))
	row := len(data) / (Clips * views)
	for c := range Clips {
		for v := range views {
			copy(out[(v*Clips+c)*row:][:row], data[(c*views+v)*row:][:row])
		}
	}
	return out
}

// Rows transposes directions (K, M), as they are stored, to (M, K).
func Rows(columns []float32) []float32 {
	rows := make([]float32, len(columns))
	for i, v := range columns {
		rows[i%Directions*Proj+i/Directions] = v
	}
	return rows
}
