package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// input is a file that children read. It is opened once: what was found to be a
// regular file is what they get, whatever its name may stand for by then.
type input struct{ file *os.File }

// openInput opens a file, or gives the FileError of something that cannot hold a
// clip. It does not wait: a FIFO that takes the place of a file between the two
// looks at it is refused like one that was there before.
func openInput(path string) (*input, error) {
	if strings.ContainsRune(path, 0) {
		return nil, &FileError{Unreadable, "the name holds a zero byte"}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	// Opening a device may move it, so a look comes first.
	info, err := os.Stat(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &FileError{Missing, "no such file"}
	}
	if err != nil {
		return nil, &FileError{Unreadable, err.Error()}
	}
	if broken := unlikeFile(info); broken != nil {
		return nil, broken
	}
	return openChecked(abs)
}

// openChecked opens what was a regular file a moment ago.
func openChecked(abs string) (*input, error) {
	file, err := os.OpenFile(abs, os.O_RDONLY|dontWait, 0)
	if err != nil {
		return nil, &FileError{Unreadable, err.Error()}
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, &FileError{Unreadable, err.Error()}
	}
	if broken := unlikeFile(info); broken != nil {
		file.Close()
		return nil, broken
	}
	return &input{file}, nil
}

// unlikeFile returns nil for a regular file with something in it.
func unlikeFile(info os.FileInfo) *FileError {
	switch {
	case info.IsDir():
		return &FileError{Unreadable, "a folder, not a file"}
	case !info.Mode().IsRegular():
		return &FileError{Unreadable, "not a regular file but " + info.Mode().Type().String()}
	case info.Size() == 0:
		return &FileError{Empty, "0 bytes"}
	}
	return nil
}

func (in *input) close() { in.file.Close() }

// isSound reports whether the file begins like one of a format for sound. It may hold a
// picture all the same: the description tells.
func (in *input) isSound() bool {
	head := make([]byte, 36)
	n, _ := in.file.ReadAt(head, 0)
	at := func(i int, texts ...string) bool {
		return slices.ContainsFunc(texts, func(s string) bool {
			return n >= i+len(s) && string(head[i:i+len(s)]) == s
		})
	}
	return at(0, "RIFF", "RF64") && at(8, "WAVE") ||
		at(0, "FORM") && at(8, "AIFF", "AIFC") ||
		at(0, "OggS") && at(28, "\x01vorbis", "OpusHead", "\x7fFLAC") ||
		at(4, "ftypM4A") ||
		at(0, "fLaC", "ID3", ".snd", "caff",
			"\xff\xfb", "\xff\xfa", "\xff\xf3", "\xff\xf2") // MPEG layer III
}
