// Package explain makes what a trained encoder does visible: where sound attends in
// the picture and the picture in the sound (Attend), and what its video tokens have in
// common over clips (Components). It computes the numbers; package chart draws them.
//
//	a, err := explain.CrossAttention(x, clip.Windows[0])
//	fmt.Println(a.VideoShare) // of what audio tokens attend to, how much is video
//
// A word of caution that every picture repeats: attention of one layer shows where
// weight lies, not why an embedding is what it is.
package explain
