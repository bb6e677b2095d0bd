package media

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// writeHostile writes a file of given bytes and returns its path.
func writeHostile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// made runs ffmpeg with arguments that come before the output's name and returns
// what it wrote.
func made(t *testing.T, tools Tools, name string, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args = append(append([]string{"-nostdin", "-y", "-v", "error"}, args...), path)
	cmd := exec.CommandContext(t.Context(), tools.FFmpeg, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// plainClip returns a second of moving picture and noise in a container, its index
// behind the data.
func plainClip(t *testing.T, tools Tools, name string, more ...string) []byte {
	t.Helper()
	return made(t, tools, name, append([]string{
		"-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=1",
		"-f", "lavfi", "-i", "anoisesrc=r=16000:d=1:a=0.3:seed=1"}, more...)...)
}

// box returns an MP4 box.
func box(kind string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	head := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return slices.Concat(head, []byte(kind), body)
}

// editBoxes rewrites the body of every box at a path of kinds.
func editBoxes(data []byte, path []string, edit func([]byte) []byte) []byte {
	var out []byte
	for len(data) >= 8 {
		n := int(binary.BigEndian.Uint32(data))
		if n < 8 || n > len(data) {
			break
		}
		kind, body := string(data[4:8]), data[8:n]
		switch {
		case kind == path[0] && len(path) == 1:
			out = append(out, box(kind, edit(slices.Clone(body)))...)
		case kind == path[0]:
			out = append(out, box(kind, editBoxes(body, path[1:], edit))...)
		default:
			out = append(out, data[:n]...)
		}
		data = data[n:]
	}
	return append(out, data...)
}

// putUint32 returns an edit that sets four bytes.
func putUint32(at int, v uint32) func([]byte) []byte {
	return func(body []byte) []byte {
		binary.BigEndian.PutUint32(body[at:], v)
		return body
	}
}

// replaced fails unless old is in data, and returns data with it replaced once.
func replaced(t *testing.T, data, old, now []byte) []byte {
	t.Helper()
	if !bytes.Contains(data, old) || len(old) != len(now) {
		t.Fatalf("% x is not in the file", old)
	}
	return bytes.Replace(data, old, now, 1)
}

// ebml returns a Matroska element with a size of 8 bytes.
func ebml(id string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat([]byte(id), binary.BigEndian.AppendUint64(nil, 1<<56|uint64(len(body))), body)
}

// matroska returns a file with an info element and tracks.
func matroska(info, tracks []byte) []byte {
	return slices.Concat(ebml("\x1a\x45\xdf\xa3", ebml("\x42\x82", []byte("matroska"))),
		ebml("\x18\x53\x80\x67", ebml("\x15\x49\xa9\x66", info), ebml("\x16\x54\xae\x6b", tracks)))
}

// riff returns a chunk of an AVI file.
func riff(kind string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	out := slices.Concat([]byte(kind), binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body)
	if len(body)%2 != 0 {
		out = append(out, 0)
	}
	return out
}

// bitWriter builds the headers of H.264.
type bitWriter struct {
	data []byte
	n    int
}

func (w *bitWriter) bits(v uint, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.data = append(w.data, 0)
		}
		w.data[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// ue writes an Exp-Golomb code.
func (w *bitWriter) ue(v uint) {
	n := bits.Len(v + 1)
	w.bits(0, n-1)
	w.bits(v+1, n)
}

// hugeH264 returns a stream whose sequence header claims 16·blocks pixels a side.
func hugeH264(blocks uint) []byte {
	var sps bitWriter
	sps.bits(66, 8) // baseline
	sps.bits(0, 8)
	sps.bits(62, 8)
	for _, v := range []uint{0, 0, 2, 1} { // id, frame numbers, order of pictures, references
		sps.ue(v)
	}
	sps.bits(0, 1)
	sps.ue(blocks - 1)
	sps.ue(blocks - 1)
	sps.bits(0b1100, 4) // frames only, direct inference, no cropping, no VUI
	sps.bits(1, 1)
	var pps bitWriter
	for _, v := range []uint{0, 0} {
		pps.ue(v)
	}
	pps.bits(0, 2)
	for _, v := range []uint{0, 0, 0} {
		pps.ue(v)
	}
	pps.bits(0, 3)
	for range 3 {
		pps.ue(0)
	}
	pps.bits(0, 3)
	pps.bits(1, 1)
	var slice bitWriter
	for _, v := range []uint{0, 7, 0} { // first block, I, PPS
		slice.ue(v)
	}
	slice.bits(0, 4)
	slice.ue(0)
	slice.bits(0b11, 2)
	start := []byte{0, 0, 0, 1}
	picture := slices.Concat(start, []byte{0x65}, slice.data, bytes.Repeat([]byte{0xb5}, 200))
	return slices.Concat(start, []byte{0x67}, sps.data, start, []byte{0x68}, pps.data,
		bytes.Repeat(picture, 20))
}

// tsPacket returns a packet of an MPEG transport stream with a whole section.
func tsPacket(pid int, section []byte) []byte {
	p := []byte{0x47, 0x40 | byte(pid>>8), byte(pid), 0x10, 0}
	p = append(p, section...)
	return append(p, bytes.Repeat([]byte{0xff}, 188-len(p))...)
}

// tsSection closes a section: a table's id, what it is about, its entries, CRC.
func tsSection(table byte, about int, entries []byte) []byte {
	n := 5 + len(entries) + 4
	s := []byte{table, 0xb0 | byte(n>>8), byte(n), byte(about >> 8), byte(about), 0xc1, 0, 0}
	s = append(s, entries...)
	crc := uint32(0xffffffff)
	for _, b := range s {
		crc ^= uint32(b) << 24
		for range 8 {
			top := crc >> 31
			crc = crc<<1 ^ top*0x04c11db7
		}
	}
	return binary.BigEndian.AppendUint32(s, crc)
}

// manyPIDs returns a transport stream of programs with 30 streams each.
func manyPIDs(programs int) []byte {
	var pat, out []byte
	for i := range programs {
		pid := 0x1000 + i
		pat = append(pat, 0, byte(i+1), 0xe0|byte(pid>>8), byte(pid))
		entries := []byte{0xe1, 0, 0xf0, 0}
		for j := range 30 {
			stream := 0x100 + 30*i + j
			entries = append(entries, 0x1b, 0xe0|byte(stream>>8), byte(stream), 0xf0, 0)
		}
		out = append(out, tsPacket(pid, tsSection(2, i+1, entries))...)
	}
	return bytes.Repeat(append(tsPacket(0, tsSection(0, 1, pat)), out...), 20)
}

// pngChunk returns a chunk of a PNG picture.
func pngChunk(kind string, body []byte) []byte {
	data := append([]byte(kind), body...)
	out := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	return binary.BigEndian.AppendUint32(append(out, data...), crc32.ChecksumIEEE(data))
}
