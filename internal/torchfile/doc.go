// Package torchfile reads and writes the files of PyTorch's torch.save: a zip of
// stored records, of which data.pkl is a pickle and data/N are the bytes of tensors.
//
//	f, err := torchfile.Open("last.ckpt")
//	defer f.Close()
//	weights := f.Root.(*torchfile.Dict).Dict("state_dict")
//	a, err := f.Float32(weights.Tensor("encoder.cls"))
//
// A pickle is a program. Here it can build data and nothing else: dicts, lists,
// tuples, texts, numbers, tensors. A handful of classes that PyTorch and Lightning
// write (globals.go) become data or an Opaque; any other name ends the reading with
// ErrRefused, and nothing is ever called. Everything that a file claims is held to
// the bytes it has before memory is taken for it.
//
// Source: the pickle protocol 2 (PEP 307); torch.serialization's zip format.
package torchfile

import "errors"

// ErrFormat is behind every error about a file that torch.save has not written, or
// that is damaged.
var ErrFormat = errors.New("not a valid file of torch.save")

// ErrRefused is behind the error for a pickle that wants more than data: a class or
// a function that is not on the list.
var ErrRefused = errors.New("refused, as it is not plain data")

// Bounds on what is read. Lightning's checkpoint of ViT-Large has 70,000 opcodes in
// 0.5 MB of pickle.
const (
	maxRecords     = 1 << 16  // members of the zip
	maxPickleBytes = 16 << 20 // of data.pkl
	maxExtraBytes  = 1 << 20  // of a record that Extra returns
	maxOps         = 1 << 20
	maxStack       = 1 << 18
	maxMarks       = 256
	maxLine        = 256     // bytes of a module or a name
	maxText        = 1 << 20 // bytes of a text
	maxDepth       = 64      // of containers in containers
	maxExpanded    = 1 << 22 // values, when what is shared is counted each time
)
