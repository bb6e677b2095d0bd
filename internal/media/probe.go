package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Info describes a file: its container and the streams chosen from it.
type Info struct {
	Format  string       // ffmpeg's demuxer, such as "mov,mp4,m4a,3gp,3g2,mj2"
	Seconds float64      // duration as the container claims; 0 unknown
	Streams int          // of all kinds
	Video   *VideoStream // nil: none
	Audio   *AudioStream // nil: none
}

// VideoStream is the picture stream that Decode takes.
type VideoStream struct {
	Index         int // in the container
	Codec         string
	Width, Height int     // coded pixels, before rotation
	SAR           float64 // width of a pixel / its height; 1 when not given
	Rotation      int     // display matrix, degrees anticlockwise; Decode undoes it
	FPS           float64 // average frame rate as claimed; 0 unknown
}

// AudioStream is the sound stream that Decode takes.
type AudioStream struct {
	Index        int // in the container
	Codec        string
	Channels     int
	SampleRateHz int
}

// indexed reports whether the container lets ffmpeg seek exactly. In MPEG streams
// it may land between key frames.
func (info Info) indexed() bool {
	return strings.Contains(info.Format, "mp4") || strings.Contains(info.Format, "matroska")
}

// maps returns ffmpeg's names of the chosen streams, "" for none.
func (info Info) maps() (video, audio string) {
	if info.Video != nil {
		video = "0:" + strconv.Itoa(info.Video.Index)
	}
	if info.Audio != nil {
		audio = "0:" + strconv.Itoa(info.Audio.Index)
	}
	return video, audio
}

// allowedFormats are the demuxers for plain containers and elementary streams.
// Whatever opens further files (hls, dash, concat, sdp, image2, …) is missing.
const allowedFormats = "mov,matroska,webm,avi,mpegts,mpeg,ogg,flv,asf,wav,w64,mp3,aac,ac3,eac3," +
	"flac,gif,mpegvideo,h264,hevc,m4v,amr,au,aiff,caf,mxf,nut,rm,ivf,dv,opus"

// inputArgs are the options before and with an input of unknown origin. One stream
// more than the limit is let through, to be counted here.
func inputArgs(name string, lim Limits) []string {
	return []string{
		"-max_alloc", strconv.FormatInt(lim.MemoryBytes, 10),
		"-max_pixels", strconv.Itoa(lim.MaxPixels),
		"-max_streams", strconv.Itoa(lim.MaxStreams + 1),
		"-protocol_whitelist", "file,pipe",
		"-format_whitelist", allowedFormats,
		"-i", "file:" + name,
	}
}

// probeBytes bounds ffprobe's answer; 64 streams need about 30 kB.
const probeBytes = 1 << 20

// Probe reads a file's container and chooses its streams. A file that cannot be
// used gives a *FileError; other errors are ctx's and our own.
func (t Tools) Probe(ctx context.Context, path string, lim Limits) (Info, error) {
	lim = lim.withDefaults()
	in, err := openInput(path)
	if err != nil {
		return Info{}, err
	}
	defer in.close()
	return t.probe(ctx, in, lim)
}

// probe is Probe of an open file.
func (t Tools) probe(ctx context.Context, in *input, lim Limits) (Info, error) {
	name, files := in.forChild(1)
	bounded, cancel := context.WithTimeoutCause(ctx, lim.Timeout, errOverTime)
	defer cancel()
	args := append([]string{"-v", "error", "-print_format", "json", "-show_entries",
		"format=format_name,duration:stream=index,codec_type,codec_name,width,height," +
			"sample_aspect_ratio,avg_frame_rate,channels,sample_rate:stream_tags=rotate:" +
			"stream_disposition=default,attached_pic:stream_side_data=rotation"},
		inputArgs(name, lim)...)
	p, err := start(bounded, t.FFprobe, args, lim, 0, 1, files...)
	if err != nil {
		return Info{}, fmt.Errorf("media: %w", err)
	}
	answer, readErr := readBounded(p.outputs[0], probeBytes)
	waitErr := p.wait()
	flood := p.log.tooMuch(lim.MaxLogBytes)
	switch {
	case ctx.Err() != nil:
		return Info{}, context.Cause(ctx)
	case bounded.Err() != nil || p.overTime(lim):
		return Info{}, &FileError{Timeout, fmt.Sprintf("ffprobe took more than %v", lim.Timeout)}
	case flood != nil:
		return Info{}, flood
	case readErr != nil:
		return Info{}, &FileError{TooLarge, "ffprobe: " + readErr.Error()}
	case waitErr != nil:
		return Info{}, refusal(p.log, name, waitErr)
	}
	info, err := parseProbe(answer, lim)
	// ffprobe leaves out the size of a picture that is beyond the limit.
	if broken := p.log.damage(); err == nil && info.Video == nil && broken.Outcome == TooLarge {
		err = broken
	}
	return info, err
}

