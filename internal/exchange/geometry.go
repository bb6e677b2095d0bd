package exchange

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"avjepa/internal/tensor"
	"avjepa/internal/torchfile"
)

// maxBlocks bounds the search for the last block.
const maxBlocks = 1024

// describe derives the settings of a model from the shapes of its arrays, and from
// the hyper-parameters what shapes do not tell. hyper may be nil.
func (m *Official) describe(hyper *torchfile.Dict, a Assume) error {
	if err := computable(hyper); err != nil {
		return err
	}
	s := &shapes{arrays: m.Arrays}
	const e = "encoder.embedding."
	width := s.dim(e+"cls_token", 3, 2)
	hidden := s.dim("encoder.encoder.blocks.0.mlp.dense_1.weight", 2, 0)
	tubelet := s.of(e+"video_patch_embed.projection.weight", 5)
	patch := s.of(e+"audio_patch_embed.projection.weight", 4)
	times, places := s.dim(e+"video_time_embed", 4, 1), s.dim(e+"video_spatial_embed", 4, 2)
	bands, frames := s.dim(e+"audio_freq_pos_embed", 4, 1), s.dim(e+"audio_time_pos_embed", 4, 2)
	if s.err != nil {
		return s.err
	}
	grid := int(math.Round(math.Sqrt(float64(places))))
	switch {
	case grid*grid != places || tubelet[3] != tubelet[4]:
		return fmt.Errorf("%w: %d patches of a frame, of %d×%d pixels, are no square", ErrForeign,
			places, tubelet[3], tubelet[4])
	case width == 0 || hidden == 0 || hidden%width != 0:
		return fmt.Errorf("%w: hidden width %d of the MLP is no multiple of width %d", ErrForeign,
			hidden, width)
	case slices.Contains(tubelet, 0) || slices.Contains(patch, 0) || places == 0 || frames == 0:
		return fmt.Errorf("%w: patches of %v and %v values", ErrForeign, tubelet, patch)
	}
	side := grid * tubelet[3]
	m.set("model.width", width)
	m.set("model.depth", s.depth())
	m.set("model.heads", m.attentionHeads(width, hyper, a))
	m.set("model.mlp_ratio", hidden/width)
	m.set("model.patch_frames", tubelet[2])
	m.set("model.patch", tubelet[3])
	m.set("model.patch_mel", patch[2])
	m.set("model.patch_mel_frames", patch[3])
	m.set("model.embed_norm", s.has(e+"layernorm.weight"))
	m.set("model.final_norm", s.has("encoder.encoder.layernorm.weight"))
	m.set("model.absent", "zero")
	m.set("view.frames", times*tubelet[2])
	m.set("view.side", side)
	m.set("view.resize", max(side, side*256/224))
	m.set("view.mel_bands", bands*patch[2])
	if err := m.setSeconds(frames, patch[3], hyper); err != nil {
		return err
	}
	m.projector(s, width)
	m.hyper(hyper)
	m.Notes = append(m.Notes, "view.mel_mean and view.mel_std are not in such files: those of "+
		"VGGSound are taken; for AudioSet --set view.mel_mean=-17.977254 --set view.mel_std=24.468409")
	return s.err
}

// computable refuses options of the published code that change what is computed.
func computable(hyper *torchfile.Dict) error {
	refuse := func(key string, v any) error {
		return fmt.Errorf("%w: %s = %s", ErrForeign, key, summary(v))
	}
	text := hyper.Dict("t_config")
	if v := text.Get("gated_attention"); v != nil && v != "none" && v != false {
		return refuse("t_config.gated_attention", v)
	}
	if v := text.Get("qkv_bias"); v != nil && v != true {
		return refuse("t_config.qkv_bias", v)
	}
	if v := hyper.Get("mean_pool"); v != nil && v != false {
		return refuse("mean_pool", v)
	}
	audio := hyper.Dict("a_config")
	size, stride := audio.Ints("patch_size"), audio.Ints("patch_stride")
	if len(stride) > 0 && !slices.Equal(size, stride) {
		return fmt.Errorf("%w: audio patches of %v overlap at a stride of %v", ErrForeign, size, stride)
	}
	return nil
}

// shapes looks shapes up; err is the first that is missing or of another rank.
type shapes struct {
	arrays map[string]tensor.Array
	err    error
}

func (s *shapes) has(name string) bool { _, ok := s.arrays[name]; return ok }

// of returns the dimensions of an array, zeros when it does not have that rank.
func (s *shapes) of(name string, rank int) []int {
	a, ok := s.arrays[name]
	if ok && a.Shape.Rank() == rank {
		return a.Shape.Dims()
	}
	if s.err == nil && ok {
		s.err = fmt.Errorf("%w: %s is %v, not of rank %d", ErrForeign, name, a.Shape, rank)
	} else if s.err == nil {
		s.err = fmt.Errorf("%w: it has no %s", ErrForeign, name)
	}
	return make([]int, rank)
}

