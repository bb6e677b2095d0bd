package manifest

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxCSVRows   = MaxClips
	maxPathBytes = 4096
)

// csvColumns are the columns a manifest may have; only path is required.
var csvColumns = []string{"path", "label", "split", "start", "end", "key"}

const csvExpected = "expected a first line such as path,label,split,start,end,key " +
	"(path is required, the others are optional, the order is free)"

// csvError is an error at a place in a manifest.
type csvError struct {
	line   int    // from 1
	column string // name or "column 3"; "" when the whole line is meant
	err    error
}

func (e *csvError) Error() string {
	if e.column == "" {
		return fmt.Sprintf("line %d: %v", e.line, e.err)
	}
	return fmt.Sprintf("line %d, %s: %v", e.line, e.column, e.err)
}

func (e *csvError) Unwrap() error { return e.err }

// readCSVFile reads a manifest from disk. Its paths are taken from its own
// folder and may not leave it unless opt allows it.
func readCSVFile(path string, opt Options) ([]candidate, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	defer f.Close()
	found, err := readCSV(f)
	if err != nil {
		return nil, fmt.Errorf("manifest: %s: %w: %w", path, ErrManifest, err)
	}
	dir := filepath.Dir(path)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	checked := make(map[string]string) // folder → where it really is
	for i := range found {
		c := &found[i]
		fail := func(err error) error {
			return fmt.Errorf("manifest: %s: %w: line %s, column path: %w",
				path, ErrManifest, c.where, err)
		}
		if opt.AllowOutside {
			if !filepath.IsAbs(c.Path) {
				c.Path = filepath.Join(dir, c.Path)
			}
			c.Path = filepath.Clean(c.Path)
		} else {
			if !filepath.IsLocal(c.Path) {
				return nil, fail(fmt.Errorf("%q leaves the manifest's folder: "+
					"allow outside paths if you trust it", c.Path))
			}
			c.Path = filepath.Join(dir, c.Path)
			if err := checkInside(real, c.Path, checked); err != nil {
				return nil, fail(err)
			}
		}
		c.where = path + ":" + c.where
	}
	return found, nil
}

// checkInside is resolveInside with the answers for folders remembered.
func checkInside(root, name string, checked map[string]string) error {
	parent := filepath.Dir(name)
	real, ok := checked[parent]
	if !ok {
		var err error
		if real, err = resolveInside(root, parent); err != nil {
			return err
		}
		checked[parent] = real
	}
	st, err := os.Lstat(name)
	if err != nil || st.Mode()&os.ModeSymlink == 0 {
		return nil // absent, or a file in a folder that is inside
	}
	_, err = resolveInside(root, filepath.Join(real, filepath.Base(name)))
	return err
}

// readCSV parses a manifest: UTF-8 with or without a byte order mark, lines
// ending in LF or CRLF, fields quoted as in RFC 4180 but without line breaks
// inside. The first line names the columns. It touches no file: Path is as
// written, and where holds the line number.
//
//	path   of the source
//	label  class; may be empty
//	split  train, val or any other name; empty = drawn by Ingest
//	start  seconds; empty = 0
//	end    seconds; empty = to the end
//	key    name of the clip; empty = made from path and start
func readCSV(r io.Reader) ([]candidate, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), maxLineBytes)
	sc.Split(bufio.ScanLines)
	var (
		found   []candidate
		columns []string
		line    int
	)
	for sc.Scan() {
		line++
		text := sc.Bytes()
		if line == 1 {
			if bytes.HasPrefix(text, []byte{0xFF, 0xFE}) || bytes.HasPrefix(text, []byte{0xFE, 0xFF}) {
				return nil, &csvError{line, "", errors.New("UTF-16: save it as UTF-8")}
			}
			text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
		}
		if !utf8.Valid(text) {
			return nil, &csvError{line, "", errors.New("not UTF-8: save it as UTF-8")}
		}
		if bytes.IndexByte(text, 0) >= 0 {
			return nil, &csvError{line, "", errors.New("contains a zero byte: not a text file")}
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		fields, err := splitCSVLine(text)
		if err != nil {
			return nil, &csvError{line, "", err}
		}
		if columns == nil {
			if columns, err = parseCSVHeader(fields, line); err != nil {
				return nil, err
			}
			continue
		}
		if len(found) == maxCSVRows {
			return nil, &csvError{line, "", fmt.Errorf("more than %d rows", maxCSVRows)}
		}
		c, err := parseCSVRow(columns, fields, line)
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", maxLineBytes)
		}
		return nil, &csvError{line + 1, "", err}
	}
	if columns == nil {
		return nil, &csvError{1, "", errors.New("empty file: " + csvExpected)}
	}
	return found, nil
}

