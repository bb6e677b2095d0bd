package manifest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxDepth bounds folders in folders.
const maxDepth = 32

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
	".m3u": true, ".m3u8": true, ".pls": true, ".mpd": true, ".sdp": true,
}

// readTree lists the files below root. Links are followed where they stay below
// root; a link that leaves it is an error unless opt allows it.
func readTree(root string, opt Options) ([]candidate, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w: %w", ErrNoSource, err)
	}
	t := tree{root: root, real: real, opt: opt}
	if err := t.walk("", real, 0); err != nil {
		return nil, err
	}
	return t.found, nil
}

type tree struct {
	root, real string
	opt        Options
	open       []string // real paths of the folders being walked, against cycles
	found      []candidate
}

// walk adds the files of the folder with path rel below root, whose real path is
// real.
func (t *tree) walk(rel, real string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("manifest: %s: %w: folders nested more than %d deep",
			filepath.Join(t.root, rel), ErrManifest, maxDepth)
	}
	for _, o := range t.open {
		if o == real {
			return nil // a link to a folder that we are in
		}
	}
	t.open = append(t.open, real)
	defer func() { t.open = t.open[:len(t.open)-1] }()
	items, err := os.ReadDir(real)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	for _, item := range items {
		name := item.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		below := path.Join(rel, name)
		target, mode := filepath.Join(real, name), item.Type()
		if mode&fs.ModeSymlink != 0 {
			inside := t.real
			if t.opt.AllowOutside {
				inside = ""
			}
			full := filepath.Join(t.root, below)
			if target, err = resolveInside(inside, target); err != nil {
				return fmt.Errorf("manifest: %s: %w: %w", full, ErrManifest, err)
			}
			st, err := os.Stat(target)
			if err != nil {
				continue // a dangling link is no file
			}
			mode = st.Mode().Type()
		}
		switch {
		case mode.IsDir():
			if err := t.walk(below, target, depth+1); err != nil {
				return err
			}
		case mode.IsRegular() && !notMedia[strings.ToLower(path.Ext(name))]:
			var labels []string
			if dir, _, ok := strings.Cut(below, "/"); ok {
				labels = []string{dir}
			}
			if err := CheckLabel(strings.Join(labels, "")); err != nil {
				return fmt.Errorf("manifest: %s: %w: the folder's name is the label: %w",
					filepath.Join(t.root, below), ErrManifest, err)
			}
			t.found = append(t.found, candidate{
				Entry: Entry{Path: filepath.Join(t.root, below), Labels: labels},
				rel:   below,
			})
		}
	}
	return nil
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
