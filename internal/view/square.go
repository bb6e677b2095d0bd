package view

// EvalSquare returns the part of a w × h frame that an evaluation view shows, as
// fractions of the frame: left, top, right, bottom. It is where a picture of what the
// encoder sees, such as its attention, lies over the frame.
func (c Config) EvalSquare(w, h int) [4]float64 {
	box := boxPixels(c.Box, w, h)
	bw, bh := float64(box.Dx()), float64(box.Dy())
	x, y := bw, bh // of the part that is seen
	if !c.EvalSquash {
		x = min(bw, bh) * float64(c.Side) / float64(c.Resize)
		y = x
	}
	left, top := float64(box.Min.X)+(bw-x)/2, float64(box.Min.Y)+(bh-y)/2
	return [4]float64{left / float64(w), top / float64(h),
		(left + x) / float64(w), (top + y) / float64(h)}
}
