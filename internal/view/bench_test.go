package view

import "testing"

func BenchmarkLogMelFrame(b *testing.B) {
	m := newMaker(b, Default())
	_, samples := testClip(b, 8, 8, 1, 1)
	s, dst := m.mel.NewScratch(), make([]float32, 128)
	for b.Loop() {
		loadFrame(m.mel, s, samples, len(samples), 50, 1./32768)
		m.mel.frame(dst, 1, s)
	}
}

func BenchmarkFFT400(b *testing.B) {
	m := newMaker(b, Default())
	s := m.mel.NewScratch()
	for b.Loop() {
		s.fft.Coefficients(s.coeff, s.frame)
	}
}

// BenchmarkFillDemo fills the four views of a tiny model from a cached clip.
func BenchmarkFillDemo(b *testing.B) {
	for _, windows := range []string{WindowsOne, WindowsPerView} {
		b.Run(windows, func(b *testing.B) {
			c := demoConfig()
			c.Windows = windows
			m := newMaker(b, c)
			frames, samples := testClip(b, 48, 48, 3.2, 12.5)
			d := decode(b, m, frames, 12.5, samples)
			batch := m.NewBatch(1)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				fill(b, m, batch, 0, d, uint64(n), "clip")
			}
			b.ReportMetric(float64(d.MemoryBytes()), "clip-bytes")
		})
	}
}

// BenchmarkFillPaper fills the four views of the paper from stored frames of
// 340 × 256 pixels: everything from JPEG, and its parts.
func BenchmarkFillPaper(b *testing.B) {
	frames, samples := testClip(b, 340, 256, 10, 12.5)
	m := newMaker(b, Default())
	lazy, err := m.Open(frames, 12.5, samples)
	if err != nil {
		b.Fatal(err)
	}
	cached := decode(b, m, frames, 12.5, samples)
	batch := m.NewBatch(1)
	b.Run("jpeg", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			fill(b, m, batch, 0, lazy, uint64(n), "clip")
		}
	})
	b.Run("cached", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			fill(b, m, batch, 0, cached, uint64(n), "clip")
		}
		b.ReportMetric(float64(cached.MemoryBytes()), "clip-bytes")
	})
	b.Run("mel", func(b *testing.B) {
		s := m.take()
		for b.Loop() {
			m.clipMel(cached.mel, cached, s)
		}
	})
	b.Run("crop", func(b *testing.B) {
		r := new(resampler)
		dst := make([]byte, 224*224*3)
		for b.Loop() {
			r.stretch(300, 230, 224, 224, true)
			r.run(dst, cached.pixels, 0, 340*3)
		}
	})
	b.Run("global", func(b *testing.B) {
		r := new(resampler)
		dst := make([]byte, 224*224*3)
		for b.Loop() {
			r.fit(340, 256, 256, 224, true)
			r.run(dst, cached.pixels, 0, 340*3)
		}
	})
}
