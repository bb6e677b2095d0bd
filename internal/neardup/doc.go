// Package neardup finds clips that are nearly the same: the same recording encoded anew,
// in another size, container or bit rate, or cut a little earlier or later.
//
// A Signature is small and made once. It has hashes of four frames and landmarks of the
// sound. Picture and sound must both agree: many films share a soundtrack or a
// background and are not the same.
//
//	m := neardup.NewMaker(16000)
//	s, change, known := m.Make(frames, samples)
//	pairs, err := neardup.Find(ctx, signatures)
package neardup
