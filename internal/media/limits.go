package media

import "time"

// Limits bound what one file may cost. A zero field means its default.
type Limits struct {
	Timeout     time.Duration // wall time of a child, and processor time per thread
	MemoryBytes int64         // address space of a child (Linux only)
	MaxPixels   int           // width × height of the video, as coded and as given out
	MaxSeconds  float64       // longest clip; a whole file counts as one clip
	MaxStreams  int           // streams in the container
	MaxBytes    int64         // decoded frames and samples held at a time
	MaxLogBytes int64         // what a child may say about the file
}

// DefaultLimits are generous for clips of seconds and sources of an hour: 5
// minutes, 4 GiB, 8192 × 8192 pixels, 600 s, 64 streams, 512 MiB, 64 MiB of
// messages (five lines for each frame of an hour).
func DefaultLimits() Limits {
	return Limits{
		Timeout:     5 * time.Minute,
		MemoryBytes: 4 << 30,
		MaxPixels:   8192 * 8192,
		MaxSeconds:  600,
		MaxStreams:  64,
		MaxBytes:    512 << 20,
		MaxLogBytes: 64 << 20,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.Timeout <= 0 {
		l.Timeout = d.Timeout
	}
	if l.MemoryBytes <= 0 {
		l.MemoryBytes = d.MemoryBytes
	}
	if l.MaxPixels <= 0 {
		l.MaxPixels = d.MaxPixels
	}
	if !(l.MaxSeconds > 0) {
		l.MaxSeconds = d.MaxSeconds
	}
	if l.MaxStreams <= 0 {
		l.MaxStreams = d.MaxStreams
	}
	if l.MaxBytes <= 0 {
		l.MaxBytes = d.MaxBytes
	}
	if l.MaxLogBytes <= 0 {
		l.MaxLogBytes = d.MaxLogBytes
	}
	return l
}

// childThreads are the threads of one decoder or encoder: files are decoded side
// by side instead.
const childThreads = 1

// encodeTimeout bounds an encoder's processor time.
const encodeTimeout = 30 * time.Minute
