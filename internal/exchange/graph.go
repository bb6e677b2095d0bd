package exchange

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"avjepa/internal/onnx"
)

// BesideName ends the name of the file with a model's weights.
const BesideName = ".data"

// Modalities that a graph has inputs for.
const (
	Both  = "both"
	Audio = "audio"
	Video = "video"
)

// ErrModality is behind the error for a name that is no modality.
var ErrModality = errors.New("no such modality")

// ONNX says which graph is written.
//
// A model whose absent modality is zeros needs one graph only: an input of zeros is
// an absent one. One that drops the tokens of an absent modality (absent = "drop")
// needs a graph for each.
type ONNX struct {
	Modality string // "" is Both
	Tokens   bool   // also output the tokens of the last block

	// Beside puts the weights into a file beside the model, named as it with ".data"
	// behind. A model that does not fit a message of 2 GiB does so anyway.
	Beside  bool
	Version string // of avjepa
}

// WriteONNX writes the encoder with its projector, in float32, whole or not at all:
//
//	video       (batch, 3, T, H, W)  normalised frames
//	audio       (batch, 1, F, M)     normalised log-mel
//	cls         (batch, D)           output of the last block
//	tokens      (batch, N, D)        CLS, video, audio; with Tokens
//	projection  (batch, K)           of the CLS, with running statistics
//
// Heads are not part of it.
func (t *Trained) WriteONNX(path string, o ONNX) error {
	g, err := t.graph(o)
	if err != nil {
		return err
	}
	meta := t.metadata()
	meta["modality"] = o.modality()
	m := onnx.Model{Graph: g, Producer: "avjepa", Version: o.Version, Metadata: meta, Doc: t.doc(o)}
	data := ""
	if o.Beside || m.Bytes() > onnx.MaxBytes-(1<<24) {
		data = filepath.Base(path) + BesideName
	}
	return m.WriteFile(path, data)
}

func (o ONNX) modality() string {
	if o.Modality == "" {
		return Both
	}
	return o.Modality
}

func (t *Trained) doc(o ONNX) string {
	const text = "AV-JEPA's encoder and projector. Inputs are normalised as metadata " +
		"\"normalisation\" says."
	switch {
	case t.Config.Encoder.DropAbsent:
		return text + " This graph is for " + o.modality() + ": the model drops the tokens of an absent " +
			"modality, zeros are not the same."
	case o.modality() == Both:
		return text + " An absent modality is an input of zeros."
	}
	return text + " The other modality is absent."
}

// maxTokens bounds a view of a graph, whose positions are written out and whose
// attention is not made in blocks: the paper's has 1969.
const maxTokens = 1 << 16

// graph builds the operations of a model.
type graph struct {
	*onnx.Graph
	t     *Trained
	batch string // (1): the batch, of the first input
	names int    // given to intermediate results
}

func (t *Trained) graph(o ONNX) (*onnx.Graph, error) {
	e := t.Config.Encoder
	b := &graph{Graph: &onnx.Graph{Name: "avjepa"}, t: t}
	input := func(name string, dims ...any) string {
		b.Inputs = append(b.Inputs, onnx.Value{Name: name, Dims: append([]any{"batch"}, dims...)})
		if b.batch == "" {
			b.batch = b.Add("Shape", []string{name}, "batch", onnx.Attr{Name: "start", Value: 0},
				onnx.Attr{Name: "end", Value: 1})
		}
		return name
	}
	var video, audio string
	if m := o.modality(); m != Both && m != Video && m != Audio {
		return nil, fmt.Errorf("exchange: %w: %q is none of %s, %s, %s", ErrModality, m, Both, Video,
			Audio)
	}
	if o.modality() != Audio {
		video = input("video", 3, e.Frames, e.Side, e.Side)
	}
	if o.modality() != Video {
		audio = input("audio", 1, e.MelBands, e.MelFrames)
	}
	if n := b.tokens(video, audio); n > maxTokens {
		return nil, fmt.Errorf("exchange: views of %d tokens: a graph takes %d at most, as it holds all "+
			"pairs of them", n, maxTokens)
	}
	y := b.encoder(video, audio)
	cls := b.Add("Gather", []string{y, b.AddInt("first", 0)}, "cls",
		onnx.Attr{Name: "axis", Value: 1})
	b.Outputs = append(b.Outputs, onnx.Value{Name: "cls", Dims: []any{"batch", e.Width}})
	if o.Tokens {
		b.Add("Identity", []string{y}, "tokens")
		n := b.tokens(video, audio)
		b.Outputs = append(b.Outputs, onnx.Value{Name: "tokens", Dims: []any{"batch", n, e.Width}})
	}
	b.projector(cls)
	b.Outputs = append(b.Outputs, onnx.Value{Name: "projection", Dims: []any{"batch", t.Config.Proj}})
	return b.Graph, nil
}

