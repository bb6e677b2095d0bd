package media

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// fuzzLimit bounds a frame while fuzzing.
const fuzzLimit = 1 << 16

// FuzzFrames: whatever comes in place of frames, those that are taken lie one
// behind the other in the stream, byte for byte, and are no larger than the limit;
// the end is an end, a cut, or a FileError that says what is wrong.
func FuzzFrames(f *testing.F) {
	picture := []byte("\xff\xd8\xff\xc0\x00\x0b\x08\x00\x02\x00\x03\x01\x01\x11\x00" +
		"\xff\xda\x00\x02ab\xff\x00c\xff\xd9")
	f.Add(slices.Concat(picture, picture, picture[:20]), false)
	f.Add([]byte("\xff\xd8\xff\xff\xff\xd9\xff\xd8\xff\xda\x00\x02\xff\xd0\xff\xd9"), false)
	f.Add([]byte("P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz"), true)
	f.Add([]byte("P6\n99999 99999\n255\n"), true)
	f.Fuzz(func(t *testing.T, stream []byte, raw bool) {
		frames := newFrameReader(bytes.NewReader(stream), raw, fuzzLimit)
		frames.r = bufio.NewReaderSize(frames.r, 16)
		rest, count := stream, 0
		for ; ; count++ {
			x, err := frames.next()
			if err != nil {
				checkEnd(t, err)
				break
			}
			if len(x.frame) > fuzzLimit+1<<16 || cap(x.frame) > 2*len(x.frame)+64 {
				t.Fatalf("frame %d takes %d bytes for %d", count, cap(x.frame), len(x.frame))
			}
			if raw {
				header := fmt.Sprintf("P6\n%d %d\n255\n", x.width, x.height)
				if len(x.frame) != 3*x.width*x.height || !strings.HasPrefix(string(rest), header) {
					t.Fatalf("%d × %d pixels in %d bytes", x.width, x.height, len(x.frame))
				}
				rest = rest[len(header):]
			}
			if !bytes.HasPrefix(rest, x.frame) {
				t.Fatalf("frame %d is not the stream's", count)
			}
			rest = rest[len(x.frame):]
		}
	})
}

// checkEnd fails for an error that no reader of a pipe may give.
func checkEnd(t *testing.T, err error) {
	t.Helper()
	var broken *FileError
	known := err == io.EOF || err == io.ErrUnexpectedEOF ||
		errors.As(err, &broken) && (broken.Outcome == Corrupt || broken.Outcome == TooLarge)
	if !known || broken != nil && broken.Reason == "" || len(err.Error()) > 500 {
		t.Fatalf("the stream ends with %v", err)
	}
}

// FuzzSound: of a stream of sound come as many samples as it has bytes for, each
// between the least and the largest of its channels.
func FuzzSound(f *testing.F) {
	f.Add([]byte(".snd\x00\x00\x00\x18\xff\xff\xff\xff\x00\x00\x00\x03" +
		"\x00\x00\x3e\x80\x00\x00\x00\x02" +
		"\x00\x01\x00\x03\x80\x00\x80\x00\x7f"))
	f.Add([]byte(".snd\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x03" +
		"\x00\x00\x3e\x80\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		var samples []int16
		var end error
		readSamples(bytes.NewReader(stream), func(x piece) bool {
			if end != nil {
				t.Fatal("something behind the end")
			}
			samples, end = append(samples, x.samples...), x.err
			return true
		})
		if end == nil {
			t.Fatal("no end")
		}
		checkEnd(t, end)
		if 2*len(samples) > len(stream) {
			t.Fatalf("%d samples of %d bytes", len(samples), len(stream))
		}
		for channels := 1; channels <= 3; channels++ {
			for i, s := range meanOfChannels(stream, channels) {
				lo, hi := int16(math.MaxInt16), int16(math.MinInt16)
				for c := range channels {
					at := 2 * (i*channels + c)
					v := int16(uint16(stream[at])<<8 | uint16(stream[at+1]))
					lo, hi = min(lo, v), max(hi, v)
				}
				if s < lo || s > hi {
					t.Fatalf("mean %d of %d channels is not in %d…%d", s, channels, lo, hi)
				}
			}
		}
	})
}

