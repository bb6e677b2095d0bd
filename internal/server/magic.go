package server

import (
	"bytes"
	"slices"
)

// magicBytes is how much of a file looksLikeMedia needs at most.
const magicBytes = 512

// starts are the first bytes of formats that ffmpeg reads and people have.
var starts = [][]byte{
	{0x1A, 0x45, 0xDF, 0xA3}, // Matroska, WebM
	[]byte("RIFF"), []byte("RF64"), []byte("OggS"), []byte("fLaC"), []byte("ID3"),
	{0, 0, 1, 0xBA}, {0, 0, 1, 0xB3}, {0, 0, 0, 1}, {0, 0, 1, 0x67}, {0, 0, 1, 0xB0}, // MPEG, H.264
	[]byte("FLV\x01"), {0x30, 0x26, 0xB2, 0x75}, // ASF
	[]byte("GIF8"), {0xFF, 0xD8, 0xFF}, {0x89, 'P', 'N', 'G'},
	[]byte("#!AMR"), []byte(".snd"), []byte("FORM"), []byte("caff"), []byte(".RMF"), []byte("DKIF"),
	{0x06, 0x0E, 0x2B, 0x34}, // MXF
	{0x0B, 0x77},             // AC-3
	[]byte("riff"),           // Sony Wave64
	{0x1F, 0x07, 0x00},       // DV
}

// boxes are the types of the box that an MP4 or QuickTime file begins with.
var boxes = []string{"ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "styp", "moof", "uuid"}

// looksLikeMedia reports whether a file of these first bytes may be a medium. Names
// and types that a client gives are not asked.
func looksLikeMedia(head []byte) bool {
	if slices.ContainsFunc(starts, func(s []byte) bool { return bytes.HasPrefix(head, s) }) {
		return true
	}
	if len(head) >= 8 && slices.Contains(boxes, string(head[4:8])) {
		return true
	}
	if len(head) >= 2 && head[0] == 0xFF && head[1]&0xE0 == 0xE0 { // MP3, AAC frames
		return true
	}
	// MPEG transport streams, with 188 bytes a packet or 192.
	return len(head) > 192 && (head[0] == 0x47 && head[188] == 0x47 ||
		len(head) > 196 && head[4] == 0x47 && head[196] == 0x47)
}
