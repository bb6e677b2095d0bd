package torch

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// ErrNoLibrary is behind the error of New when the shim is missing, cannot be loaded
// or belongs to another version of this program.
var ErrNoLibrary = errors.New("the torch engine is not built: run `avjepa engine build`")

// abi is AVJ_ABI of src/avjepa.h.
const abi = 1

// function is the address of one of the shim's functions.
type function uintptr

// library is a loaded shim. It stays loaded: libtorch has threads of its own.
type library struct {
	handle uintptr
	functions
}

// functions are those of src/avjepa.h.
type functions struct {
	abi, free, open, close, sync, newBuffer, freeBuffer, upload, download function

	copy, fill, scale, addTo, gelu, geluBackward, dropout          function
	linear, linearInput, linearWeight                              function
	layerNorm, layerNormBackward, batchNorm, batchNormBackward     function
	columnStats, attention, attentionBackward, attentionWeights    function
	patchifyVideo, patchifyAudio, assemble, assembleBackward       function
	center, predictionLoss, ecf, sigreg, ecfBackward, crossEntropy function
	squaredNorm, clipScale, adamw                                  function
}

// names returns the C names and where their addresses go.
func (f *functions) names() map[string]*function {
	return map[string]*function{
		"avj_abi": &f.abi, "avj_free": &f.free, "avj_open": &f.open, "avj_close": &f.close,
		"avj_sync": &f.sync, "avj_new_buffer": &f.newBuffer, "avj_free_buffer": &f.freeBuffer,
		"avj_upload": &f.upload, "avj_download": &f.download, "avj_copy": &f.copy,
		"avj_fill": &f.fill, "avj_scale": &f.scale, "avj_add_to": &f.addTo, "avj_gelu": &f.gelu,
		"avj_gelu_backward": &f.geluBackward, "avj_dropout": &f.dropout,
		"avj_linear": &f.linear, "avj_linear_input": &f.linearInput,
		"avj_linear_weight": &f.linearWeight, "avj_layer_norm": &f.layerNorm,
		"avj_layer_norm_backward": &f.layerNormBackward, "avj_batch_norm": &f.batchNorm,
		"avj_batch_norm_backward": &f.batchNormBackward, "avj_column_stats": &f.columnStats,
		"avj_attention": &f.attention, "avj_attention_backward": &f.attentionBackward,
		"avj_attention_weights": &f.attentionWeights, "avj_patchify_video": &f.patchifyVideo,
		"avj_patchify_audio": &f.patchifyAudio, "avj_assemble": &f.assemble,
		"avj_assemble_backward": &f.assembleBackward, "avj_center": &f.center,
		"avj_prediction_loss": &f.predictionLoss, "avj_ecf": &f.ecf, "avj_sigreg": &f.sigreg,
		"avj_ecf_backward": &f.ecfBackward, "avj_cross_entropy": &f.crossEntropy,
		"avj_squared_norm": &f.squaredNorm, "avj_clip_scale": &f.clipScale, "avj_adamw": &f.adamw,
	}
}

// loaded are the libraries by path.
var loaded = struct {
	sync.Mutex
	byPath map[string]*library
}{byPath: map[string]*library{}}

// load returns the shim at path, loaded once a process.
func load(path string) (*library, error) {
	if path == "" {
		return nil, fmt.Errorf("torch: %w", ErrNoLibrary)
	}
	loaded.Lock()
	defer loaded.Unlock()
	if l := loaded.byPath[path]; l != nil {
		return l, nil
	}
	handle, err := dlopen(path)
	if err != nil {
		return nil, fmt.Errorf("torch: %w (loading %s: %w)", ErrNoLibrary, path, err)
	}
	l := &library{handle: handle}
	if l.abi, err = l.symbol("avj_abi"); err != nil {
		return nil, fmt.Errorf("torch: %w (%s is no library of this program)", ErrNoLibrary, path)
	}
	if got := l.abi.call(0, 0, 0); got != abi {
		return nil, fmt.Errorf("torch: %w (%s has version %d of the interface, this program %d)",
			ErrNoLibrary, path, got, abi)
	}
	for name, f := range l.names() {
		if *f, err = l.symbol(name); err != nil {
			return nil, fmt.Errorf("torch: %w (%s lacks %s)", ErrNoLibrary, path, name)
		}
	}
	loaded.byPath[path] = l
	return l, nil
}

// fault makes an error of a message of the shim's, which it frees; nil of none.
func (l *library) fault(message uintptr) error {
	if message == 0 {
		return nil
	}
	var text []byte
	// The address is C's: it is read where it is kept, as a pointer.
	for p := *(**byte)(unsafe.Pointer(&message)); *p != 0; p = (*byte)(unsafe.Add(
		unsafe.Pointer(p), 1)) {
		text = append(text, *p)
	}
	l.free.call(message, 0, 0)
	return errors.New(string(text))
}
