package exchange

import (
	"encoding/json"
	"io"
	"maps"
	"slices"

	"avjepa/internal/checkpoint"
	"avjepa/internal/durable"
	"avjepa/internal/torchfile"
)

// WriteSafetensors writes all arrays as safetensors, in PyTorch's layouts and types,
// whole or not at all. The metadata has geometry and normalisation as JSON, and
// format "pt", which loaders of PyTorch look for.
func (t *Trained) WriteSafetensors(path string) error {
	meta := t.metadata()
	meta["format"] = "pt"
	w := checkpoint.New(meta)
	for _, name := range t.names {
		a := t.arrays[name]
		if isCounter(name) {
			w.AddInt64(name, a.Shape.Dims(), whole(a.Data))
		} else {
			w.AddFloat32(name, a.Shape.Dims(), a.Data)
		}
	}
	return w.WriteFile(path)
}

// WriteTorch writes the state dict that torch.load(path, weights_only=True) gives,
// whole or not at all, with a record avjepa.json beside it that PyTorch ignores.
func (t *Trained) WriteTorch(path string) error {
	var entries []torchfile.Entry
	for _, name := range t.names {
		a := t.arrays[name]
		e := torchfile.Entry{Name: name, Shape: a.Shape.Dims(), Float32: a.Data}
		if isCounter(name) {
			e.Float32, e.Int64 = nil, whole(a.Data)
		}
		entries = append(entries, e)
	}
	about, err := json.MarshalIndent(t.own(), "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, func(out io.Writer) error {
		return torchfile.Write(out, entries, map[string][]byte{ownName: about})
	})
}

// whole returns counts, which our checkpoints hold as float32.
func whole(x []float32) []int64 {
	out := make([]int64, len(x))
	for i, v := range x {
		out[i] = int64(v)
	}
	return out
}

// sortedNames returns the keys of a map in order.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
