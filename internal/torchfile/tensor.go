package torchfile

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"avjepa/internal/tensor"
)

// DType is the type of a tensor's elements, by PyTorch's name.
type DType string

// The types of elements, with their bytes.
var elemBytes = map[DType]int64{
	"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8,
	"int64": 8, "int32": 4, "uint8": 1, "bool": 1,
}

// storageTypes are the globals that name a storage's type of elements.
var storageTypes = map[global]DType{
	"torch FloatStorage": "float32", "torch HalfStorage": "float16",
	"torch BFloat16Storage": "bfloat16", "torch DoubleStorage": "float64",
	"torch LongStorage": "int64", "torch IntStorage": "int32",
	"torch ByteStorage": "uint8", "torch BoolStorage": "bool",
}

// storage is a record data/N: the memory that tensors look into.
type storage struct {
	dtype  DType
	elems  int64
	record *record
}

// Tensor is a view of a record of the file; File.Float32 reads it.
type Tensor struct {
	DType DType
	Shape tensor.Shape

	storage *storage
	stride  []int64 // of each dimension, elements
	offset  int64   // of the first element
}

// storageOf returns the storage of a persistent id:
// ("storage", type, record, device, elements).
func (f *File) storageOf(id []any) (any, error) {
	bad := func(what string) error {
		return fmt.Errorf("%w: the persistent id of a storage: %s", ErrFormat, what)
	}
	if len(id) != 5 || id[0] != "storage" {
		return nil, bad("not the five parts that torch.save writes")
	}
	g, _ := id[1].(global)
	dtype, ok := storageTypes[g]
	if !ok {
		return nil, bad("type of elements is " + kindOf(id[1]))
	}
	key, ok := id[2].(string)
	if !ok || f.records[f.folder+"data/"+key] == nil {
		return nil, bad(fmt.Sprintf("no record data/%.40s", key))
	}
	n, ok := id[4].(int64)
	r := f.records[f.folder+"data/"+key]
	if !ok || n < 0 || n > r.size || n*elemBytes[dtype] != r.size {
		return nil, bad(fmt.Sprintf("%d values of %s in record data/%.40s of %d bytes", n, dtype, key,
			r.size))
	}
	if s := f.storages[key]; s != nil {
		if s.dtype != dtype {
			return nil, bad(fmt.Sprintf("record data/%.40s is %s and %s", key, s.dtype, dtype))
		}
		return s, nil
	}
	s := &storage{dtype: dtype, elems: n, record: r}
	f.storages[key] = s
	return s, nil
}

// rebuildTensor is _rebuild_tensor_v2(storage, offset, size, stride, requires_grad,
// backward_hooks).
func rebuildTensor(name global, args []any) (any, error) {
	if len(args) != 6 {
		return nil, arguments(name, args)
	}
	s, a := args[0].(*storage)
	offset, b := args[1].(int64)
	size, c := args[2].(*Tuple)
	stride, d := args[3].(*Tuple)
	_, e := args[4].(bool)
	hooks, f := args[5].(*Dict)
	if !(a && b && c && d && e && f) || len(hooks.Items) != 0 {
		return nil, arguments(name, args)
	}
	return view(s, offset, size.Items, stride.Items)
}

// rebuildParameter is _rebuild_parameter(tensor, requires_grad, backward_hooks).
func rebuildParameter(name global, args []any) (any, error) {
	if len(args) == 3 {
		if t, ok := args[0].(*Tensor); ok {
			return t, nil
		}
	}
	return nil, arguments(name, args)
}

