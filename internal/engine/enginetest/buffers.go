package enginetest

import (
	"testing"

	"avjepa/internal/engine"
	"avjepa/internal/tensor"
)

// testMemory checks buffers: zeroed, independent, and that Upload and Download
// give back what was put in, strided too.
func testMemory(t *testing.T, e engine.Engine) {
	if info := e.Info(); info.Name == "" || info.Device == "" || info.Threads < 1 {
		t.Errorf("Info is %+v", info)
	}
	newTensor := func(dims ...int) engine.Tensor {
		s := tensor.Of(dims...)
		buf, err := e.NewBuffer(engine.F32, s.Elems())
		if err != nil {
			t.Fatal(err)
		}
		if buf.Elems() != s.Elems() || buf.DType() != engine.F32 {
			t.Errorf("asked for %d f32, got %d %v", s.Elems(), buf.Elems(), buf.DType())
		}
		return engine.NewTensor(buf, 0, s)
	}
	for range 2 { // the second time in memory that was used
		x := newTensor(5, 13)
		got, src := make([]float32, 65), make([]float32, 65)
		e.Download(got, x)
		for i, v := range got {
			if v != 0 {
				t.Fatalf("element %d of a new buffer is %v", i, v)
			}
			src[i] = float32(i) + 0.1
		}
		other := newTensor(5, 13)
		e.Upload(x, src)
		clear(src) // Upload has returned, so src may be reused
		e.Download(got, x)
		for i, v := range got {
			if v != float32(i)+0.1 {
				t.Fatalf("element %d is %v, uploaded was %v", i, v, float32(i)+0.1)
			}
		}
		part := make([]float32, 5*4)
		e.Download(part, x.Columns(3, 7))
		for i, v := range part {
			if want := float32(i/4*13+3+i%4) + 0.1; v != want {
				t.Fatalf("element %d of columns 3:7 is %v, want %v", i, v, want)
			}
		}
		e.Download(got, other)
		for i, v := range got {
			if v != 0 {
				t.Fatalf("element %d of another buffer became %v", i, v)
			}
		}
		x.Buffer().Free()
		other.Buffer().Free()
	}
	testBytes(t, e)
	half, err := e.NewBuffer(engine.BF16, 4)
	if (err == nil) != e.Info().BF16 {
		t.Errorf("Info().BF16 is %v, but a BF16 buffer gives %v", e.Info().BF16, err)
	}
	if err == nil {
		half.Free()
	}
}

// testBytes copies part of a buffer of bytes and reads it as pixels: there is no
// download of bytes.
func testBytes(t *testing.T, e engine.Engine) {
	const h, w, c = 2, 3, 3
	from, err := e.NewBuffer(engine.U8, 5+h*w*c)
	if err != nil {
		t.Fatal(err)
	}
	to, err := e.NewBuffer(engine.U8, 1+h*w*c)
	if err != nil {
		t.Fatal(err)
	}
	src := make([]byte, from.Elems())
	for i := range src {
		src[i] = byte(250 - 13*i)
	}
	shape := tensor.Of(1, 1, h, w, c)
	e.UploadBytes(engine.NewTensor(from, 0, tensor.Of(len(src))), src)
	e.Copy(engine.NewTensor(to, 1, shape), engine.NewTensor(from, 5, shape))
	m := &memory{t: t, e: e}
	y := m.out("Y", 1, h*w, c)
	e.PatchifyVideo(engine.PatchifyVideoArgs{X: engine.NewTensor(to, 1, shape), Y: y, PatchT: 1,
		P: 1, Std: [3]float32{1, 1, 1}})
	got := make([]float32, h*w*c)
	e.Download(got, y)
	for i, v := range got {
		if want := float32(src[5+i]) / 255; !(v-want <= eps && want-v <= eps) {
			t.Errorf("byte %d of a copy is %v/255, want %d/255", i, v*255, src[5+i])
		}
	}
	m.free()
	from.Free()
	to.Free()
}
