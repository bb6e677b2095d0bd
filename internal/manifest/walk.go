package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	maxDepth   = 32      // folders in folders
	maxFolders = 4 << 20 // links can lead into one folder in ever more ways
	dirBatch   = 4096    // names read at a time
)

// notMedia are extensions of files that lie beside media and are none. Files
// with any other extension are tried: the content decides.
var notMedia = map[string]bool{
	".csv": true, ".tsv": true, ".json": true, ".jsonl": true, ".txt": true, ".md": true,
	".xml": true, ".html": true, ".htm": true, ".yaml": true, ".yml": true, ".toml": true,
	".log": true, ".pdf": true, ".srt": true, ".vtt": true, ".ass": true, ".lrc": true,
	".jpg": true, ".jpeg": true, ".png": true, ".webp": true, ".bmp": true, ".tif": true,
	".tiff": true, ".svg": true, ".ico": true, ".psd": true, ".npy": true, ".npz": true,
	".pt": true, ".pth": true, ".pkl": true, ".h5": true, ".safetensors": true,
	".zip": true, ".tar": true, ".gz": true, ".tgz": true, ".xz": true, ".zst": true,
	".7z": true, ".rar": true, ".bz2": true, ".part": true, ".tmp": true, ".lock": true,
	".py": true, ".sh": true, ".go": true, ".js": true, ".ini": true, ".db": true,
	".m3u": true, ".m3u8": true, ".pls": true, ".mpd": true, ".sdp": true, ".ytdl": true,
	".ndjson": true,
}

// walker visits the files below a folder that are not known to be something else
// than media. Names that begin with a dot are passed over. Links to folders are
// followed where they stay below root, or anywhere with outside.
type walker struct {
	root, real string // as given, and with its links resolved
	outside    bool

	// visit gets the folder of a file, relative to root and with slashes, and the
	// file's name there; files of a folder come together, in no order.
	visit func(rel, name string, link bool) error
	// leaves gets a link to a folder that is not followed.
	leaves func(full string, err error) error

	open    []string // real paths of the folders being walked, against cycles
	folders int
}

func (w *walker) run() error {
	var err error
	if w.real, err = filepath.EvalSymlinks(w.root); err != nil {
		return fmt.Errorf("manifest: %w: %w", ErrNoSource, err)
	}
	return w.walk("", w.real)
}

// inside is the folder that links may not leave, "" when they may.
func (w *walker) inside() string {
	if w.outside {
		return ""
	}
	return w.real
}

// walk visits the folder with path rel below root, whose real path is real.
func (w *walker) walk(rel, real string) error {
	for _, o := range w.open {
		if o == real {
			return nil // a link to a folder that we are in
		}
	}
	if w.folders++; len(w.open) > maxDepth || w.folders > maxFolders {
		return fmt.Errorf("manifest: %s: %w: folders nested more than %d deep, or more than %d of "+
			"them, counted anew through every link", filepath.Join(w.root, rel), ErrManifest,
			maxDepth, maxFolders)
	}
	w.open = append(w.open, real)
	defer func() { w.open = w.open[:len(w.open)-1] }()
	f, err := os.Open(real)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	var deeper []fs.DirEntry
	for err == nil {
		var items []fs.DirEntry
		items, err = f.ReadDir(dirBatch)
		for _, item := range items {
			name, mode := item.Name(), item.Type()
			link := mode&fs.ModeSymlink != 0
			if strings.HasPrefix(name, ".") {
				continue
			}
			if link {
				st, err := os.Stat(filepath.Join(real, name))
				if err != nil {
					continue // a dangling link is no file
				}
				mode = st.Mode().Type()
			}
			if mode.IsDir() {
				deeper = append(deeper, item)
			} else if mode.IsRegular() && !notMedia[lowerExt(name)] {
				if err := w.visit(rel, name, link); err != nil {
					f.Close()
					return err
				}
			}
		}
	}
	f.Close()
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("manifest: %w", err)
	}
	for _, item := range deeper {
		if err := w.enter(path.Join(rel, item.Name()), filepath.Join(real, item.Name()),
			item.Type()&fs.ModeSymlink != 0); err != nil {
			return err
		}
	}
	return nil
}

// enter walks a folder, or one that a link leads to.
func (w *walker) enter(rel, name string, link bool) error {
	if link {
		target, err := resolveInside(w.inside(), name)
		if err != nil {
			return w.leaves(filepath.Join(w.root, rel), err)
		}
		name = target
	}
	return w.walk(rel, name)
}

// lowerExt returns the extension of a name in lower case.
func lowerExt(name string) string {
	ext := path.Ext(name)
	for i := range len(ext) {
		if c := ext[i]; 'A' <= c && c <= 'Z' {
			return strings.ToLower(ext)
		}
	}
	return ext
}

// resolveInside follows the links of name and returns the real path. When root
// is not empty the result must lie below it. A file that does not exist is
// resolved as far as it exists.
func resolveInside(root, name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		// The part that exists decides where the rest would be.
		parent := filepath.Dir(name)
		if parent == name {
			return "", err
		}
		if link, lerr := os.Readlink(name); lerr == nil {
			if !filepath.IsAbs(link) {
				link = filepath.Join(parent, link)
			}
			real = filepath.Clean(link) // dangling
		} else {
			p, perr := resolveInside(root, parent)
			if perr != nil {
				return "", perr
			}
			real = filepath.Join(p, filepath.Base(name))
		}
	}
	if root != "" && real != root &&
		!strings.HasPrefix(real, strings.TrimSuffix(root, "/")+string(filepath.Separator)) {
		return "", fmt.Errorf("leads to %s, outside %s: allow outside paths if you trust it",
			real, root)
	}
	return real, nil
}