// tokens returns the length of the sequence.
func (b *graph) tokens(video, audio string) int {
	e, n := b.t.Config.Encoder, 1
	if video != "" || !e.DropAbsent {
		n += e.VideoTokens()
	}
	if audio != "" || !e.DropAbsent {
		n += e.AudioTokens()
	}
	return n
}

// encoder returns the tokens of the last block (batch, N, D).
func (b *graph) encoder(video, audio string) string {
	e := b.t.Config.Encoder
	x := b.embedding(video, audio)
	if e.EmbedNorm {
		x = b.norm(x, "encoder.embedding.layernorm", 1e-6)
	}
	for i := range e.Depth {
		x = b.block(x, fmt.Sprintf("encoder.encoder.blocks.%d.", i))
	}
	if e.FinalNorm {
		x = b.norm(x, "encoder.encoder.layernorm", 1e-5)
	}
	return x
}

// embedding returns the tokens (batch, N, D) before the LayerNorm.
func (b *graph) embedding(video, audio string) string {
	const e = "encoder.embedding."
	c := b.t.Config.Encoder
	parts := []string{b.repeat(b.weight(e + "cls_token"))}
	for i, m := range []struct {
		input, patch, outer, inner string
		stride                     []int
	}{
		{video, "video_patch_embed.projection.", "video_time_embed", "video_spatial_embed",
			[]int{c.PatchT, c.Patch, c.Patch}},
		{audio, "audio_patch_embed.projection.", "audio_freq_pos_embed", "audio_time_pos_embed",
			[]int{c.PatchMel, c.PatchMelT}},
	} {
		if m.input == "" && c.DropAbsent {
			continue
		}
		place := b.places(e+m.outer, e+m.inner, e+m.patch+"bias", i)
		if m.input == "" {
			parts = append(parts, b.repeat(place))
			continue
		}
		x := b.add("Conv", []string{m.input, b.weight(e + m.patch + "weight")},
			onnx.Attr{Name: "kernel_shape", Value: m.stride}, onnx.Attr{Name: "strides", Value: m.stride})
		x = b.add("Reshape", []string{x, b.ints("flat", 0, 0, -1)}) // (batch, D, patches)
		x = b.add("Transpose", []string{x}, onnx.Attr{Name: "perm", Value: []int{0, 2, 1}})
		parts = append(parts, b.add("Add", []string{x, place}))
	}
	return b.add("Concat", parts, onnx.Attr{Name: "axis", Value: 1})
}

// repeat gives a constant (1, n, D) to every element of the batch.
func (b *graph) repeat(x string) string {
	ones := b.ints("ones", 1, 1)
	shape := b.add("Concat", []string{b.batch, ones}, onnx.Attr{Name: "axis", Value: 0})
	return b.add("Expand", []string{x, shape})
}

// places returns the constant (1, outer·inner, D) that a modality's patches are added
// to: both positions, the bias of the patches, and type i.
func (b *graph) places(outer, inner, bias string, i int) string {
	d := b.t.Config.Encoder.Width
	array := func(name string) []float32 { return b.t.arrays[name].Data }
	o, n := array(outer), array(inner)
	shift, kind := array(bias), array("encoder.embedding.modality_type_embeddings.weight")[i*d:][:d]
	out := make([]float32, 0, len(o)*len(n)/d)
	for p := 0; p < len(o); p += d {
		for q := 0; q < len(n); q += d {
			for j := range d {
				out = append(out, o[p+j]+n[q+j]+shift[j]+kind[j])
			}
		}
	}
	name := "encoder.embedding." + []string{"video", "audio"}[i] + "_places"
	return b.AddFloats(name, []int{1, len(out) / d, d}, out)
}

