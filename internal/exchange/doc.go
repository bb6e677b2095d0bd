// Package exchange carries models between avjepa and PyTorch: it reads checkpoints
// of the published code and state dicts, and writes trained models as safetensors,
// as torch.save does and as ONNX.
//
//	m, err := exchange.Read("last.ckpt", exchange.Assume{})
//	// m.Settings describe the model, m.Arrays hold it under our names
//	t, err := exchange.Of(checkpoint, cfg, about)
//	err = t.WriteONNX("encoder.onnx", exchange.ONNX{})
//
// Names are those of the published code, which avjepa's own checkpoints have too,
// without what torch.compile and DistributedDataParallel put into them.
package exchange

import "errors"

// ErrDual is behind the error for a model of two encoders, one per modality.
var ErrDual = errors.New("a dual encoder, one per modality: only models of one encoder " +
	"for both can be imported or exported")

// ErrForeign is behind the error for a file that holds no model avjepa can compute.
var ErrForeign = errors.New("not a model that avjepa can compute")
