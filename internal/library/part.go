package library

import (
	"fmt"
	"regexp"
	"strconv"
)

// fragment ends the key of a part of a file: a media fragment, in seconds.
var fragment = regexp.MustCompile(`^(.+)#t=([0-9]{1,6}(?:\.[0-9]{1,3})?),([0-9]{1,6}(?:\.[0-9]{1,3})?)$`)

// PartKey returns the key of the part of a file from start to end, in seconds, which are
// kept to the millisecond: video.mp4#t=10,20.
func PartKey(path string, start, end float64) string {
	number := func(s float64) string {
		v, _ := strconv.ParseFloat(strconv.FormatFloat(s, 'f', 3, 64), 64)
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprintf("%s#t=%s,%s", path, number(start), number(end))
}

// SplitKey returns the file of a key and which part of it the key is of; an end of 0: all
// of it.
func SplitKey(key string) (path string, start, end float64) {
	m := fragment.FindStringSubmatch(key)
	if m == nil {
		return key, 0, 0
	}
	start, _ = strconv.ParseFloat(m[2], 64) // digits alone
	end, _ = strconv.ParseFloat(m[3], 64)
	if !(end > start) {
		return key, 0, 0
	}
	return m[1], start, end
}

// Part returns the file of a clip that is in no data set, and which part of it the clip
// is; an end of 0: all of it.
func (c *Clip) Part() (path string, start, end float64) {
	if c.Data != "" {
		return c.Key, 0, 0
	}
	return SplitKey(c.Key)
}
