package explain

import "image"

// stripFrames are the frames of a strip.
const stripFrames = 4

// Strips draws window i in width pixels, without words: frames as they are above frames
// lit by attention, and likewise the log-mel.
func (w *Watched) Strips(i, width int) (frames, mel *image.RGBA, err error) {
	row, err := w.row(i, stripFrames)
	if err != nil {
		return nil, nil, err
	}
	video, audio := w.exposures()
	return row.FrameStrip(width, video), row.MelStrip(width, audio), nil
}

// Strip draws clip i in width pixels, without words: frames as they are above frames in
// the colours of their tokens.
func (r *Components) Strip(i, width int) (*image.RGBA, error) {
	row, err := r.row(i, stripFrames)
	if err != nil {
		return nil, err
	}
	return row.Strip(width), nil
}
