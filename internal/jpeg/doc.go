// Package jpeg decodes parts of the JPEG files that ingest writes, fast:
// baseline or sequential Huffman, 8 bits, grey or YCbCr whose luma has at most
// twice the rows and columns of its chroma, all in one scan. Whatever else
// image/jpeg knows is left to it.
//
//	var d jpeg.Decoder // keeps its memory; one a goroutine
//	w, h, err := jpeg.Size(data)
//	err = d.Decode(dst, 3*r.Dx(), data, w, h, r) // RGB of the part r
//
// Only what the part needs is transformed, and nothing below it is read. The
// pixels are the same bit for bit on every machine, with or without assembly:
// the inverse transform and the conversion to RGB are integer arithmetic whose
// definition is in Go (idctGo, rgbGo). Chroma is repeated, not interpolated.
//
// A broken file gives an error or a picture, in time and memory that are linear
// in its length and in the number of its pixels: callers bound both.
package jpeg
