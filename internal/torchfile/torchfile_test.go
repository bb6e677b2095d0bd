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
	{Name: "encoder.weight", Shape: []int{2, 3}, Float32: []float32{1, -2.5, float32(math.Inf(1)), 0, 5, 6}},
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
	if got := root.Dict("hyper_parameters").Dict("a_config").Ints("spectrogram_size"); !slices.Equal(got, []int64{32, 48}) {
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
		"the same twice":   archive(t, pkl, pkl),
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

// tensor is the pickle of a tensor of data/0, two float32.
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
	for name, pickle := range map[string]string{
		"no such record":      tensorPickle("FloatStorage", "1", 2, 0, "K\x02\x85", "K\x01\x85"),
		"record elsewhere":    tensorPickle("FloatStorage", "../data.pkl", 2, 0, "K\x02\x85", "K\x01\x85"),
		"more than there is":  tensorPickle("FloatStorage", "0", 3, 0, "K\x02\x85", "K\x01\x85"),
		"less than there is":  tensorPickle("FloatStorage", "0", 1, 0, "K\x01\x85", "K\x01\x85"),
		"another type":        tensorPickle("DoubleStorage", "0", 2, 0, "K\x02\x85", "K\x01\x85"),
		"size beyond":         tensorPickle("FloatStorage", "0", 2, 0, "K\x03\x85", "K\x01\x85"),
		"offset beyond":       tensorPickle("FloatStorage", "0", 2, 1, "K\x02\x85", "K\x01\x85"),
		"stride beyond":       tensorPickle("FloatStorage", "0", 2, 0, "K\x02\x85", "K\x02\x85"),
		"stride 0, expanded":  tensorPickle("FloatStorage", "0", 2, 0, "K\x02K\x02\x86", "K\x00K\x00\x86"),
		"negative size":       tensorPickle("FloatStorage", "0", 2, 0, "J\xff\xff\xff\xff\x85", "K\x01\x85"),
		"negative stride":     tensorPickle("FloatStorage", "0", 2, 1, "K\x02\x85", "J\xff\xff\xff\xff\x85"),
		"huge size":           tensorPickle("FloatStorage", "0", 2, 0, "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85", "K\x01\x85"),
		"huge product":        tensorPickle("FloatStorage", "0", 2, 0, "(K\x02K\x02K\x02K\x02t", "(K\x00K\x00K\x00K\x00t"),
		"rank 7":              tensorPickle("FloatStorage", "0", 2, 0, "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01t", "(K\x01K\x01K\x01K\x01K\x01K\x01K\x01t"),
		"size without stride": tensorPickle("FloatStorage", "0", 2, 0, "K\x02\x85", ")"),
		"a text as size":      tensorPickle("FloatStorage", "0", 2, 0, "X\x01\x00\x00\x00a\x85", "K\x01\x85"),
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

func TestRefusesHostilePickles(t *testing.T) {
	bomb := "]q\x000"
	for i := range 40 { // each list holds the one before twice
		bomb += fmt.Sprintf("](h%ch%ceq%c0", i, i, i+1)
	}
	bomb += "h\x28."
	for name, c := range map[string]struct {
		pickle string
		want   error
	}{
		"os.system":             {"cos\nsystem\n(X\x02\x00\x00\x00idtR.", ErrRefused},
		"posix.system, unused":  {"}cposix\nsystem\n0.", ErrRefused},
		"builtins.eval":         {"cbuiltins\neval\n.", ErrRefused},
		"getattr":               {"c__builtin__\ngetattr\n.", ErrRefused},
		"torch.load":            {"ctorch\nload\n.", ErrRefused},
		"a call of a factory":   {"c__builtin__\ndict\n)R.", ErrRefused},
		"a call of a list":      {"])R.", ErrRefused},
		"a call of a mark":      {"ctorch\nfloat32\n)R.", ErrRefused},
		"a function as data":    {"ctorch._utils\n_rebuild_tensor_v2\n.", ErrRefused},
		"a storage as data":     {"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x02tQ.", ErrFormat},
		"old INST":              {"(ios\nsystem\n.", ErrFormat},
		"old OBJ":               {"(cos\nsystem\no.", ErrRefused},
		"protocol 4's global":   {"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", ErrFormat},
		"an extension":          {"\x82\x01.", ErrFormat},
		"protocol 5":            {"\x80\x05}.", ErrFormat},
		"cut short":             {"}", ErrFormat},
		"nothing":               {".", ErrFormat},
		"two values":            {"}}.", ErrFormat},
		"an open mark":          {"}(.", ErrFormat},
		"no mark":               {"}u.", ErrFormat},
		"below the mark":        {"}(0.", ErrFormat},
		"a text cut short":      {"X\xff\xff\xff\x7fabc.", ErrFormat},
		"a text that is none":   {"X\x01\x00\x00\x00\xff.", ErrFormat},
		"a name without end":    {"c" + strings.Repeat("a", 1000) + ".", ErrFormat},
		"a huge integer":        {"\x8a\xff" + strings.Repeat("\x7f", 255) + ".", ErrFormat},
		"not remembered":        {"h\x07.", ErrFormat},
		"a key twice":           {"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu.", ErrFormat},
		"a dict as key":         {"}}Ns.", ErrFormat},
		"a list that holds it":  {"]q\x00h\x00a.", ErrFormat},
		"a dict that holds it":  {"}q\x00X\x01\x00\x00\x00ah\x00s.", ErrFormat},
		"nested deep":           {strings.Repeat("]", 1000) + strings.Repeat("a", 999) + ".", ErrFormat},
		"nested deep in tuples": {"N" + strings.Repeat("\x85", 100000) + ".", ErrFormat},
		"marks":                 {strings.Repeat("(", 1<<16) + ".", ErrFormat},
		"a high stack":          {strings.Repeat("N", 1<<19) + ".", ErrFormat},
		"opcodes without end":   {strings.Repeat("N0", 1<<20) + ".", ErrFormat},
		"doubling":              {bomb, ErrFormat},
		"long paths":            {"X\x00\x20\x00\x00" + strings.Repeat("a", 8192) + "q\x00cpathlib\nPosixPath\n(h\x00h\x00tR.", ErrFormat},
	} {
		if _, err := parse(withPickle(t, c.pickle)); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
}

// What Lightning writes beside tensors becomes data, or is left unread.
func TestReadsWhatLightningWrites(t *testing.T) {
	for name, c := range map[string]struct {
		pickle string
		want   func(v any) bool
	}{
		"namespace": {"cargparse\nNamespace\n)\x81}X\x02\x00\x00\x00lrG\x3f\xe0\x00\x00\x00\x00\x00\x00sb.",
			func(v any) bool { return v.(*Dict).Get("lr") == 0.5 }},
		"attribute dict": {"clightning.fabric.utilities.data\nAttributeDict\n)\x81X\x01\x00\x00\x00aK\x07s}b.",
			func(v any) bool { return v.(*Dict).Get("a") == int64(7) }},
		"defaultdict": {"ccollections\ndefaultdict\nc__builtin__\ndict\n\x85R.",
			func(v any) bool { return len(v.(*Dict).Items) == 0 }},
		"path": {"cpathlib\nPosixPath\n(X\x01\x00\x00\x00aX\x01\x00\x00\x00btR.",
			func(v any) bool { return v == "a/b" }},
		"dtype":  {"ctorch\nbfloat16\n.", func(v any) bool { return v == Opaque{"torch bfloat16"} }},
		"device": {"ctorch\ndevice\nX\x04\x00\x00\x00cudaK\x00\x86R.", func(v any) bool { return v == "cuda" }},
		"size":   {"ctorch\nSize\nK\x03\x85\x85R.", func(v any) bool { return v.(*Tuple).Items[0] == int64(3) }},
		"numpy scalar": {"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R" +
			"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbc_codecs\nencode\n" +
			"X\x01\x00\x00\x00aX\x06\x00\x00\x00latin1\x86R\x86R.",
			func(v any) bool { return v == Opaque{"numpy.core.multiarray scalar"} }},
		"negative": {"\x8a\x02\x00\x80.", func(v any) bool { return v == int64(-32768) }},
		"long 0":   {"\x8a\x00.", func(v any) bool { return v == int64(0) }},
	} {
		f, err := parse(withPickle(t, c.pickle))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !c.want(f.Root) {
			t.Errorf("%s: %#v", name, f.Root)
		}
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
	six := "\x00\x00\x00\x00\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40"
	f, err := parse(archive(t, member{name: "a/data/0", body: six}, member{name: "a/data.pkl", body: "\x80\x02" +
		tensorPickle("FloatStorage", "0", 6, 0, "K\x03K\x02\x86", "K\x01K\x03\x86")}))
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
