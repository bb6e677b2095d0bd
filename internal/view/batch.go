package view

// Batch holds the views of Size clips, view-major, as the engine takes them:
//
//	GlobalVideo   (G, B, T, S, S, 3)   pixels, not normalised
//	GlobalAudio   (G, B, F, M)         normalised log-mel, M = MelFrames
//	LocalVideo    (Kv, B, T, S, S, 3)  Kv = Config.VideoLocals
//	LocalAudio    (Ka, B, F, M)        Ka = Config.AudioLocals
//	GlobalVideoF  (G, B, 3, T, S, S)   normalised, instead of GlobalVideo when
//	LocalVideoF   (Kv, B, 3, T, S, S)  Config.FloatVideo; likewise
//	Keys          (B)
//
// With alternating locals, local 2i is audio view i and local 2i+1 video view
// i; with both modalities in each, local i is audio view i and video view i.
type Batch struct {
	Size                      int
	GlobalVideo, LocalVideo   []byte
	GlobalVideoF, LocalVideoF []float32
	GlobalAudio, LocalAudio   []float32
	Keys                      []string
}

// videoElems and audioElems return the size of one view.
func (c *Config) videoElems() int { return c.Frames * c.Side * c.Side * 3 }
func (c *Config) audioElems() int { return c.Bands * c.MelFrames() }

// VideoElems and AudioElems return the size of one view's frames and of its log-mel,
// 0 for a modality that views do not have.
func (c Config) VideoElems() int {
	if !c.HasVideo() {
		return 0
	}
	return c.videoElems()
}

func (c Config) AudioElems() int {
	if !c.HasAudio() {
		return 0
	}
	return c.audioElems()
}

// NewBatch returns a batch for size clips.
func (m *Maker) NewBatch(size int) *Batch {
	c := &m.cfg
	b := &Batch{Size: size, Keys: make([]string, size)}
	b.GlobalAudio = make([]float32, c.Globals*size*c.AudioElems())
	b.LocalAudio = make([]float32, c.AudioLocals()*size*c.audioElems())
	global, local := c.Globals*size*c.VideoElems(), c.VideoLocals()*size*c.videoElems()
	if c.FloatVideo() {
		b.GlobalVideoF, b.LocalVideoF = make([]float32, global), make([]float32, local)
	} else {
		b.GlobalVideo, b.LocalVideo = make([]byte, global), make([]byte, local)
	}
	return b
}

// PixelMean and PixelStd normalise pixels on [0, 1], per channel R, G, B.
var (
	PixelMean = [3]float32{.485, .456, .406}
	PixelStd  = [3]float32{.229, .224, .225}
)

// normalise sets dst (3, T, n) to the normalised pixels src (T, n, 3).
func normalise(dst []float32, src []byte, frames, n int) {
	for c := range 3 {
		scale, mean := 1/(255*PixelStd[c]), PixelMean[c]/PixelStd[c]
		out := dst[c*frames*n:][:frames*n]
		for i := range out {
			out[i] = float32(src[3*i+c])*scale - mean
		}
	}
}

// part returns block i of x, blocks having n elements.
func part[T any](x []T, i, n int) []T { return x[i*n : (i+1)*n : (i+1)*n] }