// splitCSVLine splits one line into its fields.
func splitCSVLine(text []byte) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	var perr *csv.ParseError
	if errors.As(err, &perr) {
		return nil, fmt.Errorf("byte %d: %v (quotes must close on the same line, "+
			"and a quote inside quotes is doubled)", perr.Column, perr.Err)
	}
	return fields, err
}

func parseCSVHeader(fields []string, line int) ([]string, error) {
	columns := make([]string, len(fields))
	for i, f := range fields {
		name := strings.ToLower(strings.TrimSpace(f))
		place := fmt.Sprintf("column %d", i+1)
		if !slices.Contains(csvColumns, name) {
			hint := ""
			if len(fields) == 1 && strings.ContainsAny(name, ";\t") {
				hint = "; fields are separated by commas"
			}
			return nil, &csvError{line, place,
				fmt.Errorf("unknown column %.80q: %s%s", name, csvExpected, hint)}
		}
		if slices.Contains(columns[:i], name) {
			return nil, &csvError{line, place, fmt.Errorf("column %q for the second time", name)}
		}
		columns[i] = name
	}
	if !slices.Contains(columns, "path") {
		return nil, &csvError{line, "", errors.New("no column path: " + csvExpected)}
	}
	return columns, nil
}

func parseCSVRow(columns, fields []string, line int) (candidate, error) {
	c := candidate{where: strconv.Itoa(line)}
	if len(fields) != len(columns) {
		return c, &csvError{line, "", fmt.Errorf("%d fields, the first line names %d: %s",
			len(fields), len(columns), strings.Join(columns, ","))}
	}
	for i, name := range columns {
		value := strings.TrimSpace(fields[i])
		var err error
		switch name {
		case "path":
			c.Path, err = value, checkPathField(value)
			c.rel = filepath.ToSlash(filepath.Clean(value))
		case "label":
			if err = CheckLabel(value); value != "" {
				c.Labels = []string{value}
			}
		case "split":
			c.Split, err = value, CheckSplit(value)
		case "start":
			c.Start, err = parseSeconds(value)
		case "end":
			c.End, err = parseSeconds(value)
		case "key":
			if c.Key = value; value != "" {
				err = CheckKey(value)
				if err == nil && len(value) > MaxBaseBytes {
					err = fmt.Errorf("key of %d bytes, at most %d", len(value), MaxBaseBytes)
				}
			}
		}
		if err != nil {
			return c, &csvError{line, "column " + name, err}
		}
	}
	if c.End != 0 && !(c.End > c.Start) {
		return c, &csvError{line, "column end",
			fmt.Errorf("end %v s is not after start %v s", c.End, c.Start)}
	}
	return c, nil
}

func checkPathField(value string) error {
	if value == "" {
		return errors.New("empty path")
	}
	if len(value) > maxPathBytes {
		return fmt.Errorf("path of %d bytes, at most %d", len(value), maxPathBytes)
	}
	return nil
}

// parseSeconds reads a time; an empty field is 0.
func parseSeconds(value string) (float64, error) {
	if value == "" {
		return 0, nil
	}
	s, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(s) {
		return 0, fmt.Errorf("%.40q is not a number of seconds", value)
	}
	if !(s >= 0 && s <= MaxSeconds) {
		return 0, fmt.Errorf("%v s is outside [0, %d]", s, MaxSeconds)
	}
	return s, nil
}
