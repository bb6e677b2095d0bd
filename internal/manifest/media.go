package manifest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// mediaIndex finds the file of a clip by its name. It is made by one walk of the
// media folders.
type mediaIndex struct {
	roots   []string // as given, absolute
	real    []string // with links resolved
	outside bool     // links may lead out of the folders

	dirs    []mediaDir
	lastDir string // of dirs, relative to its root
	exts    []string
	extAt   map[string]int32
	files   []mediaFile
	first   map[string]int32 // name without extension → its last file, then next
}

type mediaDir struct {
	path  string // absolute
	root  int32
	depth int32 // below the root
}

// mediaFile is a file without its name, which is the key in mediaIndex.first: sets
// have millions.
type mediaFile struct {
	dir, ext, next int32 // next −1 = the last of that name
	link           bool
}

// videoExts and soundExts decide between files that differ only in extension. What
// is in neither comes between.
var (
	videoExts = []string{".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v", ".flv", ".mpg", ".mpeg",
		".ts", ".3gp", ".wmv", ".ogv"}
	soundExts = []string{".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".wma", ".aif",
		".aiff", ".mka"}
)

// indexMedia walks the folders. Links that leave them are passed over.
func indexMedia(folders []string, outside bool) (*mediaIndex, error) {
	m := newMediaIndex(outside)
	for _, root := range folders {
		w := &walker{root: root, outside: outside}
		w.leaves = func(string, error) error { return nil }
		w.visit = func(rel, name string, link bool) error { return m.add(root, rel, name, link) }
		m.roots = append(m.roots, root)
		if err := w.run(); err != nil {
			return nil, err
		}
		m.real = append(m.real, w.real)
	}
	return m, nil
}

func newMediaIndex(outside bool) *mediaIndex {
	return &mediaIndex{outside: outside, first: make(map[string]int32), extAt: make(map[string]int32)}
}

// add takes up a file of the folder rel below the root that came last. Files of a
// folder come together.
func (m *mediaIndex) add(root, rel, name string, link bool) error {
	last := len(m.dirs) - 1
	if last < 0 || rel != m.lastDir || int(m.dirs[last].root) != len(m.roots)-1 {
		depth := 0
		if rel != "" {
			depth = 1 + strings.Count(rel, "/")
		}
		m.lastDir = rel
		m.dirs = append(m.dirs, mediaDir{filepath.Join(root, rel),
			int32(len(m.roots) - 1), int32(depth)})
	}
	if len(m.files) == 2*MaxClips {
		return fmt.Errorf("manifest: %s: %w: more than %d files in the media folders",
			root, ErrManifest, 2*MaxClips)
	}
	ext := filepath.Ext(name)
	stem := name[:len(name)-len(ext)]
	at, ok := m.extAt[ext]
	if !ok {
		ext = strings.Clone(ext)
		at = int32(len(m.exts))
		m.extAt[ext], m.exts = at, append(m.exts, ext)
	}
	next, ok := m.first[stem]
	if !ok {
		next = -1
	}
	m.first[stem] = int32(len(m.files))
	m.files = append(m.files, mediaFile{int32(len(m.dirs) - 1), at, next, link})
	return nil
}

// path returns the absolute path of file i, whose name begins with stem.
func (m *mediaIndex) path(i int32, stem []byte) string {
	f := m.files[i]
	return m.dirs[f.dir].path + string(filepath.Separator) + string(stem) + m.exts[f.ext]
}

// rank is the place of an extension among those of one name.
func rank(ext string) int {
	ext = strings.ToLower(ext)
	if i := slices.Index(videoExts, ext); i >= 0 {
		return i
	}
	if i := slices.Index(soundExts, ext); i >= 0 {
		return 1000 + i
	}
	return 500
}

// better says which of two files of one name is taken: a film before sound alone,
// then the earlier media folder, the less deep one, the one first in the alphabet.
func (m *mediaIndex) better(a, b int32) bool {
	x, y := m.files[a], m.files[b]
	if p, q := rank(m.exts[x.ext]), rank(m.exts[y.ext]); p != q {
		return p < q
	}
	d, e := &m.dirs[x.dir], &m.dirs[y.dir]
	switch {
	case d.root != e.root:
		return d.root < e.root
	case d.depth != e.depth:
		return d.depth < e.depth
	case d.path != e.path:
		return d.path < e.path
	}
	return m.exts[x.ext] < m.exts[y.ext]
}
