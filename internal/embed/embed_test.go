package embed

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"avjepa/internal/dataset"
	"avjepa/internal/dataset/datasettest"
	"avjepa/internal/engine"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/media"
	"avjepa/internal/tensor"
	"avjepa/internal/view"
	"avjepa/internal/vit"
)

func smallView() view.Config {
	c := view.Default()
	c.Seconds, c.Frames, c.Side, c.Resize, c.Bands = .64, 4, 16, 18, 16
	return c
}

const maxViews = 5

// newModel returns an embedder whose BatchNorm statistics are not the initial
// ones, so that forgetting them shows.
func newModel(t *testing.T, dropAbsent bool) (engine.Engine, *jepa.Model) {
	t.Helper()
	e, err := cpu.New(cpu.Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	v := smallView()
	m, err := jepa.NewEmbedder(e, jepa.Config{
		Encoder: vit.Config{Width: 16, Depth: 2, Heads: 2, MLPRatio: 2,
			Frames: v.Frames, Side: v.Side, PatchT: 2, Patch: 8,
			MelBands: v.Bands, MelFrames: v.MelFrames(), PatchMel: 8, PatchMelT: 16,
			Dropout: .5, EmbedNorm: true, InitStd: .2, DropAbsent: dropAbsent},
		Hidden: 24, Proj: 8, Globals: 2, Locals: 2,
		Lambda: .05, Directions: 16, Knots: engine.Knots{Max: 5, Count: 17},
	}, 3, maxViews)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range m.Params.Buffers() {
		e.Fill(b.Value, .5+float32(i)/4)
	}
	return e, m
}

func newClips(t *testing.T, set *dataset.Set) *loader.Clips {
	t.Helper()
	m, err := view.NewMaker(smallView())
	if err != nil {
		t.Fatal(err)
	}
	return loader.NewClips(set, m, 1<<30)
}

func embed(t *testing.T, e engine.Engine, m *jepa.Model, clips *loader.Clips, c Config) *Features {
	t.Helper()
	f, err := Clips(context.Background(), e, m, clips, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// compare fails unless a and b agree to tol.
func compare(t *testing.T, what string, got, want tensor.Array, tol float64) {
	t.Helper()
	if got.Shape != want.Shape {
		t.Errorf("%s: %v, want %v", what, got.Shape, want.Shape)
		return
	}
	for i, w := range want.Data {
		if diff := math.Abs(float64(got.Data[i] - w)); !(diff <= tol) {
			t.Errorf("%s: value %d is %v, want %v", what, i, got.Data[i], w)
			return
		}
	}
}

func each(v Vectors, f func(name string, a tensor.Array)) {
	for _, name := range []string{"projected", "cls", "patches"} {
		a, err := v.Pick(name)
		if err != nil {
			panic(err)
		}
		f(name, a)
	}
}

// TestOneAtATime holds embedding in batches, over windows that do not divide
// them, to embedding every window of every clip alone and averaging.
func TestOneAtATime(t *testing.T) {
	set := datasettest.Make(t, datasettest.Config{Clips: 7})
	for _, dropAbsent := range []bool{false, true} {
		e, m := newModel(t, dropAbsent)
		clips := newClips(t, set)
		for _, windows := range []int{1, 2, 5} {
			calls := 0
			got, err := Clips(context.Background(), e, m, clips,
				Config{Views: maxViews, Windows: windows, Both: true}, func(n int) {
					if calls++; n != calls {
						t.Errorf("%d clips are done after %d calls", n, calls)
					}
				})
			if err != nil || calls != 7 || len(got.Skipped) != 0 {
				t.Fatalf("%d calls, %v", calls, err)
			}
			if !slices.Equal(got.Index, []int{0, 1, 2, 3, 4, 5, 6}) {
				t.Fatalf("rows %v", got.Index)
			}
			want := alone(t, e, m, clips, windows)
			for k, v := range []Vectors{got.Audio, got.Video, got.Both} {
				each(v, func(name string, a tensor.Array) {
					w, _ := want[k].Pick(name)
					what := []string{"audio ", "video ", "both "}[k] + name
					compare(t, what, a, w, 2e-6)
					if slices.Equal(a.Data[:a.Shape.Cols()], a.Data[a.Shape.Cols():2*a.Shape.Cols()]) {
						t.Errorf("%s: two clips have one embedding", what)
					}
				})
			}
		}
	}
}

// alone embeds one window at a time: audio, video, both.
func alone(t *testing.T, e engine.Engine, m *jepa.Model, clips *loader.Clips,
	windows int) [3]Vectors {
	t.Helper()
	v := clips.Maker.Config()
	video := make([]byte, v.Frames*v.Side*v.Side*3)
	mel := make([]float32, v.Bands*v.MelFrames())
	device := func(dt engine.DType, dims ...int) engine.Tensor {
		buf, err := e.NewBuffer(dt, tensor.Of(dims...).Elems())
		if err != nil {
			t.Fatal(err)
		}
		return engine.NewTensor(buf, 0, tensor.Of(dims...))
	}
	dVideo := device(engine.U8, 1, v.Frames, v.Side, v.Side, 3)
	dMel := device(engine.F32, 1, v.Bands, v.MelFrames())
	var out [3]Vectors
	for i := range clips.Set.Len() {
		d, err := clips.Get(context.Background(), i)
		if err != nil {
			t.Fatal(err)
		}
		for w := range windows {
			if err := clips.Maker.Eval(video, mel, d, w, windows); err != nil {
				t.Fatal(err)
			}
			e.UploadBytes(dVideo, video)
			e.Upload(dMel, mel)
			for k, g := range []vit.Group{{Audio: dMel}, {Video: dVideo}, {Audio: dMel, Video: dVideo}} {
				g.Views = 1
				emb := m.Embed(g)
				add := func(a *tensor.Array, x engine.Tensor) {
					row := make([]float32, x.Elems())
					e.Download(row, x)
					if w == 0 {
						a.Data = append(a.Data, make([]float32, len(row))...)
						*a = tensor.From(a.Data, i+1, len(row))
					}
					for j, y := range row {
						a.Data[i*len(row)+j] += y / float32(windows)
					}
				}
				add(&out[k].CLS, emb.CLS)
				add(&out[k].Projected, emb.Projected)
				add(&out[k].Patches, emb.Patches)
			}
		}
	}
	return out
}

// TestOtherModalityIsIgnored changes the pictures of all clips, then the sounds:
// embeddings of the other modality stay bit for bit.
func TestOtherModalityIsIgnored(t *testing.T) {
	plain := datasettest.Make(t, datasettest.Config{Clips: 6})
	seen := datasettest.Make(t, datasettest.Config{Clips: 6, Alter: func(i int, c *media.Clip) {
		slices.Reverse(c.Frames)
		c.Frames[0] = c.Frames[5]
		for j := range c.Frames {
			c.Frames[j] = c.Frames[3]
		}
	}})
	heard := datasettest.Make(t, datasettest.Config{Clips: 6, Alter: func(i int, c *media.Clip) {
		for j := range c.Samples {
			c.Samples[j] = int16(j * j * (i + 3))
		}
	}})
	for _, dropAbsent := range []bool{false, true} {
		e, m := newModel(t, dropAbsent)
		c := Config{Views: maxViews, Windows: 1}
		a := embed(t, e, m, newClips(t, plain), c)
		b := embed(t, e, m, newClips(t, seen), c)
		d := embed(t, e, m, newClips(t, heard), c)
		each(a.Audio, func(name string, x tensor.Array) {
			same, _ := b.Audio.Pick(name)
			other, _ := d.Audio.Pick(name)
			if !slices.Equal(x.Data, same.Data) || slices.Equal(x.Data, other.Data) {
				t.Errorf("audio %s follows the picture or not the sound", name)
			}
		})
		each(a.Video, func(name string, x tensor.Array) {
			same, _ := d.Video.Pick(name)
			other, _ := b.Video.Pick(name)
			if !slices.Equal(x.Data, same.Data) || slices.Equal(x.Data, other.Data) {
				t.Errorf("video %s follows the sound or not the picture", name)
			}
		})
	}
}

// TestBrokenClip has a clip that cannot be opened and one whose last frame, which
// the last window needs, is cut short.
func TestBrokenClip(t *testing.T) {
	e, m := newModel(t, false)
	set := datasettest.Make(t, datasettest.Config{Clips: 6, Alter: func(i int, c *media.Clip) {
		switch last := len(c.Frames) - 1; i {
		case 1:
			c.Frames[0] = nil
		case 4:
			c.Frames[last] = c.Frames[last][:len(c.Frames[last])-100]
		}
	}})
	whole := datasettest.Make(t, datasettest.Config{Clips: 6})
	c := Config{Views: maxViews, Windows: 2}
	got, want := embed(t, e, m, newClips(t, set), c), embed(t, e, m, newClips(t, whole), c)
	if !slices.Equal(got.Index, []int{0, 2, 3, 5}) {
		t.Fatalf("rows are clips %v", got.Index)
	}
	if len(got.Skipped) != 2 || got.Skipped[datasettest.Key(1)] == nil ||
		got.Skipped[datasettest.Key(4)] == nil {
		t.Errorf("skipped %v", got.Skipped)
	}
	each(got.Audio, func(name string, a tensor.Array) {
		w, _ := want.Audio.Pick(name)
		n := a.Shape.Cols()
		for row, clip := range got.Index {
			compare(t, name, tensor.From(a.Data[row*n:(row+1)*n], n),
				tensor.From(w.Data[clip*n:(clip+1)*n], n), 2e-6)
		}
	})
}

func TestErrors(t *testing.T) {
	e, m := newModel(t, false)
	broken := datasettest.Make(t, datasettest.Config{Clips: 3, Alter: func(_ int, c *media.Clip) {
		c.Frames[0] = nil
	}})
	ctx := context.Background()
	_, err := Clips(ctx, e, m, newClips(t, broken), Config{Views: 4, Windows: 1}, nil)
	if err == nil || !strings.Contains(err.Error(), "none of the 3 clips") {
		t.Errorf("no clip to read: %v", err)
	}
	for _, c := range []Config{{Views: 4}, {Views: 4, Windows: 5}} {
		if _, err := Clips(ctx, e, m, newClips(t, broken), c, nil); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	why := errors.New("enough")
	stopped, cancel := context.WithCancelCause(ctx)
	cancel(why)
	set := datasettest.Make(t, datasettest.Config{Clips: 3})
	_, err = Clips(stopped, e, m, newClips(t, set), Config{Views: 4, Windows: 1}, nil)
	if !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (Vectors{}).Pick("cls_token"); err == nil {
		t.Error("an unknown embedding is picked")
	}
}

// TestShift: the sound keeps the first window, the picture takes the one that
// starts later, which the last of two windows does too.
func TestShift(t *testing.T) {
	e, m := newModel(t, false)
	set := datasettest.Make(t, datasettest.Config{Clips: 3})
	clips := newClips(t, set)
	two := embed(t, e, m, clips, Config{Views: 2, Windows: 2})
	shifted := embed(t, e, m, clips, Config{Views: 2, Windows: 1, Shift: time.Hour})
	none := embed(t, e, m, clips, Config{Views: 2, Windows: 1, Shift: time.Nanosecond})
	if slices.Equal(shifted.Video.CLS.Data, none.Video.CLS.Data) {
		t.Error("a shifted picture gives the same embedding")
	}
	if !slices.Equal(shifted.Audio.CLS.Data, none.Audio.CLS.Data) {
		t.Error("the sound moved with the picture")
	}
	for i, first := range none.Video.CLS.Data {
		mean := (first + shifted.Video.CLS.Data[i]) / 2
		if d := math.Abs(float64(mean - two.Video.CLS.Data[i])); !(d <= 1e-5) {
			t.Fatalf("value %d: first and last window average to %v, want %v",
				i, mean, two.Video.CLS.Data[i])
		}
	}
	_, err := Clips(context.Background(), e, m, clips, Config{Views: 2, Windows: 2, Shift: 1}, nil)
	if err == nil {
		t.Error("a shift of two windows is no error")
	}
}
