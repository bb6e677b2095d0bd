package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path"
	"strings"
)

// A key names a clip for good: in shards, seeds and results. It consists of
// letters, digits, '-', '_' and '/' so that WebDataset, which splits a member
// name at the first dot, file systems and tar agree on it, and is short enough
// for the 100 bytes of a plain tar header with ".0000.jpg" behind it.
const (
	MaxKeyBytes  = 90
	MaxBaseBytes = MaxKeyBytes - len("_00000000") // leaves room for a start time
)

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '_'
}

// CheckKey returns an error that says what is wrong with a key.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKeyBytes {
		return fmt.Errorf("key %.100q has %d bytes: 1 to %d are allowed",
			key, len(key), MaxKeyBytes)
	}
	for i := range len(key) {
		if c := key[i]; !wordByte(c) && c != '/' {
			return fmt.Errorf("key %q: %q is not allowed (letters, digits, -, _, /)", key, c)
		}
	}
	if path.Clean(key) != key || key[0] == '/' {
		return fmt.Errorf("key %q: empty path element", key)
	}
	return nil
}

// keyFor makes a key from a slash-separated relative path without extension.
// When a character had to be replaced or the path cut, the key ends in a hash
// of the path, so that it does not depend on which other files there are.
func keyFor(rel string) string {
	b := []byte(strings.Trim(path.Clean(rel), "/"))
	lossy := len(b) == 0
	for i, c := range b {
		if !wordByte(c) && c != '/' {
			b[i], lossy = '_', true
		}
	}
	if len(b) > MaxBaseBytes {
		lossy = true
	}
	if !lossy {
		return string(b)
	}
	return withHash(string(b), rel)
}

// withHash appends 8 hex digits of a hash of what to key.
func withHash(key, what string) string {
	sum := sha256.Sum256([]byte(what))
	const tail = 1 + 8
	if len(key) > MaxBaseBytes-tail {
		key = strings.TrimRight(key[:MaxBaseBytes-tail], "/")
	}
	return key + "-" + hex.EncodeToString(sum[:4])
}

// SegmentKey is the key of the part of a source that begins at start seconds.
func SegmentKey(base string, start float64) string {
	return fmt.Sprintf("%s_%08d", base, int64(math.Round(start*1000)))
}
