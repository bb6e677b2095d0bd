package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxLabelBytes = 4096
	maxLabels     = 1000 // of one clip
	// Labels of a clip, all escaped as JSON, leave room in a line of an index.
	maxLabelsBytes = 8 << 10
)

// CheckLabel accepts UTF-8 text on one line.
func CheckLabel(s string) error {
	if len(s) > maxLabelBytes {
		return fmt.Errorf("label of %d bytes, at most %d", len(s), maxLabelBytes)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return fmt.Errorf("label %.80q is not plain UTF-8 text", s)
	}
	return nil
}

// CheckLabels accepts the labels of one clip: few, not empty, each once.
func CheckLabels(labels []string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%d labels, at most %d", len(labels), maxLabels)
	}
	bytes := 0
	for i, l := range labels {
		if err := CheckLabel(l); err != nil {
			return err
		}
		if bytes += len(l); bytes > maxLabelsBytes {
			return fmt.Errorf("labels of more than %d bytes", maxLabelsBytes)
		}
		if l == "" {
			return errors.New("empty label")
		}
		if slices.Contains(labels[:i], l) {
			return fmt.Errorf("label %q for the second time", l)
		}
	}
	return nil
}

// CheckSplit accepts "" and short names.
func CheckSplit(s string) error {
	if len(s) > 32 {
		return fmt.Errorf("split %.40q… is longer than 32 bytes", s)
	}
	for i := range len(s) {
		if !wordByte(s[i]) {
			return fmt.Errorf("split %q: use letters, digits, - and _", s)
		}
	}
	return nil
}
