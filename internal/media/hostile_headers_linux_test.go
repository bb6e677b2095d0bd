package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// hostileLimits bound a hostile file tighter than the defaults do, so that the
// suite is quick.
var hostileLimits = Limits{Timeout: 20 * time.Second, MaxSeconds: 20, MaxBytes: 64 << 20,
	MemoryBytes: 2 << 30}

// meetTime is what a hostile file may take: a child that meets its limit and, on a
// machine with other work, those before and after it. Most take less than a second.
const meetTime = 30 * time.Second

// meet decodes a hostile file and holds it to an outcome, a time and memory.
func meet(t *testing.T, tools Tools, path string, want ...Outcome) {
	t.Helper()
	cfg := smallConfig
	cfg.Limits = hostileLimits
	meetWith(t, tools, path, cfg, meetTime, want...)
}

func meetWith(t *testing.T, tools Tools, path string, cfg DecodeConfig, within time.Duration,
	want ...Outcome) {

	t.Helper()
	peak := watchChildren(t)
	start := time.Now()
	c := decodeWhole(t, tools, path, cfg)
	took, memory := time.Since(start), peak()
	if !slices.Contains(want, c.Outcome) || c.Outcome != Usable && c.Reason == "" {
		t.Errorf("%s (%s), want %v", c.Outcome, c.Reason, want)
	}
	if took > within {
		t.Errorf("took %v, at most %v", took, within)
	}
	if len(c.Reason) > 500 {
		t.Errorf("a reason of %d bytes", len(c.Reason))
	}
	if memory > cfg.Limits.withDefaults().MemoryBytes>>20 {
		t.Errorf("a child took %d MB", memory)
	}
	t.Logf("%s in %.2f s, a child took up to %d MB: %s", c.Outcome, took.Seconds(), memory, c.Reason)
}

// hundredHours in the units of the containers below.
const hundredHours = 360000

// Headers that claim 100 hours, in front of a second of picture and sound.
func TestClaimsOfLength(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	mp4 := plainClip(t, tools, "a.mp4")
	for _, path := range [][]string{{"moov", "mvhd"}, {"moov", "trak", "mdia", "mdhd"}} {
		mp4 = editBoxes(mp4, path, func(b []byte) []byte { // the unit lies before the length
			binary.BigEndian.PutUint32(b[12:], 1000)
			binary.BigEndian.PutUint32(b[16:], hundredHours*1000)
			return b
		})
	}
	long := editBoxes(mp4, []string{"moov", "trak", "tkhd"}, putUint32(20, hundredHours*1000))
	late := editBoxes(mp4, []string{"moov", "trak", "mdia", "minf", "stbl", "stts"},
		func(b []byte) []byte { // one sample of 100 hours, then the others
			return slices.Concat([]byte{0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1},
				binary.BigEndian.AppendUint32(nil, hundredHours*1000), []byte{0, 0, 0, 9, 0, 0, 0, 100})
		})
	mkv := plainClip(t, tools, "a.mkv")
	at := bytes.Index(mkv, []byte{0x44, 0x89, 0x88})
	if at < 0 {
		t.Fatal("no Duration")
	}
	binary.BigEndian.PutUint64(mkv[at+3:], math.Float64bits(hundredHours*1000))
	avi := plainClip(t, tools, "a.avi")
	at = bytes.Index(avi, []byte("avih"))
	binary.LittleEndian.PutUint32(avi[at+8+16:], hundredHours*10)
	at = bytes.Index(avi, []byte("strh"))
	binary.LittleEndian.PutUint32(avi[at+8+32:], hundredHours*10)
	wav := made(t, tools, "a.wav", "-f", "lavfi", "-i", "anoisesrc=r=16000:d=1:seed=1")
	at = bytes.Index(wav, []byte("data"))
	binary.LittleEndian.PutUint32(wav[at+4:], math.MaxUint32)
	for _, c := range []struct {
		name string
		data []byte
		want []Outcome
	}{
		{"durations.mp4", long, []Outcome{TooLarge}},
		{"sample.mp4", late, []Outcome{TooLarge, Usable, Corrupt}},
		{"duration.mkv", mkv, []Outcome{TooLarge}},
		{"frames.avi", avi, []Outcome{TooLarge, Usable}},
		{"data.wav", wav, []Outcome{NoVideo}},
	} {
		t.Run(c.name, func(t *testing.T) {
			meet(t, tools, writeHostile(t, c.name, c.data), c.want...)
		})
	}
}

