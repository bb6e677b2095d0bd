package media

import (
	"regexp"
	"strconv"
	"strings"
)

// description gathers what ffmpeg prints about its input before it decodes, in
// the form of ffprobe's answer:
//
//	Input #0, matroska,webm, from 'file:/clips/a.mkv':
//	  Duration: 00:00:03.02, start: 0.000000, bitrate: 216 kb/s
//	  Stream #0:0(eng): Video: h264 (High), yuv420p, 256x192 [SAR 1:1 DAR 4:3], 25 fps, …
//	      displaymatrix: rotation of -90.00 degrees
//	  Stream #0:1: Audio: aac (LC), 44100 Hz, mono, fltp (default)
//	Stream mapping:
//
// It spares a second child that costs as much as decoding a short clip. The text
// has kept its form since ffmpeg 2; whatever is not understood makes the caller
// ask ffprobe.
type description struct {
	answer probed
	begun  bool // "Input #0" was seen
	done   bool // "Stream mapping" was seen
	broken bool // a line was not understood
}

var (
	inputLine    = regexp.MustCompile(`^Input #0, (.+), from '`)
	durationLine = regexp.MustCompile(`^ *Duration: (\d+):(\d\d):(\d\d\.\d+), `)
	streamLine   = regexp.MustCompile(
		`^ *Stream #0:(\d+)(?:\[0x[0-9a-f]+\])?(?:\([^()]*\))?: (\w+): (\w+)`)
	pictureSize  = regexp.MustCompile(`, (\d+)x(\d+)(?: \[SAR (\d+:\d+) DAR \d+:\d+\])?(?:,|$| \()`)
	pictureRate  = regexp.MustCompile(`, ([0-9.]+) fps`)
	soundRate    = regexp.MustCompile(`, (\d+) Hz, ([^,]+)`)
	rotationLine = regexp.MustCompile(`(?i)^ *display ?matrix: rotation of (-?[0-9.]+) degrees`)
)

// take reads a line and reports whether the description is complete.
func (d *description) take(line string) bool {
	if d.done {
		return true
	}
	if m := inputLine.FindStringSubmatch(line); m != nil {
		d.begun = true
		d.answer.Format.Name = m[1]
		return false
	}
	if !d.begun {
		return false
	}
	streams := d.answer.Streams
	switch {
	case strings.HasPrefix(line, "Stream mapping:"):
		d.done = true
	case durationLine.MatchString(line):
		m := durationLine.FindStringSubmatch(line)
		h, _ := strconv.ParseFloat(m[1], 64)
		min, _ := strconv.ParseFloat(m[2], 64)
		s, _ := strconv.ParseFloat(m[3], 64)
		d.answer.Format.Duration = formatFloat(3600*h + 60*min + s)
	case strings.HasPrefix(strings.TrimLeft(line, " "), "Stream #0:"):
		d.takeStream(line)
	case rotationLine.MatchString(line) && len(streams) > 0:
		angle, err := strconv.ParseFloat(rotationLine.FindStringSubmatch(line)[1], 64)
		d.broken = d.broken || err != nil
		s := &streams[len(streams)-1]
		d.broken = d.broken || len(s.SideData) > 0 // which of them holds?
		s.SideData = []struct{ Rotation float64 }{{angle}}
	}
	return d.done
}

func (d *description) takeStream(line string) {
	m := streamLine.FindStringSubmatch(line)
	if m == nil || len(d.answer.Streams) == maxDescribed {
		d.broken = true
		return
	}
	s := probedStream{Type: strings.ToLower(m[2]), Codec: m[3]}
	s.Index, _ = strconv.Atoi(m[1])
	if strings.Contains(line, " (default)") {
		s.Disposition.Default = 1
	}
	if strings.Contains(line, " (attached pic)") || strings.Contains(line, " (timed thumbnails)") {
		s.Disposition.Attached = 1
	}
	switch s.Type {
	case "video":
		if size := pictureSize.FindStringSubmatch(line); size != nil {
			s.Width, _ = strconv.Atoi(size[1])
			s.Height, _ = strconv.Atoi(size[2])
			s.SAR = size[3]
		} else {
			d.broken = true
		}
		if rate := pictureRate.FindStringSubmatch(line); rate != nil {
			s.FPS = rate[1] + "/1"
		}
	case "audio":
		if rate := soundRate.FindStringSubmatch(line); rate != nil {
			s.SampleRate = rate[1]
			s.Channels = map[string]int{"mono": 1, "stereo": 2}[rate[2]]
		} else {
			d.broken = true
		}
	}
	d.answer.Streams = append(d.answer.Streams, s)
}

// unambiguous reports whether the text was understood and leaves no choice: as many
// picture streams as wanted, 1 or 0, and one sound stream, no other of the kinds.
func (d *description) unambiguous(wantPictures int) bool {
	pictures, sounds := 0, 0
	for i, s := range d.answer.Streams {
		switch {
		case s.Index != i: // a stream of which nothing was printed
			return false
		case s.Type == "video" && s.Disposition.Attached == 0:
			pictures++
		case s.Type == "audio":
			sounds++
		}
	}
	return d.done && !d.broken && pictures == wantPictures && sounds == 1
}
