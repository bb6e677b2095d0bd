// Package view turns a stored clip (JPEG frames and 16 kHz samples) into the
// views a model is trained on or evaluated with: log-mel, resize, crop, flip,
// windows in time, masks.
//
// A clip is the stored stretch of a source video, usually 10 s. A view is a
// window of it, usually 8 s: global views have both modalities, local views
// one (or, as an option, both). Every random choice of a view follows from run
// seed, epoch and clip key, so any view can be made again:
//
//	m, err := view.NewMaker(view.Default())
//	d, err := m.Decode(frames, 25, samples)     // once; may be cached
//	b := m.NewBatch(64)
//	err = m.Fill(b, slot, d, runSeed, epoch, key) // concurrent calls: other slots
//
// Window starts lie on the grid of the STFT hop (10 ms). The log-mel of a
// window is then a slice of the clip's own with only the frames at its two
// edges, whose reflect padding differs, computed anew.
package view