// Headers that claim 20000 × 20000 pixels.
func TestClaimsOfSize(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	const side = 20000
	avc1 := editBoxes(plainClip(t, tools, "a.mp4"),
		[]string{"moov", "trak", "mdia", "minf", "stbl", "stsd"}, func(b []byte) []byte {
			if string(b[12:16]) == "avc1" {
				binary.BigEndian.PutUint32(b[16+24:], side<<16|side)
			}
			return b
		})
	mkv := replaced(t, plainClip(t, tools, "a.mkv"), []byte{0xb0, 0x81, 64, 0xba, 0x81, 48},
		[]byte{0xb0, 0x82, 0x4e, 0x20, 0xec, 0x80}) // the height is a Void then
	jpeg := plainClip(t, tools, "a.avi", "-c:v", "mjpeg")
	jpeg = bytes.ReplaceAll(jpeg, []byte{0xff, 0xc0, 0, 17, 8, 0, 48, 0, 64},
		[]byte{0xff, 0xc0, 0, 17, 8, 0x4e, 0x20, 0x4e, 0x20})
	png := plainClip(t, tools, "a.avi", "-c:v", "png")
	header := []byte("IHDR\x00\x00\x00\x40\x00\x00\x00\x30")
	png = bytes.ReplaceAll(png, header, []byte("IHDR\x00\x00\x4e\x20\x00\x00\x4e\x20"))
	alone := slices.Concat([]byte("\x89PNG\r\n\x1a\n"),
		pngChunk("IHDR", []byte("\x00\x00\x4e\x20\x00\x00\x4e\x20\x08\x02\x00\x00\x00")),
		pngChunk("IDAT", make([]byte, 100)), pngChunk("IEND", nil))
	for _, c := range []struct {
		name string
		data []byte
		want []Outcome
	}{
		{"avc1.mp4", avc1, []Outcome{TooLarge, Usable}}, // the stream itself has 64 × 48
		{"width.mkv", mkv, []Outcome{TooLarge, Usable}},
		{"jpeg.avi", jpeg, []Outcome{TooLarge, Corrupt}},
		{"png.avi", png, []Outcome{TooLarge, Corrupt}},
		{"alone.png", alone, []Outcome{Unsupported, Corrupt}},
		{"sps.h264", hugeH264(side / 16), []Outcome{TooLarge}},
		{"screen.gif", gifFile(t, side, side, 1, 1, 2), []Outcome{TooLarge}},
		{"picture.gif", gifFile(t, 1, 1, side, side, 2), []Outcome{TooLarge, TooShort}},
		{"flat.gif", gifFile(t, 65535, 1, 65535, 1, 9), []Outcome{TooLarge}},
	} {
		t.Run(c.name, func(t *testing.T) {
			meet(t, tools, writeHostile(t, c.name, c.data), c.want...)
		})
	}
}

// gifFile returns an animation whose screen and pictures claim a size; the
// pictures hold a few pixels.
func gifFile(t *testing.T, width, height, w, h, pictures int) []byte {
	t.Helper()
	small := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black, color.White})
	return gifClaims(encodedGIF(t, small), width, height, w, h, pictures)
}

