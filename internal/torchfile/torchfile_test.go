package torchfile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

var sample = []Entry{
	{Name: "encoder.weight", Shape: []int{2, 3},
		Float32: []float32{1, -2.5, float32(math.Inf(1)), 0, 5, 6}},
	{Name: "scalar", Float32: []float32{-1}},
	{Name: "tracked", Int64: []int64{37}},
}

// written returns the sample as Write writes it.
func written(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, sample, map[string][]byte{"avjepa.json": []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(b []byte) (*File, error) { return Parse(bytes.NewReader(b), int64(len(b))) }

func TestRoundTrip(t *testing.T) {
	f, err := parse(written(t))
	if err != nil {
		t.Fatal(err)
	}
	all := f.Root.(*Dict)
	if len(all.Items) != len(sample) {
		t.Fatalf("%d tensors, want %d", len(all.Items), len(sample))
	}
	for i, want := range sample {
		if all.Items[i].Key != want.Name {
			t.Errorf("tensor %d is %v, want %s", i, all.Items[i].Key, want.Name)
		}
		a, err := f.Float32(all.Tensor(want.Name))
		if err != nil {
			t.Fatal(err)
		}
		values := want.Float32
		for _, n := range want.Int64 {
			values = append(values, float32(n))
		}
		if !slices.Equal(a.Data, values) || !slices.Equal(a.Shape.Dims(), append([]int{}, want.Shape...)) {
			t.Errorf("%s is %v %v, want %v %v", want.Name, a.Shape, a.Data, want.Shape, values)
		}
	}
	if x, err := f.Extra("avjepa.json"); string(x) != "{}" || err != nil {
		t.Errorf("extra record %q, %v", x, err)
	}
	if x, err := f.Extra("none"); x != nil || err != nil {
		t.Errorf("absent record %q, %v", x, err)
	}
}

// Records begin where PyTorch wants to map them.
func TestRecordsAreAligned(t *testing.T) {
	b := written(t)
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range z.File {
		if at, err := m.DataOffset(); err != nil || at%64 != 0 {
			t.Errorf("%s begins at %d, %v", m.Name, at, err)
		}
	}
}

func TestReadsTheGoldenCheckpoint(t *testing.T) {
	f, err := Open("../../testdata/golden/official.ckpt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	root := f.Root.(*Dict)
	if n, ok := root.Int("global_step"); n != 1234 || !ok {
		t.Errorf("global_step is %d", n)
	}
	got := root.Dict("hyper_parameters").Dict("a_config").Ints("spectrogram_size")
	if !slices.Equal(got, []int64{32, 48}) {
		t.Errorf("spectrogram_size is %v", got)
	}
	a, err := f.Float32(root.Dict("state_dict").Tensor("encoder._orig_mod.embedding.cls_token"))
	if err != nil || a.Shape.String() != "1×1×48" {
		t.Errorf("cls_token: %v, %v", a.Shape, err)
	}
}

// member is a record of a zip that need not make sense.
type member struct {
	name, body string
	method     uint16
}

func archive(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		w, err := z.CreateRaw(&zip.FileHeader{Name: m.name, Method: m.method,
			CRC32:              crc32.ChecksumIEEE([]byte(m.body)),
			CompressedSize64:   uint64(len(m.body)),
			UncompressedSize64: uint64(len(m.body))})
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(m.body))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withPickle is a file of one record of 8 bytes, data/0, and this pickle.
func withPickle(t testing.TB, pickle string) []byte {
	return archive(t, member{name: "a/data.pkl", body: "\x80\x02" + pickle},
		member{name: "a/data/0", body: "\x00\x00\x80\x3f\x00\x00\x00\x40"})
}

func TestRefusesHostileArchives(t *testing.T) {
	good := written(t)
	pkl := member{name: "a/data.pkl", body: "\x80\x02}."}
	if _, err := parse(archive(t, pkl)); err != nil {
		t.Fatalf("the plain archive: %v", err)
	}
	overlap := archive(t, pkl, member{name: "a/data/0", body: strings.Repeat("x", 64)})
	at := bytes.LastIndex(overlap, []byte("PK\x01\x02")) // the second entry of the directory
	copy(overlap[at+42:], []byte{0, 0, 0, 0})            // now points at the first record
	claims := archive(t, pkl, member{name: "a/data/0", body: "x"})
	at = bytes.LastIndex(claims, []byte("PK\x01\x02"))
	copy(claims[at+20:], []byte{0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f})
	flipped := bytes.Clone(good)
	flipped[bytes.Index(flipped, []byte("encoder.weight"))] ^= 1
	cases := map[string][]byte{
		"empty":            {},
		"not a zip":        []byte("\x80\x02}q\x00."),
		"cut short":        good[:len(good)/2],
		"without its end":  good[:len(good)-1],
		"a flipped bit":    flipped,
		"no pickle":        archive(t, member{name: "a/data/0", body: "x"}),
		"pickle at root":   archive(t, member{name: "data.pkl", body: pkl.body}),
		"two pickles":      archive(t, pkl, member{name: "b/data.pkl", body: pkl.body}),
		"the same twice":   archive(t, pkl, member{name: "a/x"}, member{name: "a/x"}),
		"compressed":       archive(t, pkl, member{name: "a/data/0", method: zip.Deflate}),
		"leads up":         archive(t, pkl, member{name: "a/../../etc/passwd"}),
		"absolute":         archive(t, pkl, member{name: "/etc/passwd", body: "x"}),
		"backslash":        archive(t, pkl, member{name: `a\data`, body: "x"}),
		"big-endian":       archive(t, pkl, member{name: "a/byteorder", body: "big"}),
		"overlap":          overlap,
		"size beyond file": claims,
	}
	for name, b := range cases {
		if _, err := parse(b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
}

// tensorPickle is the pickle of a tensor in a storage.
func tensorPickle(kind, key string, elems, offset int, size, stride string) string {
	return fmt.Sprintf("ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n%s\n"+
		"X%c\x00\x00\x00%sX\x03\x00\x00\x00cpuK%ctQK%c%s%s\x89}tR.", kind, len(key), key, elems, offset,
		size, stride)
}

func TestRefusesHostileTensors(t *testing.T) {
	read := func(pickle string) error {
		f, err := parse(withPickle(t, pickle))
		if err != nil {
			return err
		}
		a, err := f.Float32(f.Root.(*Tensor))
		if err == nil && !slices.Equal(a.Data, []float32{1, 2}) {
			t.Errorf("values %v", a.Data)
		}
		return err
	}
	if err := read(tensorPickle("FloatStorage", "0", 2, 0, "K\x02\x85", "K\x01\x85")); err != nil {
		t.Fatalf("the plain tensor: %v", err)
	}
	const f32, key, one = "FloatStorage", "0", "K\x01\x85"
	sevenOnes := "(" + strings.Repeat("K\x01", 7) + "t"
	for name, pickle := range map[string]string{
		"no such record":     tensorPickle(f32, "1", 2, 0, "K\x02\x85", one),
		"record elsewhere":   tensorPickle(f32, "../data.pkl", 2, 0, "K\x02\x85", one),
		"more than there is": tensorPickle(f32, key, 3, 0, "K\x02\x85", one),
		"less than there is": tensorPickle(f32, key, 1, 0, "K\x01\x85", one),
		"another type":       tensorPickle("DoubleStorage", key, 2, 0, "K\x02\x85", one),
		"size beyond":        tensorPickle(f32, key, 2, 0, "K\x03\x85", one),
		"offset beyond":      tensorPickle(f32, key, 2, 1, "K\x02\x85", one),
		"stride beyond":      tensorPickle(f32, key, 2, 0, "K\x02\x85", "K\x02\x85"),
		"stride 0, expanded": tensorPickle(f32, key, 2, 0, "K\x02K\x02\x86", "K\x00K\x00\x86"),
		"negative size":      tensorPickle(f32, key, 2, 0, "J\xff\xff\xff\xff\x85", one),
		"negative stride":    tensorPickle(f32, key, 2, 1, "K\x02\x85", "J\xff\xff\xff\xff\x85"),
		"huge size": tensorPickle(f32, key, 2, 0,
			"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85", one),
		"huge product": tensorPickle(f32, key, 2, 0,
			"(K\x02K\x02K\x02K\x02t", "(K\x00K\x00K\x00K\x00t"),
		"rank 7":              tensorPickle(f32, key, 2, 0, sevenOnes, sevenOnes),
		"size without stride": tensorPickle(f32, key, 2, 0, "K\x02\x85", ")"),
		"a text as size":      tensorPickle(f32, key, 2, 0, "X\x01\x00\x00\x00a\x85", one),
	} {
		if err := read(pickle); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
}

// Tensors that share a storage cannot make a small file large.
func TestBoundsWhatIsReadOfAFile(t *testing.T) {
	f, err := parse(withPickle(t, tensorPickle("FloatStorage", "0", 2, 0, "K\x02\x85", "K\x01\x85")))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil && i < 1000; i++ {
		_, err = f.Float32(f.Root.(*Tensor))
	}
	if !errors.Is(err, ErrFormat) {
		t.Errorf("read without end: %v", err)
	}
}

func TestTypesOfElements(t *testing.T) {
	for kind, c := range map[string]struct {
		raw  []byte
		want []float32
	}{
		"float16": {[]byte{0, 0x3c, 0, 0xc0, 1, 0, 0, 0x7c, 0, 4, 0, 0x80},
			[]float32{1, -2, 1.0 / (1 << 24), float32(math.Inf(1)), 1.0 / (1 << 14), 0}},
		"bfloat16": {[]byte{0x80, 0x3f, 0x20, 0xc0}, []float32{1, -2.5}},
		"float64":  {[]byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}, []float32{1.5}},
		"int64":    {[]byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, []float32{-2}},
		"int32":    {[]byte{0xfe, 0xff, 0xff, 0xff}, []float32{-2}},
		"uint8":    {[]byte{200}, []float32{200}},
		"bool":     {[]byte{0, 1}, []float32{0, 1}},
	} {
		for i, want := range c.want {
			if got := element(c.raw, int64(i), DType(kind)); got != want {
				t.Errorf("%s [%d] = %v, want %v", kind, i, got, want)
			}
		}
	}
}

// A tensor that is not contiguous is read in the order of its own dimensions.
func TestReadsStrides(t *testing.T) {
	six := "\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40" +
		"\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40"
	pickle := tensorPickle("FloatStorage", "0", 6, 0, "K\x03K\x02\x86", "K\x01K\x03\x86")
	f, err := parse(archive(t, member{name: "a/data/0", body: six},
		member{name: "a/data.pkl", body: "\x80\x02" + pickle}))
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.Float32(f.Root.(*Tensor))
	if err != nil || !slices.Equal(a.Data, []float32{0, 3, 1, 4, 2, 5}) {
		t.Errorf("%v, %v", a.Data, err)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
	path := t.TempDir() + "/x.ckpt"
	if err := os.WriteFile(path, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// walk reads all tensors of a value, as far as a consumer would.
func walk(f *File, v any) {
	switch v := v.(type) {
	case *Dict:
		for _, it := range v.Items {
			walk(f, it.Value)
		}
	case *List:
		for _, x := range v.Items {
			walk(f, x)
		}
	case *Tensor:
		f.Float32(v)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(written(f))
	f.Add(withPickle(f, tensorPickle("FloatStorage", "0", 2, 0, "K\x02\x85", "K\x01\x85")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if file, err := parse(b); err == nil {
			walk(file, file.Root)
		}
	})
}

func FuzzPickle(f *testing.F) {
	f.Add("}(X\x01\x00\x00\x00aK\x07X\x01\x00\x00\x00b]q\x00h\x00\x85u.")
	f.Add(tensorPickle("FloatStorage", "0", 2, 0, "K\x02\x85", "K\x01\x85"))
	f.Add("cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrNsb.")
	f.Add(string(pickle(sample)[2:]))
	f.Fuzz(func(t *testing.T, p string) {
		if file, err := parse(withPickle(t, p)); err == nil {
			walk(file, file.Root)
		}
	})
}
