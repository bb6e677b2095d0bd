package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	w := New(map[string]string{"step": "7"})
	want := []float32{1, -2.5, float32(math.Inf(1)), 0, 5, 6}
	w.AddFloat32("b.weight", []int{2, 3}, want)
	w.AddInt64("n", nil, []int64{-9})
	w.AddRead("late", []int{2, 2}, func(dst []float32) error { copy(dst, want[2:]); return nil })
	w.AddRead("later", []int{3}, func(dst []float32) error { copy(dst, want); return nil })
	if err := w.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.Float32("b.weight")
	if err != nil || a.Shape.String() != "2×3" {
		t.Fatalf("shape %v, error %v", a.Shape, err)
	}
	for i := range want {
		if a.Data[i] != want[i] {
			t.Errorf("element %d is %v, want %v", i, a.Data[i], want[i])
		}
	}
	for name, want := range map[string][]float32{"late": want[2:], "later": want[:3]} {
		if a, err := f.Float32(name); err != nil || !slices.Equal(a.Data, want) {
			t.Errorf("%s is %v, %v, want %v", name, a.Data, err, want)
		}
	}
	w.AddRead("broken", nil, func([]float32) error { return os.ErrDeadlineExceeded })
	if err := w.WriteFile(path); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v of an array that cannot be read", err)
	}
	if n, err := f.Int64("n"); err != nil || n[0] != -9 {
		t.Errorf("n = %v, %v", n, err)
	}
	if f.Metadata["step"] != "7" {
		t.Errorf("metadata %v", f.Metadata)
	}
	if _, err := f.Float32("absent"); !errors.Is(err, ErrMissing) {
		t.Errorf("absent tensor: %v", err)
	}
}

func TestReadsGoldenFile(t *testing.T) {
	f, err := Read("../../testdata/golden/weights.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.Float32("encoder.embedding.cls_token")
	if err != nil || a.Shape.String() != "1×1×48" {
		t.Fatalf("cls_token: %v, %v", a.Shape, err)
	}
}

// file makes a safetensors file of a header text and n data bytes.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func TestRefusesHostileFiles(t *testing.T) {
	huge := binary.LittleEndian.AppendUint64(nil, 1<<40)
	cases := map[string][]byte{
		"empty":           {},
		"short":           {1, 2, 3},
		"huge header":     huge,
		"not json":        file("xxxx", 0),
		"unknown type":    file(`{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}`, 4),
		"past the end":    file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4),
		"negative":        file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,-4]}}`, 4),
		"overflow":        file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 4),
		"shape ≠ offsets": file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8),
		"overlap": file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},`+
			`"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12),
		"rank 7": file(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 4),
	}
	for name, b := range cases {
		if _, err := Parse(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
}

// FuzzParse: a file that is refused is refused with ErrFormat and little text; of
// one that is read, tensors are no larger than the file, and written again and
// read again they are the same.
func FuzzParse(f *testing.F) {
	f.Add(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4))
	f.Add(file(`{"__metadata__":{"step":"7"},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},`+
		`"e":{"dtype":"F32","shape":[0,9],"data_offsets":[8,8]}}`, 8))
	f.Add(file(`{"__metadata__":null,"":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}`, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := Parse(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			if !errors.Is(err, ErrFormat) || len(err.Error()) > 600+len(b) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if first.Size() > int64(len(b)) {
			t.Fatalf("%d bytes of tensors in %d", first.Size(), len(b))
		}
		w := New(first.Metadata)
		kept := 0
		for _, n := range first.Names() {
			if a, err := first.Float32(n); err == nil {
				w.AddFloat32(n, a.Shape.Dims(), a.Data)
				kept++
			} else if i, err := first.Int64(n); err == nil {
				w.AddInt64(n, []int{len(i)}, i)
				kept++
			}
		}
		var out bytes.Buffer
		if _, err := w.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		second, err := Parse(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil || len(second.Names()) != kept {
			t.Fatalf("%d tensors of %d read again: %v", len(second.Names()), kept, err)
		}
		for _, n := range second.Names() {
			a, errA := first.Float32(n)
			b, errB := second.Float32(n)
			if (errA == nil) != (errB == nil) || errA == nil && !sameBits(a.Data, b.Data) {
				t.Errorf("%q is %v, %v, then %v, %v", n, a.Data, errA, b.Data, errB)
			}
			i, errI := first.Int64(n)
			j, errJ := second.Int64(n)
			if (errI == nil) != (errJ == nil) || !slices.Equal(i, j) {
				t.Errorf("%q is %v, %v, then %v, %v", n, i, errI, j, errJ)
			}
		}
	})
}

// sameBits compares numbers among which may be NaN.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y)
	})
}

// TestHash: the file that was read has the hash of the file.
func TestHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	w := New(map[string]string{"step": "3"})
	w.AddFloat32("a", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6})
	if err := w.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	f.Hash(h)
	if want := sha256.Sum256(data); !bytes.Equal(h.Sum(nil), want[:]) {
		t.Error("other bytes than the file's")
	}
}
