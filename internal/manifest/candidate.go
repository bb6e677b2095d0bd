package manifest

import (
	"path/filepath"
	"strings"
)

// candidate is an entry that has no key yet, unless the list gave one.
type candidate struct {
	Entry
	rel  string    // slash-separated path that the key is made from
	list *listFile // nil for files of a folder
	line int32     // of the list
	byID bool      // the file has the name of the video alone
}

func (c *candidate) from() string {
	if c.list != nil {
		return c.list.from(c.line)
	}
	return c.Path
}

func (c *candidate) lenient() bool { return c.list != nil && c.list.lenient }

// autoKey derives the key of a candidate from its path; hashed tells apart
// sources that would otherwise share it.
func autoKey(c *candidate, hashed bool) string {
	key := keyFor(strings.TrimSuffix(c.rel, filepath.Ext(c.rel)))
	if hashed {
		key = withHash(key, c.Path)
	}
	if !c.Whole() {
		key = SegmentKey(key, c.Start)
	}
	return key
}

// chunks are candidates in blocks: millions of them in one slice would be copied, and
// twice in memory, whenever it grows.
type chunks struct{ blocks [][]candidate }

const chunkLen = 1 << 14

func (c *chunks) len() int {
	n := len(c.blocks)
	if n == 0 {
		return 0
	}
	return (n-1)*chunkLen + len(c.blocks[n-1])
}

func (c *chunks) at(i int) *candidate { return &c.blocks[i/chunkLen][i%chunkLen] }

func (c *chunks) add(found []candidate) {
	for len(found) > 0 {
		if n := len(c.blocks); n == 0 || len(c.blocks[n-1]) == chunkLen {
			c.blocks = append(c.blocks, make([]candidate, 0, min(chunkLen, max(64, len(found)))))
		}
		last := &c.blocks[len(c.blocks)-1]
		n := min(len(found), chunkLen-len(*last))
		*last = append(*last, found[:n]...)
		found = found[n:]
	}
}