// block returns a pre-norm transformer block's output (batch, N, D).
func (b *graph) block(x, name string) string {
	c := b.t.Config.Encoder
	h := b.norm(x, name+"layernorm_1", 1e-5)
	split := b.ints("heads", 0, 0, int64(c.Heads), int64(c.Width/c.Heads))
	head := func(part string, perm ...int) string {
		y := b.linear(h, name+"attention."+part)
		y = b.add("Reshape", []string{y, split}) // (batch, N, heads, width of a head)
		return b.add("Transpose", []string{y}, onnx.Attr{Name: "perm", Value: perm})
	}
	q, k, v := head("query", 0, 2, 1, 3), head("key", 0, 2, 3, 1), head("value", 0, 2, 1, 3)
	scale := b.scalar("attention_scale", 1/math.Sqrt(float64(c.Width/c.Heads)))
	a := b.add("Mul", []string{b.add("MatMul", []string{q, k}), scale})
	a = b.add("Softmax", []string{a}, onnx.Attr{Name: "axis", Value: -1})
	a = b.add("Transpose", []string{b.add("MatMul", []string{a, v})},
		onnx.Attr{Name: "perm", Value: []int{0, 2, 1, 3}})
	a = b.add("Reshape", []string{a, b.ints("joined", 0, 0, int64(c.Width))})
	x = b.add("Add", []string{x, b.linear(a, name+"attention.output_projection")})
	h = b.linear(b.norm(x, name+"layernorm_2", 1e-5), name+"mlp.dense_1")
	return b.add("Add", []string{x, b.linear(b.gelu(h), name+"mlp.dense_2")})
}

// projector adds the output "projection" (batch, K) of cls (batch, D).
func (b *graph) projector(x string) {
	const p = "projector.net."
	for i, last := range []bool{false, false, true} {
		layer := fmt.Sprintf("%s%d.", p, 3*i)
		in := []string{x, b.weight(layer + "weight"), b.weight(layer + "bias")}
		if last {
			b.Add("Gemm", in, "projection", onnx.Attr{Name: "transB", Value: 1})
			return
		}
		x = b.add("Gemm", in, onnx.Attr{Name: "transB", Value: 1})
		layer = fmt.Sprintf("%s%d.", p, 3*i+1)
		x = b.add("BatchNormalization", []string{x, b.weight(layer + "weight"), b.weight(layer + "bias"),
			b.weight(layer + "running_mean"), b.weight(layer + "running_var")},
			onnx.Attr{Name: "epsilon", Value: float32(1e-5)})
		x = b.gelu(x)
	}
}

// norm returns the LayerNorm over the last dimension.
func (b *graph) norm(x, name string, eps float32) string {
	in := []string{x, b.weight(name + ".weight"), b.weight(name + ".bias")}
	return b.add("LayerNormalization", in, onnx.Attr{Name: "axis", Value: -1},
		onnx.Attr{Name: "epsilon", Value: eps})
}

// linear returns x·Wᵀ + b of a token's features; MatMul wants Wᵀ.
func (b *graph) linear(x, name string) string {
	w := b.t.arrays[name+".weight"]
	out, in := w.Shape.Dim(0), w.Shape.Dim(1)
	turned := make([]float32, len(w.Data))
	for i := range out {
		for j := range in {
			turned[j*out+i] = w.Data[i*in+j]
		}
	}
	y := b.add("MatMul", []string{x, b.AddFloats(name+".weight_t", []int{in, out}, turned)})
	return b.add("Add", []string{y, b.weight(name + ".bias")})
}

// gelu returns x·½·(1 + erf(x/√2)).
func (b *graph) gelu(x string) string {
	e := b.add("Erf", []string{b.add("Div", []string{x, b.scalar("sqrt2", math.Sqrt2)})})
	e = b.add("Add", []string{e, b.scalar("one", 1)})
	return b.add("Mul", []string{b.add("Mul", []string{x, e}), b.scalar("half", .5)})
}

// add appends an operation whose result needs no name of its own.
func (b *graph) add(op string, in []string, attrs ...onnx.Attr) string {
	b.names++
	return b.Add(op, in, fmt.Sprintf("x%d", b.names), attrs...)
}

// weight returns the constant of an array, under its name.
func (b *graph) weight(name string) string {
	if a := b.t.arrays[name]; !b.Has(name) {
		b.AddFloats(name, a.Shape.Dims(), a.Data)
	}
	return name
}

func (b *graph) scalar(name string, v float64) string {
	if !b.Has(name) {
		b.AddFloats(name, nil, []float32{float32(v)})
	}
	return name
}

func (b *graph) ints(name string, v ...int64) string {
	if !b.Has(name) {
		b.AddInts(name, v...)
	}
	return name
}
