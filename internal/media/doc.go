// Package media decodes and encodes audio-visual files by running ffprobe and
// ffmpeg as child processes.
//
// # Trust
//
// A file comes from the internet and may be anything. It is opened here, found to
// be a regular file, and handed on as a descriptor (Linux), so that its name is
// interpreted by nobody and what is at its place later does not matter. Elsewhere
// the name reaches ffmpeg as one argument, "file:" and an absolute path. Only the
// protocols file and pipe and only plain containers are allowed: a playlist (HLS,
// DASH, concat, SDP) that would open further files is [Unsupported]. A child gets
// an almost empty environment, its own process group, a bound on memory and
// processor time, and is killed with its group when the time is over. Frames and
// samples are counted here; exit codes are not believed.
//
// # Time
//
// Times are seconds from the container's start, the earliest first time stamp of
// all its streams, whatever number that is in the file. Frame k of the file's
// grid is the picture shown at k/FPS: the last one whose time stamp is not later
// (give or take 2 ms, since some containers round to milliseconds). Sample j is the sound
// at j/SampleRateHz. So frame k belongs to sample k·SampleRateHz/FPS in every
// [Clip]. A stream that begins late is padded at the front (picture: the first
// frame, sound: silence), one that ends early at the back (the last frame,
// silence).
//
// # Picture and sound
//
// Frames are turned as the display matrix says, made square-pixelled and scaled
// to a short side, but never enlarged. Sound is resampled per channel, and the
// channels are then averaged with equal weights, whatever the layout.
// Of several streams of a kind the first with the default disposition is taken,
// else the first. A cover picture is no video.
//
//	tools, err := media.Find()
//	cfg := media.DecodeConfig{ShortSide: 256, FPS: 12.5, SampleRateHz: 16000}
//	err = tools.Decode(ctx, "clip.mp4", cfg, []media.Segment{{}},
//		func(i int, c *media.Clip) error {
//			fmt.Println(c.Outcome, len(c.Frames), len(c.Samples))
//			return nil
//		})
package media