// encodedGIF returns a GIF file of one picture.
func encodedGIF(t *testing.T, picture *image.Paletted) []byte {
	t.Helper()
	var file bytes.Buffer
	all := &gif.GIF{Image: []*image.Paletted{picture}, Delay: []int{10}}
	if err := gif.EncodeAll(&file, all); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// gifClaims repeats the picture of a GIF file and sets the sizes it claims.
func gifClaims(file []byte, width, height, w, h, pictures int) []byte {
	head := slices.Clone(file[:13])
	binary.LittleEndian.PutUint16(head[6:], uint16(width))
	binary.LittleEndian.PutUint16(head[8:], uint16(height))
	body := file[13 : len(file)-1]
	if head[10]&0x80 != 0 {
		n := 3 << (head[10]&7 + 1)
		head, body = append(head, body[:n]...), body[n:]
	}
	picture := slices.Clone(body)
	at := bytes.IndexByte(picture, 0x2c)
	binary.LittleEndian.PutUint16(picture[at+5:], uint16(w))
	binary.LittleEndian.PutUint16(picture[at+7:], uint16(h))
	return append(append(head, bytes.Repeat(picture, pictures)...), 0x3b)
}

// Containers with very many streams.
func TestClaimsOfStreams(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	hdlr := box("hdlr", make([]byte, 8), []byte("vide"), make([]byte, 13))
	trak := box("trak", box("tkhd", make([]byte, 84)), box("mdia", box("mdhd", make([]byte, 24)), hdlr,
		box("minf", box("stbl", box("stsd", make([]byte, 8))))))
	traks := slices.Concat(box("ftyp", []byte("isom"), make([]byte, 8)),
		box("moov", box("mvhd", make([]byte, 100)), bytes.Repeat(trak, 100_000)))
	entry := ebml("\xae", ebml("\xd7", []byte{1}), ebml("\x83", []byte{1}),
		ebml("\x86", []byte("V_VP9")))
	entries := matroska(nil, bytes.Repeat(entry, 100_000))
	avih := make([]byte, 56)
	binary.LittleEndian.PutUint32(avih[24:], 1_000_000)
	strl := riff("LIST", []byte("strl"), riff("strh", []byte("vidsMJPG"), make([]byte, 48)),
		riff("strf", make([]byte, 40)))
	avi := riff("RIFF", []byte("AVI "), riff("LIST", []byte("hdrl"), riff("avih", avih),
		bytes.Repeat(strl, 20_000)), riff("LIST", []byte("movi")))
	for _, c := range []struct {
		name string
		data []byte
		want []Outcome
	}{
		{"trak.mp4", traks, []Outcome{TooLarge, Corrupt}},
		{"entry.mkv", entries, []Outcome{TooLarge, Corrupt, Empty}},
		{"strl.avi", avi, []Outcome{TooLarge, Corrupt}},
		{"pmt.ts", manyPIDs(40), []Outcome{TooLarge, Corrupt, Empty}},
	} {
		t.Run(c.name, func(t *testing.T) {
			meet(t, tools, writeHostile(t, c.name, c.data), c.want...)
		})
	}
}

// Small files that decode to much: enormous frames, or hours. Those of them that
// claim to be short are decoded until a limit is met.
func TestBombs(t *testing.T) {
	tools := findTools(t)
	still := made(t, tools, "a.mp4", "-f", "lavfi", "-i", "color=black:s=8000x8000:r=10:d=0.6",
		"-f", "lavfi", "-i", "anullsrc=r=8000", "-t", "0.6", "-preset", "ultrafast", "-threads", "1")
	many := made(t, tools, "b.mp4", "-stream_loop", "60", "-i",
		writeHostile(t, "a.mp4", still), "-c", "copy")
	quarter := made(t, tools, "c.mkv", "-stream_loop", "-1", "-i",
		writeHostile(t, "a.mp4", plainClip(t, tools, "a.mp4", "-b:v", "20k", "-b:a", "8k")),
		"-c", "copy", "-t", "900", "-live", "1")
	silence := made(t, tools, "a.flac", "-f", "lavfi", "-i", "anullsrc=r=8000:cl=mono", "-t", "7200")
	at := 8 + 13 // the number of samples: 36 bits, 0 for unknown
	silence[at] &= 0xf0
	clear(silence[at+1 : at+5])
	white := image.NewPaletted(image.Rect(0, 0, 4000, 4000), color.Palette{color.Black, color.White})
	pictures := gifClaims(encodedGIF(t, white), 8000, 8000, 4000, 4000, 1000)
	for _, c := range []struct {
		name    string
		data    []byte
		seconds float64 // the limit
		want    []Outcome
	}{
		{"6 frames of 8000 × 8000.mp4", still, 20, []Outcome{Silent, Timeout}},
		{"360 frames of 8000 × 8000.mp4", many, 600, []Outcome{Timeout}},
		{"a quarter of an hour.mkv", quarter, 20, []Outcome{TooLarge}},
		{"silence.flac", silence, 20, []Outcome{TooLarge}},
		{"silence within the limit.flac", silence, 36000, []Outcome{NoVideo, TooLarge, Timeout}},
		{"1000 frames of 8000 × 8000.gif", pictures, 20, []Outcome{TooLarge}},
		{"1000 frames within the limit.gif", pictures, 600, []Outcome{Timeout}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if len(c.data) > 16<<20 {
				t.Errorf("a bomb of %d bytes", len(c.data))
			}
			cfg := smallConfig
			cfg.Limits = hostileLimits
			cfg.Limits.MaxSeconds, cfg.Limits.Timeout = c.seconds, 3*time.Second
			meetWith(t, tools, writeHostile(t, "bomb"+filepath.Ext(c.name), c.data), cfg,
				12*time.Second, c.want...)
		})
	}
}
