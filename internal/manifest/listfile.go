package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// errTooMany ends the reading of lists.
var errTooMany = fmt.Errorf("more than %d clips", MaxClips)

// maxExamples bounds the places that a Tally names.
const maxExamples = 10

// Tally counts what was noticed while reading lists, and shows the first few.
type Tally struct {
	Count    int
	Examples []string // each with its place
}

func (t *Tally) add(text string) {
	t.Count++
	if len(t.Examples) < maxExamples {
		t.Examples = append(t.Examples, text)
	}
}

// listFile is one list that is being read.
type listFile struct {
	path   string
	split  string // of rows that give none
	media  *mediaIndex
	known  map[string]bool     // IDs of classes; nil = any label
	rows   int                 // good ones
	bad    Tally               // of lists that others publish; in our own they are errors
	labels map[string][]string // by the field that they stand in
	ids    map[string]string   // every label once

	lastSplit string
	lenient   bool // a wrong row is passed over
}

// from says where a row stands.
func (l *listFile) from(line int32) string { return fmt.Sprintf("%s:%d", l.path, line) }

// fatal is the error of a list that is refused.
func (l *listFile) fatal(err error) error {
	return fmt.Errorf("manifest: %s: %w: %w", l.path, ErrManifest, err)
}

// pass passes a wrong row over.
func (l *listFile) pass(err *rowError) {
	text := fmt.Sprintf("%s:%d", l.path, err.line)
	if err.column != "" {
		text += ", " + err.column
	}
	l.bad.add(fmt.Sprintf("%s: %v", text, err.err))
}

// readRows calls parse for the lines of a published list that are not blank and do not
// begin with '#'. A *rowError passes the row over.
func (l *listFile) readRows(f io.Reader, parse func(line int, fields [][]byte) error) error {
	var fields [][]byte
	lines := newLineReader(f)
	for {
		text, err := lines.next()
		if err == io.EOF {
			return l.judge()
		}
		if err == nil && text[0] != '#' {
			if fields, err = splitFields(text, fields[:0]); err != nil {
				err = lines.bad(err)
			} else {
				err = parse(lines.line, fields)
			}
		}
		if err := l.took(err); err != nil {
			return err
		}
	}
}

// took passes a wrong row over and returns every other error.
func (l *listFile) took(err error) error {
	var row *rowError
	if errors.As(err, &row) {
		l.pass(row)
		return nil
	}
	if err != nil && !errors.Is(err, ErrManifest) {
		err = l.fatal(err)
	}
	return err
}

// judge refuses a list that has more wrong rows than good ones: it is something
// else than it was taken for.
func (l *listFile) judge() error {
	if l.bad.Count > l.rows {
		return l.fatal(fmt.Errorf("%d of %d rows cannot be used, the first: %s; "+
			"is this such a list? the format can be given", l.bad.Count, l.bad.Count+l.rows,
			strings.TrimPrefix(l.bad.Examples[0], l.path+":")))
	}
	return nil
}

// parseLabels returns the labels of a field that separates them by commas, in their
// order, each once. Rows with the same field share the result.
func (l *listFile) parseLabels(field []byte) ([]string, error) {
	if there, ok := l.labels[string(field)]; ok {
		return there, nil
	}
	var labels []string
	for part := range bytes.SplitSeq(field, []byte(",")) {
		part = bytes.TrimSpace(part)
		if len(part) == 0 {
			return nil, errors.New("an empty label")
		}
		s, ok := l.ids[string(part)]
		if !ok {
			s = string(part)
		}
		if !slices.Contains(labels, s) {
			labels = append(labels, s)
		}
		if len(labels) > maxLabels {
			break // as CheckLabels says
		}
	}
	return l.keepLabels(field, labels)
}

// parseLabel is parseLabels for a field that is one label, commas included.
func (l *listFile) parseLabel(field []byte) ([]string, error) {
	if there, ok := l.labels[string(field)]; ok {
		return there, nil
	}
	return l.keepLabels(field, []string{string(field)})
}

// interned returns a split's name without a copy for every row.
func (l *listFile) interned(split string) string {
	if split == l.lastSplit {
		return l.lastSplit
	}
	l.lastSplit = split
	return split
}

func (l *listFile) keepLabels(field []byte, labels []string) ([]string, error) {
	err := CheckLabels(labels)
	for _, s := range labels {
		if err == nil && l.known != nil && !l.known[s] {
			err = fmt.Errorf("label %.80q is not among the classes", s)
		}
	}
	if err != nil {
		return nil, err
	}
	if l.labels == nil {
		l.labels, l.ids = make(map[string][]string), make(map[string]string)
	}
	for _, s := range labels {
		l.ids[s] = s
	}
	l.labels[string(field)] = labels
	return labels, nil
}

// maxIDBytes leaves room for two times behind the name of a video in a key.
const maxIDBytes = 48

// checkID accepts names of videos as YouTube gives them, and others like these.
func checkID(id []byte) error {
	if len(id) == 0 || len(id) > maxIDBytes {
		return fmt.Errorf("the name of the video has %d bytes: 1 to %d are allowed", len(id), maxIDBytes)
	}
	for _, c := range id {
		if !wordByte(c) {
			return fmt.Errorf("the name of the video is %q: %q is not allowed (letters, digits, -, _)",
				id, c)
		}
	}
	return nil
}

// splitOfName returns the split that a list's file name speaks of, "" for none.
func splitOfName(path string) string {
	name := strings.ToLower(filepath.Base(path))
	words := strings.FieldsFunc(strings.TrimSuffix(name, filepath.Ext(name)), func(r rune) bool {
		return !('a' <= r && r <= 'z')
	})
	for _, w := range words {
		switch w {
		case "train", "training":
			return "train"
		case "test", "eval", "evaluation":
			return "test"
		case "val", "valid", "validation":
			return "val"
		}
	}
	return ""
}