func (s *shapes) dim(name string, rank, i int) int { return s.of(name, rank)[i] }

// depth counts the blocks.
func (s *shapes) depth() int {
	for i := range maxBlocks {
		if !s.has(fmt.Sprintf("encoder.encoder.blocks.%d.layernorm_1.weight", i)) {
			return i
		}
	}
	return maxBlocks
}

func (m *Official) set(key string, value any) {
	m.Settings = append(m.Settings, Setting{key, fmt.Sprint(value)})
}

// attentionHeads returns the number of heads, which no shape tells.
func (m *Official) attentionHeads(width int, hyper *torchfile.Dict, a Assume) int {
	n, told := hyper.Dict("t_config").Int("num_attention_heads")
	switch {
	case a.Heads > 0:
		return a.Heads
	case told && n > 0 && n <= int64(width):
		return int(n)
	}
	heads := max(1, width/64)
	m.Notes = append(m.Notes, fmt.Sprintf("the file does not tell the number of attention heads: "+
		"%d of 64 are assumed, as in all published sizes; --heads N says otherwise", heads))
	return heads
}

// setSeconds derives the length of a view from its audio patches: the frames of the
// log-mel that the file tells, else one more than the patches need.
func (m *Official) setSeconds(patches, patch int, hyper *torchfile.Dict) error {
	mel := int64(patches*patch + 1)
	if size := hyper.Dict("a_config").Ints("spectrogram_size"); len(size) == 2 {
		if mel = size[1]; mel/int64(patch) != int64(patches) {
			return fmt.Errorf("%w: a_config.spectrogram_size has %d frames, the positions are of %d "+
				"patches of %d", ErrForeign, mel, patches, patch)
		}
	}
	m.set("view.seconds", strconv.FormatFloat(float64(mel-1)/100, 'f', -1, 64))
	return nil
}

// projector describes the projector; a model without one gets one that gives zeros.
func (m *Official) projector(s *shapes, width int) {
	const p = "projector.net."
	if s.has(p + "0.weight") {
		m.set("projector.hidden", s.dim(p+"0.weight", 2, 0))
		m.set("projector.out", s.dim(p+"6.weight", 2, 0))
		return
	}
	zeros := func(name string, dims ...int) { m.Arrays[p+name] = tensor.New(dims...) }
	zeros("0.weight", 1, width)
	for _, layer := range []string{"1.", "4."} {
		for _, part := range []string{"weight", "bias", "running_mean", "running_var"} {
			zeros(layer+part, 1)
		}
		m.Arrays[p+layer+"running_var"].Data[0] = 1
	}
	zeros("3.weight", 1, 1)
	zeros("6.weight", 1, 1)
	for _, layer := range []string{"0.", "3.", "6."} {
		zeros(layer+"bias", 1)
	}
	m.set("projector.hidden", 1)
	m.set("projector.out", 1)
	m.set("eval.embedding", "cls")
	m.Notes = append(m.Notes, "the file has no projector: the one written gives 0, and "+
		"eval.embedding is cls")
}

// hyper takes the hyper-parameters that are settings here, and lists the others.
func (m *Official) hyper(h *torchfile.Dict) {
	if h == nil {
		return
	}
	m.number(h.Dict("t_config"), "hidden_dropout_prob", "model.dropout", 1)
	m.number(h.Dict("t_config"), "attention_probs_dropout_prob", "model.attention_dropout", 1)
	m.number(h, "lambd", "loss.lambda", 1)
	m.number(h, "lr", "train.lr", 1)
	m.number(h, "weight_decay", "train.weight_decay", 1)
	used := []string{"a_config", "v_config", "t_config", "lambd", "lr", "weight_decay", "proj_dim",
		"dual_encoder", "mean_pool"}
	var left []string
	for _, it := range h.Items {
		if key, ok := it.Key.(string); ok && !slices.Contains(used, key) && len(left) < 200 {
			left = append(left, fmt.Sprintf("%s = %s", shown(key), summary(it.Value)))
		}
	}
	if len(left) > 0 {
		m.Skipped = append(m.Skipped, "hyper_parameters: "+strings.Join(left, ", "))
	}
}

// number makes a setting of a hyper-parameter between 0 and most.
func (m *Official) number(h *torchfile.Dict, name, key string, most float64) {
	v, ok := h.Get(name).(float64)
	if n, whole := h.Int(name); whole {
		v, ok = float64(n), true
	}
	if ok && v >= 0 && v <= most {
		m.set(key, strconv.FormatFloat(v, 'g', -1, 64))
	}
}
