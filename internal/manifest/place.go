package manifest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// youtubeID is the length of YouTube's names of videos.
const youtubeID = 11

// find returns the best file whose name without extension is stem, −1 when there is
// none. A file whose full path is wanted goes before all others.
func (m *mediaIndex) find(stem []byte, wanted string) int32 {
	i, ok := m.first[string(stem)]
	if !ok || len(stem) == 0 {
		return -1
	}
	best := i
	for ; i >= 0; i = m.files[i].next {
		if wanted != "" && m.path(i, stem) == wanted {
			return i
		}
		if m.better(i, best) {
			best = i
		}
	}
	return best
}

// take sets the path of a clip if there is a file of that name.
func (m *mediaIndex) take(c *candidate, stem []byte, wanted string) bool {
	i := m.find(stem, wanted)
	if i < 0 {
		return false
	}
	full := m.path(i, stem)
	if m.files[i].link && !m.outside {
		if _, err := resolveInside(m.real[m.dirs[m.files[i].dir].root], full); err != nil {
			c.Missing = fmt.Sprintf("%s %v", filepath.Base(full), err)
			return false
		}
	}
	c.Path, c.Missing = full, ""
	return true
}

// takeEither is take for a name of YouTube's, which AudioSet's files often have a Y
// before. Names of another length may begin with a Y of their own.
func (m *mediaIndex) takeEither(c *candidate, stem []byte) bool {
	if m.take(c, stem, "") {
		return true
	}
	if len(c.Group) != youtubeID {
		return false
	}
	var room [2 * MaxKeyBytes]byte
	return m.take(c, append(append(room[:0], 'Y'), stem...), "")
}

func appendNumber(b []byte, n int64) []byte { return strconv.AppendInt(append(b, '_'), n, 10) }

// place sets the path of a clip that is named by its video, which is c.Group, and by
// its times: the first of these names that is there, each also with a Y before it,
//
//	key, id_start (six digits), id_start, id_startms_endms, id_start_end, id
//
// with any extension that could be media. The file is the clip, so the times are
// taken off; but with whole a file that has the video's name alone is the whole video.
func (m *mediaIndex) place(c *candidate, whole bool) {
	id := c.Group
	start, end := int64(c.Start), int64(c.End)
	startMS, endMS := milliseconds(c.Start), milliseconds(c.End)
	var room [2 * MaxKeyBytes]byte
	base := append(room[:0], id...)
	cut := m.takeEither(c, append(room[:0], c.Key...)) ||
		m.takeEither(c, fmt.Appendf(room[:0], "%s_%06d", id, start)) ||
		m.takeEither(c, appendNumber(base, start)) ||
		m.takeEither(c, appendNumber(appendNumber(base, startMS), endMS)) ||
		m.takeEither(c, appendNumber(appendNumber(base, start), end))
	found := cut
	if !cut && m.takeEither(c, base) {
		found, c.byID = true, true
	}
	if !whole || cut {
		c.Seconds, c.Start, c.End = c.End-c.Start, 0, 0
	}
	switch {
	case found:
	case whole:
		m.miss(c, id)
	default:
		m.miss(c, c.Key)
	}
}

// placePath sets the path of a clip for which a list names files, of the machine that
// the list was made on. A file in the media folders at that very place is taken
// first, then one with such a base name, then one that is named by the clip.
func (m *mediaIndex) placePath(c *candidate, video, sound string) {
	if m.takeListed(c, video) || m.takeEither(c, []byte(c.Key)) || m.takeListed(c, sound) {
		return
	}
	m.miss(c, c.Key)
}

func (m *mediaIndex) takeListed(c *candidate, name string) bool {
	stem := stemOf(name)
	if stem == "" {
		return false
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(m.roots[0], name)
	} else if m.outside {
		if st, err := os.Stat(name); err == nil && st.Mode().IsRegular() {
			c.Path, c.Missing = filepath.Clean(name), ""
			return true
		}
	}
	return m.take(c, []byte(stem), filepath.Clean(name))
}

// miss gives a clip without a file the path where it would be.
func (m *mediaIndex) miss(c *candidate, name string) {
	c.Path = filepath.Join(m.roots[0], name+".mp4")
	if c.Missing == "" {
		c.Missing = "no file of that name in the media folders"
	}
}