// view returns a tensor of a storage, all of whose elements lie inside. It has no
// more of them than the storage: what a file holds bounds what is made of it.
func view(s *storage, offset int64, size, stride []any) (*Tensor, error) {
	bad := func(why string) (*Tensor, error) {
		return nil, fmt.Errorf("%w: a tensor in a storage of %d values: %s", ErrFormat, s.elems, why)
	}
	if len(size) != len(stride) || len(size) > tensor.MaxRank {
		return bad(fmt.Sprintf("%d dimensions and %d strides (limit %d)", len(size), len(stride),
			tensor.MaxRank))
	}
	t := &Tensor{DType: s.dtype, storage: s, offset: offset}
	dims := make([]int, len(size))
	elems, last := int64(1), offset
	for i := range size {
		n, a := size[i].(int64)
		step, b := stride[i].(int64)
		if !a || !b || n < 0 || step < 0 || n > s.elems || step > s.elems {
			return bad(fmt.Sprintf("dimension %d of size %s, stride %s", i, kindOf(size[i]),
				kindOf(stride[i])))
		}
		dims[i] = int(n)
		t.stride = append(t.stride, step)
		if n > 0 && elems > s.elems/n {
			return bad("it claims more values than that")
		}
		if elems *= n; n > 0 {
			last += (n - 1) * step
		}
		if last < 0 || last > s.elems { // before the sum can overflow
			return bad("it reaches beyond its end")
		}
	}
	if elems > 0 && (offset < 0 || last >= s.elems) {
		return bad("it reaches beyond its end")
	}
	t.Shape = tensor.Of(dims...)
	return t, nil
}

// Float32 reads a tensor, in C order. Values of wider types are rounded. The bytes
// that are read of one file, over all calls, are at most as many as it has, so that
// tensors which share a storage cannot make a small file large.
func (f *File) Float32(t *Tensor) (tensor.Array, error) {
	s := t.storage
	if f.read += s.record.size; f.read > f.size {
		return tensor.Array{}, fmt.Errorf("%w: tensors that share storages take more than its %d bytes",
			ErrFormat, f.size)
	}
	raw, err := s.record.bytes()
	if err != nil {
		return tensor.Array{}, err
	}
	out := tensor.Array{Shape: t.Shape, Data: make([]float32, t.Shape.Elems())}
	at := func(i int64) float32 { return element(raw, i, s.dtype) }
	index := make([]int, t.Shape.Rank())
	pos := t.offset
	for i := range out.Data {
		out.Data[i] = at(pos)
		for d := len(index) - 1; d >= 0; d-- { // the next index, last dimension first
			index[d]++
			pos += t.stride[d]
			if index[d] < t.Shape.Dim(d) {
				break
			}
			pos -= int64(index[d]) * t.stride[d]
			index[d] = 0
		}
	}
	return out, nil
}

// element returns value i of a storage.
func element(b []byte, i int64, t DType) float32 {
	le := binary.LittleEndian
	switch t {
	case "float32":
		return math.Float32frombits(le.Uint32(b[4*i:]))
	case "bfloat16":
		return math.Float32frombits(uint32(le.Uint16(b[2*i:])) << 16)
	case "float16":
		return half(le.Uint16(b[2*i:]))
	case "float64":
		return float32(math.Float64frombits(le.Uint64(b[8*i:])))
	case "int64":
		return float32(int64(le.Uint64(b[8*i:])))
	case "int32":
		return float32(int32(le.Uint32(b[4*i:])))
	}
	return float32(b[i])
}

// half returns the value of an IEEE 754 binary16.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&1023
	switch exp {
	case 0: // zero and subnormal: frac·2⁻²⁴
		v := float32(frac) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 255<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// bytes reads a record whole and holds it to its checksum.
func (r *record) bytes() ([]byte, error) {
	in, err := r.file.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: record %s: %w", ErrFormat, r.file.Name, err)
	}
	defer in.Close()
	b := make([]byte, r.size) // no more than the file has: see records
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, fmt.Errorf("%w: record %s: %w", ErrFormat, r.file.Name, err)
	}
	if _, err := in.Read(make([]byte, 1)); err != io.EOF { // the checksum is told at the end
		return nil, fmt.Errorf("%w: record %s: %w", ErrFormat, r.file.Name, err)
	}
	return b, nil
}