// FuzzMessages: however ffmpeg's text is cut and whatever it says, little is kept
// of it, and a description that passes for unambiguous names one picture and one
// sound stream of sane sizes. How it is cut makes no difference.
func FuzzMessages(f *testing.F) {
	f.Add("[info] Input #0, matroska,webm, from 'file:a.mkv':\n"+
		"[info]   Duration: 00:00:03.02, start: 0.000000, bitrate: 216 kb/s\n"+
		"[info]   Stream #0:0(eng): Video: h264 (High), yuv420p, 256x192 [SAR 1:1 DAR 4:3], 25 fps\n"+
		"[info]       displaymatrix: rotation of -90.00 degrees\n"+
		"[info]   Stream #0:1: Audio: aac (LC), 44100 Hz, mono, fltp (default)\n"+
		"[info] Stream mapping:\n"+
		"[verbose]   Input stream #0:0 (video): 75 packets read (9 bytes); 75 frames decoded;\n", 7)
	f.Add("[mov @ 0x55d5] [error] moov atom not found\n[error] a: Invalid data\n", 1)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		whole := newChildLog(1<<20, func() {})
		_, errWhole := whole.Write([]byte(text))
		log := newChildLog(1<<20, func() {})
		cut = max(1, cut&1023)
		var err error
		for rest := []byte(text); len(rest) > 0 && err == nil; {
			n := min(cut, len(rest))
			_, err = log.Write(rest[:n])
			rest = rest[n:]
		}
		if len(log.line) > maxLine || cap(log.line) > 4*maxLine || len(log.complaints) > 2 ||
			len(log.counts) > maxDescribed || len(log.input.answer.Streams) > maxDescribed {
			t.Fatalf("kept too much of %d bytes", len(text))
		}
		log.close()
		whole.close()
		if len(log.complaint()) > 500 {
			t.Fatalf("a complaint of %d bytes", len(log.complaint()))
		}
		if err == nil && errWhole == nil && (log.complaint() != whole.complaint() ||
			len(log.counts) != len(whole.counts) || log.input.done != whole.input.done) {
			t.Fatalf("cut by %d: %q, whole: %q", cut, log.complaint(), whole.complaint())
		}
		if !log.input.unambiguous(0) && !log.input.unambiguous(1) {
			return
		}
		info, err := log.input.answer.info(DefaultLimits())
		checkInfo(t, info, err)
	})
}

// FuzzProbe: an answer of ffprobe's that passes obeys the limits, and what is
// refused is refused with its reason.
func FuzzProbe(f *testing.F) {
	f.Add([]byte(`{"streams":[{"index":0,"codec_name":"h264","codec_type":"video","width":9,` +
		`"height":8,"sample_aspect_ratio":"4:1","avg_frame_rate":"25/1","disposition":{"default":1,` +
		`"attached_pic":0},"side_data_list":[{"rotation":-90}]},{"index":1,"codec_name":"aac",` +
		`"codec_type":"audio","sample_rate":"44100","channels":2}],` +
		`"format":{"format_name":"mov","duration":"3.0"}}`))
	f.Add([]byte(`{"streams":[{"codec_type":"video","codec_name":"x","width":1e9,"height":1e9}]}`))
	f.Add([]byte(`{"format":{"duration":"1e400"}}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		info, err := parseProbe(answer, DefaultLimits())
		var broken *FileError
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		if err != nil && !errors.As(err, &broken) && !errors.As(err, &syntax) &&
			!errors.As(err, &kind) && !strings.HasPrefix(err.Error(), "media: ffprobe's answer") {
			t.Fatalf("error %v", err)
		}
		checkInfo(t, info, err)
	})
}

// checkInfo fails for streams outside the default limits that no error reports.
func checkInfo(t *testing.T, info Info, err error) {
	t.Helper()
	lim := DefaultLimits()
	if err != nil {
		return
	}
	if info.Streams > lim.MaxStreams || !(info.Seconds >= 0) || math.IsInf(info.Seconds, 0) {
		t.Errorf("accepted %+v", info)
	}
	if v := info.Video; v != nil && (v.Width <= 0 || v.Height <= 0 ||
		v.Width > lim.MaxPixels/v.Height || !(v.SAR > 0) || math.IsInf(v.SAR, 0) ||
		!(v.FPS >= 0) || math.IsInf(v.FPS, 0) || v.Rotation < -360 || v.Rotation > 360) {
		t.Errorf("accepted %+v", *v)
	}
	if a := info.Audio; a != nil && (a.Channels < 0 || a.SampleRateHz < 0) {
		t.Errorf("accepted %+v", *a)
	}
}
