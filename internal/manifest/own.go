package manifest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxPathBytes = 4096

// ownColumns are the columns of lists in our own form, CSV or JSON lines; only path
// is required.
//
//	path    of the source
//	label   one class, as it is; may be empty
//	labels  several classes: separated by ';' in CSV, an array in JSON
//	split   train, val or any other name; empty = drawn by ingest
//	start   seconds; empty = 0
//	end     seconds; empty = to the end
//	key     name of the clip; empty = made from path and start
//	group   sources with the same group are drawn into the same split
var ownColumns = []string{"path", "label", "labels", "split", "start", "end", "key", "group"}

// setField sets what a column of a row says.
func (c *candidate) setField(name, value string) error {
	var err error
	switch name {
	case "path":
		c.Path, c.rel = value, filepath.ToSlash(filepath.Clean(value))
		err = checkPathField(value)
	case "label":
		if err = CheckLabel(value); value != "" {
			c.Labels = []string{value}
		}
	case "labels":
		for _, l := range strings.Split(value, ";") {
			if l = strings.TrimSpace(l); l != "" {
				c.Labels = append(c.Labels, l)
			}
		}
		err = CheckLabels(c.Labels)
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
	case "group":
		if c.Group = value; len(value) > maxLabelBytes || CheckLabel(value) != nil {
			err = fmt.Errorf("group %.80q is not plain text of at most %d bytes", value, maxLabelBytes)
		}
	default:
		panic("manifest: no column " + name)
	}
	return err
}

// checkTimes returns an error when a part ends before it begins.
func (c *candidate) checkTimes() error {
	if c.End != 0 && !(c.End > c.Start) {
		return fmt.Errorf("end %v s is not after start %v s", c.End, c.Start)
	}
	return nil
}

// address is how the address of something that is no file begins.
var address = regexp.MustCompile(`(?i)^(file:|data:|[a-z][a-z0-9+.-]*://)`)

func checkPathField(value string) error {
	switch {
	case value == "":
		return errors.New("empty path")
	case len(value) > maxPathBytes:
		return fmt.Errorf("path of %d bytes, at most %d", len(value), maxPathBytes)
	case strings.Contains(value, "\x00") || !utf8.ValidString(value):
		return fmt.Errorf("path %.80q is not plain text", value)
	case address.MatchString(value):
		return fmt.Errorf("%.80q is an address: write the path of a file on this machine", value)
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

// readOwn reads a list in our own form. It is strict: the first wrong row is an
// error. Paths are taken from the list's folder and may not leave it unless the
// options allow it.
func (r *reader) readOwn(l *listFile, f io.Reader, parse func(io.Reader) ([]candidate, error)) error {
	found, err := parse(f)
	if err != nil {
		return l.fatal(err)
	}
	dir := filepath.Dir(l.path)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	checked := make(map[string]string) // folder → where it really is
	for i := range found {
		c := &found[i]
		c.list = l
		if err := r.placeOwn(c, dir, real, checked); err != nil {
			return l.fatal(&rowError{int(c.line), "column path", err})
		}
		if c.Split == "" {
			c.Split = r.opt.Split
		}
	}
	return r.add(found...)
}

// placeOwn makes the path of a row absolute.
func (r *reader) placeOwn(c *candidate, dir, real string, checked map[string]string) error {
	if r.opt.AllowOutside {
		if !filepath.IsAbs(c.Path) {
			c.Path = filepath.Join(dir, c.Path)
		}
		c.Path = filepath.Clean(c.Path)
		return nil
	}
	if !filepath.IsLocal(c.Path) {
		return fmt.Errorf("%q leaves the manifest's folder: "+
			"allow outside paths if you trust it", c.Path)
	}
	c.Path = filepath.Join(dir, c.Path)
	return checkInside(real, c.Path, checked)
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

// checkLabelColumns refuses a row or header that has both ways to write labels.
func checkLabelColumns(columns []string) error {
	if slices.Contains(columns, "label") && slices.Contains(columns, "labels") {
		return errors.New("label and labels at once: use label for one class as it is, " +
			"labels for several")
	}
	return nil
}