var errOverTime = errors.New("media: time is up")

// refusal turns what ffmpeg said about an input, or how it ended, into a FileError.
func refusal(log *childLog, name string, ended error) *FileError {
	last := strings.ReplaceAll(log.complaint(), "file:"+name+": ", "")
	broken := log.damage()
	broken.Reason = strings.ReplaceAll(broken.Reason, "file:"+name+": ", "")
	switch {
	case strings.Contains(last, "whitelist"), broken.Outcome != TooLarge &&
		strings.Contains(last, "Invalid argument"):
		return &FileError{Unsupported, "not a plain container (a playlist, a text?): " + last}
	case broken.Outcome == TooLarge:
		return broken
	case strings.Contains(last, "Protocol not found"):
		return &FileError{Unsupported, last}
	case last == "":
		last = fmt.Sprintf("nothing is said about it; the program ended with %v", ended)
	}
	return &FileError{Corrupt, last}
}

// probed mirrors ffprobe's JSON.
type probed struct {
	Streams []probedStream
	Format  struct {
		Name     string `json:"format_name"`
		Duration string
	}
}

type probedStream struct {
	Index       int
	Type        string `json:"codec_type"`
	Codec       string `json:"codec_name"`
	Width       int
	Height      int
	SAR         string `json:"sample_aspect_ratio"`
	FPS         string `json:"avg_frame_rate"`
	Channels    int
	SampleRate  string `json:"sample_rate"`
	Disposition struct {
		Default  int
		Attached int `json:"attached_pic"`
	}
	Tags     struct{ Rotate string }
	SideData []struct{ Rotation float64 } `json:"side_data_list"`
}

func parseProbe(answer []byte, lim Limits) (Info, error) {
	var all probed
	if err := json.Unmarshal(answer, &all); err != nil {
		return Info{}, fmt.Errorf("media: ffprobe's answer: %w", err)
	}
	return all.info(lim)
}

// info chooses the streams; a FileError when there is more than lim allows.
func (all *probed) info(lim Limits) (Info, error) {
	info := Info{Format: all.Format.Name, Streams: len(all.Streams)}
	if d, err := strconv.ParseFloat(all.Format.Duration, 64); err == nil && d > 0 {
		info.Seconds = d
	}
	if len(all.Streams) > lim.MaxStreams {
		return info, &FileError{TooLarge, fmt.Sprintf("%d streams, the limit is %d",
			len(all.Streams), lim.MaxStreams)}
	}
	if s := choose(all.Streams, "video"); s != nil {
		info.Video = &VideoStream{Index: s.Index, Codec: s.Codec, Width: s.Width,
			Height: s.Height, SAR: ratio(s.SAR, ":"), FPS: ratio(s.FPS, "/")}
		if info.Video.SAR == 0 {
			info.Video.SAR = 1
		}
		for _, data := range s.SideData {
			if data.Rotation != 0 { // whatever is claimed, in −180…180
				info.Video.Rotation = int(math.Round(math.Remainder(data.Rotation, 360)))
			}
		}
		if pixels := int64(s.Width) * int64(s.Height); pixels > int64(lim.MaxPixels) {
			return info, &FileError{TooLarge, fmt.Sprintf("%d × %d pixels, the limit is %d in all",
				s.Width, s.Height, lim.MaxPixels)}
		}
	}
	if s := choose(all.Streams, "audio"); s != nil {
		rate, _ := strconv.Atoi(s.SampleRate)
		info.Audio = &AudioStream{Index: s.Index, Codec: s.Codec, Channels: s.Channels,
			SampleRateHz: rate}
	}
	return info, nil
}

// choose returns the first stream of a kind with the default disposition, else
// the first; nil when there is none. Streams without a decoder or picture size
// and cover pictures do not count.
func choose(streams []probedStream, kind string) *probedStream {
	var first *probedStream
	for i := range streams {
		s := &streams[i]
		if s.Type != kind || s.Disposition.Attached != 0 || s.Codec == "" {
			continue
		}
		if kind == "video" && (s.Width <= 0 || s.Height <= 0) {
			continue
		}
		if s.Disposition.Default != 0 {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// ratio parses "4:1" or "25/1"; 0 when absent, undefined or absurd.
func ratio(text, separator string) float64 {
	a, b, ok := strings.Cut(text, separator)
	num, err1 := strconv.ParseFloat(a, 64)
	den, err2 := strconv.ParseFloat(b, 64)
	if !ok || err1 != nil || err2 != nil || !(num > 0) || !(den > 0) {
		return 0
	}
	return num / den
}
