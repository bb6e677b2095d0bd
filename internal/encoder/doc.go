// Package encoder is a trained model ready for use: it opens a run or a checkpoint, reads
// media files as the model saw its training clips, and embeds what they show.
//
//	x, err := encoder.Open("runs/demo", engine, encoder.Options{})
//	defer x.Close()
//	clip, err := x.ReadFile(ctx, tools, "dog.mp4", encoder.ReadOptions{})
//	v, err := x.Embed(ctx, clip.Windows, encoder.Audio)
//	v.Mean().Projected // (1, K): the clip heard, not seen
//
// A file gives the same numbers as the clip that ingest makes of it, for ingest's own
// settings.
package encoder
