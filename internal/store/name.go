package store

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName    = 900 // bytes: S3 has 1024, the location's prefix among them
	maxElement = 200 // bytes between slashes: file systems have 255, temporary names among them
)

// CheckName returns an error, ErrName, unless name can name an object of any kind of
// store: a relative slash path of at most 900 bytes in UTF-8 without control characters
// and backslashes. Its elements have 1 to 200 bytes and do not end in a dot: "." and ".."
// lead elsewhere, Windows drops the last dot of others, and gocloud writes "a../b" as
// another key.
func CheckName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%w: %.80q %s", ErrName, name, why) }
	switch {
	case len(name) > maxName:
		return bad(fmt.Sprintf("has %d bytes: at most %d", len(name), maxName))
	case !utf8.ValidString(name):
		return bad("is not UTF-8")
	case name == "." || !fs.ValidPath(name):
		return bad(`is not a relative path without "..", "." and empty elements`)
	case strings.ContainsRune(name, '\\') || strings.ContainsFunc(name, unicode.IsControl):
		return bad("has a backslash or a control character")
	}
	for e := range strings.SplitSeq(name, "/") {
		if len(e) > maxElement {
			return bad(fmt.Sprintf("has an element of %d bytes: at most %d", len(e), maxElement))
		}
		if strings.HasSuffix(e, ".") {
			return bad("has an element that ends in a dot")
		}
	}
	return nil
}

// checkPrefix is CheckName for how names begin: nothing and a last slash are possible.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return CheckName(strings.TrimSuffix(prefix, "/"))
}
