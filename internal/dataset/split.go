package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"

	"avjepa/internal/rng"
)

// fingerprint returns a hash of a file's size and its first and last 64 KiB: the
// same for copies under other names, and cheap for long videos. A file that
// cannot be read has the hash of its path.
func fingerprint(path string) string {
	const part = 64 << 10
	h := sha256.New()
	sum := func() string { return hex.EncodeToString(h.Sum(nil)[:16]) }
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var st os.FileInfo
		if st, err = f.Stat(); err == nil && st.Mode().IsRegular() {
			size := st.Size()
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], uint64(size))
			h.Write(word[:])
			_, err = io.Copy(h, io.NewSectionReader(f, 0, part))
			if err == nil && size > part {
				_, err = io.Copy(h, io.NewSectionReader(f, max(part, size-part), part))
			}
			if err == nil {
				return sum()
			}
		}
	}
	h.Reset()
	io.WriteString(h, "path:"+path)
	return sum()
}

// drawSplit draws the split of a source from its group or its content, so that all
// its clips, and copies of it, are on the same side in every ingest with the same seed.
func drawSplit(seed uint64, source string, valFraction float64) string {
	if rng.New(seed, "split", source).Float64() < valFraction {
		return "val"
	}
	return "train"
}
