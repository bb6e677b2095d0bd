package onnx

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// field is one of a message: a number, or bytes.
type field struct {
	number int
	value  uint64
	bytes  []byte
}

// fields takes a message apart; the test fails unless it is one to its last byte.
func fields(t *testing.T, b []byte) []field {
	t.Helper()
	var out []field
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		b = b[n:]
		f := field{number: int(tag >> 3)}
		switch tag & 7 {
		case 0:
			f.value, n = binary.Uvarint(b)
		case 2:
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				t.Fatalf("field %d of %d bytes, %d left", f.number, size, len(b)-k)
			}
			f.bytes, n = b[k:k+int(size)], k+int(size)
		case 5:
			f.value, n = uint64(binary.LittleEndian.Uint32(b)), 4
		default:
			t.Fatalf("wire type %d of field %d", tag&7, f.number)
		}
		if n <= 0 {
			t.Fatalf("field %d is cut short", f.number)
		}
		b = b[n:]
		out = append(out, f)
	}
	return out
}

// one returns the only field of that number.
func one(t *testing.T, b []byte, number int) field {
	t.Helper()
	all := every(t, b, number)
	if len(all) != 1 {
		t.Fatalf("%d fields %d, want 1", len(all), number)
	}
	return all[0]
}

func every(t *testing.T, b []byte, number int) []field {
	t.Helper()
	var out []field
	for _, f := range fields(t, b) {
		if f.number == number {
			out = append(out, f)
		}
	}
	return out
}

// scaled is y = 2·x[0], with a large constant that nothing uses.
func scaled() Model {
	g := &Graph{Name: "scaled", Inputs: []Value{{"x", []any{"batch", 3}}}}
	g.AddFloats("two", nil, []float32{2})
	g.AddFloats("large", []int{2, 1024}, make([]float32, 2048))
	g.AddFloats("larger", []int{1100}, append(make([]float32, 1099), 7))
	g.AddInt("zero", 0)
	g.AddInts("shape", 0, -1)
	g.Add("Gather", []string{"x", "zero"}, "first", Attr{"axis", -1}, Attr{"slope", float32(.5)},
		Attr{"strides", []int{3, 4}})
	g.Add("Mul", []string{"first", "two"}, "y")
	g.Outputs = []Value{{"y", []any{"batch"}}}
	return Model{Graph: g, Producer: "test", Metadata: map[string]string{"b": "2", "a": "1"}}
}

func TestModelIsTheMessageOfTheFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := scaled().WriteFile(path, ""); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if v := one(t, b, 1).value; v != 8 {
		t.Errorf("IR version %d", v)
	}
	if v := one(t, one(t, b, 8).bytes, 2).value; v != 17 {
		t.Errorf("operator set %d", v)
	}
	if meta := every(t, b, 14); len(meta) != 2 || string(one(t, meta[0].bytes, 1).bytes) != "a" {
		t.Errorf("metadata %v", meta)
	}
	graph := one(t, b, 7).bytes
	nodes := every(t, graph, 1)
	if len(nodes) != 2 || string(one(t, nodes[1].bytes, 4).bytes) != "Mul" ||
		string(one(t, nodes[1].bytes, 2).bytes) != "y" || len(every(t, nodes[1].bytes, 1)) != 2 {
		t.Errorf("nodes %v", nodes)
	}
	attrs := every(t, nodes[0].bytes, 5)
	if v := int64(one(t, attrs[0].bytes, 3).value); v != -1 || one(t, attrs[0].bytes, 20).value != 2 {
		t.Errorf("axis %d", v)
	}
	if v := math.Float32frombits(uint32(one(t, attrs[1].bytes, 2).value)); v != .5 {
		t.Errorf("slope %v", v)
	}
	if v := every(t, attrs[2].bytes, 8); len(v) != 2 || v[1].value != 4 {
		t.Errorf("strides %v", v)
	}
	shape := one(t, one(t, one(t, one(t, graph, 11).bytes, 2).bytes, 1).bytes, 2).bytes
	if dims := every(t, shape, 1); string(one(t, dims[0].bytes, 2).bytes) != "batch" ||
		one(t, dims[1].bytes, 1).value != 3 {
		t.Errorf("input of shape %q", shape)
	}
	tensors := every(t, graph, 5)
	if len(tensors) != 5 {
		t.Fatalf("%d constants", len(tensors))
	}
	if raw := one(t, tensors[0].bytes, 9).bytes; !bytes.Equal(raw, []byte{0, 0, 0, 0x40}) {
		t.Errorf("two is %x", raw)
	}
	if raw := one(t, tensors[4].bytes, 9).bytes; one(t, tensors[4].bytes, 2).value != 7 ||
		!bytes.Equal(raw, append(make([]byte, 8), bytes.Repeat([]byte{255}, 8)...)) {
		t.Errorf("shape is %x", raw)
	}
}

// Large constants lie in the file beside the model, where the model says.
func TestConstantsBesideTheModel(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	if err := scaled().WriteFile(path, "m.data"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "m.data"))
	if err != nil {
		t.Fatal(err)
	}
	tensors := every(t, one(t, b, 7).bytes, 5)
	want := []string{"", "location=m.data offset=0 length=8192 ",
		"location=m.data offset=8192 length=4400 ", "", ""}
	for i, c := range tensors {
		var where strings.Builder
		for _, e := range every(t, c.bytes, 13) {
			where.Write(one(t, e.bytes, 1).bytes)
			where.WriteByte('=')
			where.Write(one(t, e.bytes, 2).bytes)
			where.WriteByte(' ')
		}
		if where.String() != want[i] ||
			len(every(t, c.bytes, 9)) == len(every(t, c.bytes, 14)) {
			t.Errorf("constant %d lies at %q, want %q", i, where.String(), want[i])
		}
	}
	last := 8192 + 4400 - 4
	if len(data)%externalAlign != 0 || math.Float32frombits(binary.LittleEndian.Uint32(data[last:])) != 7 {
		t.Errorf("%d bytes of data, ends with %x", len(data), data[last:last+4])
	}
}

func TestOwnMistakesPanic(t *testing.T) {
	for name, f := range map[string]func(g *Graph){
		"a name twice":    func(g *Graph) { g.AddInt("a", 1); g.AddInt("a", 1) },
		"a wrong shape":   func(g *Graph) { g.AddFloats("a", []int{2}, []float32{1}) },
		"a float64":       func(g *Graph) { g.Add("Mul", nil, "y", Attr{"a", 1.0}) },
		"an output twice": func(g *Graph) { g.Add("Mul", nil, "y"); g.Add("Mul", nil, "y") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(&Graph{})
		}()
	}
}
