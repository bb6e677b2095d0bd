package media

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// childLog reads a child's stderr line by line and keeps little of it: the last
// complaints and, from ffmpeg at log level verbose, its description of the input
// and its final counts. Safe for concurrent use.
type childLog struct {
	mu         sync.Mutex
	line       []byte   // incomplete
	complaints []string // the last two
	beyond     string   // the first about a limit of ours
	input      description
	counts     map[int]count // by stream index
	room       int64         // bytes that may still come
	flood      func()        // called when more come
	flooded    bool

	described chan struct{} // closed when input is complete or the child is gone
	once      sync.Once
}

// count is what ffmpeg says at the end about a stream of the input.
type count struct{ packets, frames int }

const (
	maxLine      = 2 << 10 // bytes; the rest of a longer line is dropped
	maxDescribed = 1 << 10 // streams that are remembered; ffmpeg itself stops there
)

// newChildLog returns a log that calls flood once it is told more than limit bytes.
func newChildLog(limit int64, flood func()) *childLog {
	return &childLog{counts: map[int]count{}, room: limit, flood: flood,
		described: make(chan struct{})}
}

var errFlood = errors.New("media: too many messages")

// Write takes in text of any length up to the limit of all.
func (l *childLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(text)
	if l.room -= int64(n); l.room < 0 {
		if !l.flooded {
			l.flooded = true
			l.flood()
			l.once.Do(func() { close(l.described) })
		}
		return 0, errFlood
	}
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		l.line = append(l.line, line[:min(len(line), maxLine-len(l.line))]...)
		if whole {
			l.take(string(bytes.ToValidUTF8(l.line, []byte("?"))))
			l.line = l.line[:0]
		}
		text = rest
	}
	return n, nil
}

// close ends the log; nobody waits for a description any more.
func (l *childLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 {
		l.take(string(bytes.ToValidUTF8(l.line, []byte("?"))))
		l.line = nil
	}
	l.once.Do(func() { close(l.described) })
}

// limitWords finds what ffmpeg says when it meets a limit, of ours or its own.
var limitWords = regexp.MustCompile(`Cannot allocate memory|exceeds specified max pixel count|` +
	`Picture size \d+x\d+ is invalid|exceeds max_streams|JPEG does not support resolutions above`)

// damage is the FileError of a file that ffmpeg could not read; ask after close.
func (l *childLog) damage() *FileError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.beyond != "" {
		return &FileError{TooLarge, l.beyond}
	}
	return &FileError{Corrupt, strings.Join(l.complaints, "; ")}
}

// tooMuch returns a FileError when the child said more than the limit.
func (l *childLog) tooMuch(limit int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flooded {
		return &FileError{TooLarge, fmt.Sprintf("more than %d bytes of messages about it", limit)}
	}
	return nil
}

// complaint returns the last two error lines as one; ask after close.
func (l *childLog) complaint() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.complaints, "; ")
}

var (
	// origin is who speaks, "[h264 @ 0x55d5c3f0a8c0] ", perhaps nested.
	origin = regexp.MustCompile(`^(?:\[[^\]]* @ 0x[0-9a-f]+\] )+`)
	level  = regexp.MustCompile(`^\[(\w+)\] `)
	counts = regexp.MustCompile(
		`^ *Input stream #0:(\d+) \(\w+\): (\d+) packets read .*; (\d+) frames decoded`)
)

func (l *childLog) take(line string) {
	if line == "" {
		return
	}
	own := !strings.HasPrefix(line, "[") || level.MatchString(line)
	line = origin.ReplaceAllString(line, "")
	severity := "error" // ffprobe says nothing else
	if m := level.FindStringSubmatch(line); m != nil {
		severity, line = m[1], line[len(m[0]):]
	}
	switch severity {
	case "error", "fatal", "panic":
		if line = strings.TrimSpace(line); line == "" {
			return
		}
		line, _, _ = strings.Cut(line, " '"+allowedFormats)
		line = line[:min(len(line), 200)]
		if l.beyond == "" && limitWords.MatchString(line) {
			l.beyond = line
		}
		if n := len(l.complaints); n > 0 && l.complaints[n-1] == line {
			return
		}
		l.complaints = append(l.complaints, line)
		l.complaints = l.complaints[max(0, len(l.complaints)-2):]
	case "info", "verbose":
		if !own {
			return
		}
		if m := counts.FindStringSubmatch(line); m != nil {
			index, _ := strconv.Atoi(m[1])
			packets, _ := strconv.Atoi(m[2])
			frames, _ := strconv.Atoi(m[3])
			if index < maxDescribed {
				l.counts[index] = count{packets, frames}
			}
			return
		}
		if l.input.take(line) {
			l.once.Do(func() { close(l.described) })
		}
	}
}
