package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Format is the form of a list.
type Format string

// The forms of lists. See ownColumns for the fields of ours.
const (
	Auto     Format = ""         // as the content shows
	CSV      Format = "csv"      // ours: a first line path,label,…
	JSONL    Format = "jsonl"    // ours: {"path": …} on every line
	VGGSound Format = "vggsound" // id,start,label,split or id_000030.mp4,label
	AudioSet Format = "audioset" // # …, then id, start, end, "/m/a,/m/b"
	CAVMAE   Format = "cavmae"   // {"data": [{"video_id": …}, …]}
)

// Formats are the forms that can be asked for by name.
var Formats = []Format{CSV, JSONL, VGGSound, AudioSet, CAVMAE}

// CheckFormat returns an error for a form that there is not.
func CheckFormat(f Format) error {
	if f != Auto && !slices.Contains(Formats, f) {
		return fmt.Errorf("format %.40q: there are %s", f, formatNames())
	}
	return nil
}

func formatNames() string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// listExts are the extensions of files that are lists and not media.
var listExts = []string{".csv", ".json", ".jsonl", ".ndjson"}

// detectBytes is how much of a list decides its form.
const detectBytes = 64 << 10

// detect returns the form of the list that r has, without taking anything from it.
// What looks like no list at all is taken for our own CSV, whose error says what is
// expected.
func detect(r *bufio.Reader) Format {
	head, err := r.Peek(detectBytes)
	return detectHead(head, err == io.EOF)
}

// detectHead is detect for the first bytes of a list; all says that there are no more.
func detectHead(head []byte, all bool) Format {
	head = bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF"))
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 {
		return CSV
	}
	if head[0] == '{' {
		return detectJSON(head)
	}
	switch head[0] {
	case '#':
		return AudioSet
	case '[':
		return JSONL // whose error says what is expected
	}
	for n := range 10 { // the first rows may be broken
		line, rest, more := bytes.Cut(head, []byte("\n"))
		if !more && !all || len(line) == 0 {
			break // a line that is too long, as readCSV will say
		}
		fields, err := splitFields(bytes.Clone(bytes.TrimRight(line, "\r")), nil)
		if err == nil {
			if f := detectRow(fields, n == 0); f != Auto {
				return f
			}
		}
		head = rest
	}
	return CSV
}

// detectRow returns the form of a list with such a row, Auto when it may be any.
func detectRow(fields [][]byte, first bool) Format {
	for _, f := range fields {
		if first && strings.EqualFold(string(f), "path") {
			return CSV
		}
	}
	if len(fields) == 2 || len(fields) == 4 {
		if _, _, err := parseVGGRow(&listFile{}, new(candidate), fields); err == nil {
			return VGGSound
		}
	}
	if len(fields) == 4 && bytes.HasPrefix(fields[3], []byte("/")) {
		return AudioSet // without its comments
	}
	return Auto
}

func detectJSON(head []byte) Format {
	dec := json.NewDecoder(bytes.NewReader(head))
	depth := 0
	for {
		t, err := dec.Token()
		if err != nil {
			return JSONL
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			if depth--; depth == 0 {
				return JSONL
			}
		case "data":
			if depth == 1 && dec.More() {
				if t, err := dec.Token(); err == nil && t == json.Delim('[') {
					return CAVMAE
				}
				return JSONL
			}
		}
	}
}
