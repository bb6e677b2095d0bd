package view

import (
	"math"

	"avjepa/internal/rng"
)

// slack returns the latest start of a window in a clip, in hops (10 ms). The
// shorter of the clip's streams counts, so that a window has both wherever
// the clip is long enough; in a shorter clip every window starts at 0.
func (d *Decoded) slack(c *Config) int {
	length := math.Inf(1)
	if d.HasVideo() {
		length = float64(d.count) / d.fps
	}
	if d.HasAudio() {
		length = min(length, float64(len(d.samples))/float64(c.SampleRateHz))
	}
	return max(0, int((length-c.Seconds)*100+1e-6))
}

// frameAt returns the frame that view frame i of a window shows: the window is
// cut into Frames equal shares, and the frame on screen at the middle of share
// i is taken, the last one k with presentation time k/fps ≤ that moment. After
// the end the last frame is repeated.
func (d *Decoded) frameAt(c *Config, start, i int) int {
	t := float64(start)/100 + (float64(i)+.5)*c.Seconds/float64(c.Frames)
	return min(int(math.Floor(t*d.fps+1e-6)), d.count-1)
}

// drawStarts returns window starts in hops for globals and then locals, in
// buf's memory.
func drawStarts(buf []int, c *Config, slack int, r *rng.Stream) []int {
	draw := func() int { return r.IntN(slack + 1) }
	buf = grow(buf, c.Globals+c.Locals)
	switch c.Windows {
	case WindowsOne:
		start := draw()
		for v := range buf {
			buf[v] = start
		}
	case WindowsShared:
		// Dealt so that audio-only and video-only locals each get both in turn.
		pair := [2]int{draw(), draw()}
		for v := range buf {
			if k := v - c.Globals; k < 0 {
				buf[v] = pair[v%2]
			} else {
				buf[v] = pair[(k+k/2)%2]
			}
		}
	default:
		for v := range buf {
			buf[v] = draw()
		}
	}
	return buf
}

// evalStart returns the start of evaluation window i of n, in hops: evenly
// from the first possible to the last, a single one in the middle.
func evalStart(slack, i, n int) int {
	if n == 1 {
		return slack / 2
	}
	return (2*slack*i + n - 1) / (2 * (n - 1))
}
