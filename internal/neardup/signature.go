package neardup

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

const (
	pictures  = 4  // frames that are hashed
	mostMarks = 32 // landmarks that are kept

	version = 1
	header  = 3 // bytes: version, hashes, landmarks

	// MaxTextBytes is the length of the longest signature as text.
	MaxTextBytes = 2 * (header + 8*pictures + 4*mostMarks)
)

// Signature is what is compared of a clip. The zero Signature is that of a clip about
// which nothing is known.
type Signature struct {
	Pictures []uint64 // hashes of frames evenly over the clip; none without a picture
	Marks    []uint32 // landmarks of the sound, ascending; none when nothing stands out.
	// A landmark's high 24 bits say what it is, the low 8 when it is.
}

// String returns the signature in hex, "" for the zero Signature.
func (s Signature) String() string {
	if len(s.Pictures) == 0 && len(s.Marks) == 0 {
		return ""
	}
	raw := []byte{version, byte(len(s.Pictures)), byte(len(s.Marks))}
	for _, p := range s.Pictures {
		raw = binary.BigEndian.AppendUint64(raw, p)
	}
	for _, m := range s.Marks {
		raw = binary.BigEndian.AppendUint32(raw, m)
	}
	return hex.EncodeToString(raw)
}

// Parse reads what String wrote.
func Parse(text string) (Signature, error) {
	var s Signature
	if text == "" {
		return s, nil
	}
	if len(text) > MaxTextBytes {
		return s, fmt.Errorf("neardup: signature of %d bytes, at most %d", len(text), MaxTextBytes)
	}
	var room [MaxTextBytes / 2]byte
	n, err := hex.Decode(room[:], []byte(text))
	if err != nil {
		return s, fmt.Errorf("neardup: signature: %w", err)
	}
	raw := room[:n]
	if n < header || raw[0] != version {
		return s, errors.New("neardup: signature of another version")
	}
	hashes, marks := int(raw[1]), int(raw[2])
	if hashes > pictures || marks > mostMarks || hashes+marks == 0 ||
		n != header+8*hashes+4*marks {
		return s, fmt.Errorf("neardup: signature of %d bytes for %d hashes and %d landmarks",
			n, hashes, marks)
	}
	raw = raw[header:]
	s.Pictures, s.Marks = make([]uint64, 0, hashes), make([]uint32, 0, marks)
	for range hashes {
		s.Pictures, raw = append(s.Pictures, binary.BigEndian.Uint64(raw)), raw[8:]
	}
	for range marks {
		m := binary.BigEndian.Uint32(raw)
		if k := len(s.Marks); k > 0 && m>>8 <= s.Marks[k-1]>>8 {
			return Signature{}, errors.New("neardup: signature with landmarks out of order")
		}
		s.Marks, raw = append(s.Marks, m), raw[4:]
	}
	return s, nil
}

// Maker makes signatures. One goroutine uses it.
type Maker struct{ ear *ear }

// NewMaker returns a Maker for sounds of a sample rate.
func NewMaker(rateHz int) *Maker { return &Maker{newEar(rateHz)} }

// Make returns the signature of a clip and how much its picture changes: the largest
// difference of a cell, in levels of 255, between frames evenly over the clip. frames
// are JPEG files; when there are none, or one does not decode, the signature has no
// hashes and nothing is known of change. samples are mono.
func (m *Maker) Make(frames [][]byte, samples []int16) (s Signature, change float64, known bool) {
	s.Marks = smallest(m.ear.landmarks(samples))
	grids := make([]*grid, min(pictures, len(frames)))
	for i := range grids {
		var err error
		if grids[i], err = lumaOf(frames[(2*i+1)*len(frames)/(2*len(grids))]); err != nil {
			return s, 0, false
		}
		for _, before := range grids[:i] {
			change = max(change, before.change(grids[i]))
		}
	}
	for _, g := range grids {
		s.Pictures = append(s.Pictures, g.hash())
	}
	return s, change, len(grids) > 0
}

// smallest keeps the landmarks with the least values, ascending. As values are mixed,
// two sounds that share a part of their landmarks share about that part of these.
func smallest(marks []uint32) []uint32 {
	slices.Sort(marks)
	return slices.Clone(marks[:min(len(marks), mostMarks)])
}

// mix is a permutation of 32-bit numbers without visible order (Wellons' lowbias32).
func mix(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}
