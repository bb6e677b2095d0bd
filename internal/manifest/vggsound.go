package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
)

// vggSeconds is the length of every clip of VGGSound.
const vggSeconds = 10

// readVGGSound reads the lists of VGGSound, in either form that people have:
//
//	vggsound.csv             youtube_id,start_seconds,label,split
//	train.csv, test.csv      youtube_id_000030.mp4,label
//
// Labels are one class each, in quotes where they have commas. The first good row
// decides the form.
//
// Source: Chen et al. 2020 (arXiv:2004.14368) and the lists published with it.
func (r *reader) readVGGSound(l *listFile, f io.Reader) error {
	columns := 0
	return l.readRows(f, func(line int, fields [][]byte) error {
		n := len(fields)
		if columns == 0 && (n == 2 || n == 4) {
			columns = n
		}
		if n != columns {
			return &rowError{line, "", fmt.Errorf("%d fields, expected youtube_id,start,label,split "+
				"or youtube_id_000030.mp4,label; a label with commas stands in quotes", n)}
		}
		c := candidate{list: l, line: int32(line)}
		id, column, err := parseVGGRow(l, &c, fields)
		if err != nil {
			return &rowError{line, column, err}
		}
		key := fmt.Sprintf("%s_%06.0f", id, c.Start)
		c.Key, c.Group = key, key[:len(id)]
		c.End = c.Start + vggSeconds
		l.rows++
		l.media.place(&c, r.opt.WholeVideos)
		return r.add(c)
	})
}

// parseVGGRow sets start, labels and split of a row of two or four fields, and
// returns the name of the video.
func parseVGGRow(l *listFile, c *candidate, fields [][]byte) (id []byte, column string, err error) {
	label, split, start := fields[1], l.split, []byte(nil)
	if len(fields) == 4 {
		id, start, label, split = fields[0], fields[1], fields[2], string(fields[3])
	} else {
		name := fields[0][:len(fields[0])-len(path.Ext(string(fields[0])))]
		at := bytes.LastIndexByte(name, '_')
		if at < 0 || len(name)-at-1 < 6 {
			return nil, "column 1", fmt.Errorf("%.80q is not a name such as youtube_id_000030.mp4",
				fields[0])
		}
		id, start = name[:at], name[at+1:]
	}
	if err := checkID(id); err != nil {
		return nil, "column 1", err
	}
	seconds, err := strconv.ParseUint(string(start), 10, 32)
	if err != nil || seconds > MaxSeconds {
		return nil, "start", fmt.Errorf("%.40q is not a whole number of seconds up to %d",
			start, MaxSeconds)
	}
	c.Start = float64(seconds)
	if len(label) == 0 {
		return nil, "label", errors.New("empty")
	}
	if c.Labels, err = l.parseLabel(label); err != nil {
		return nil, "label", err
	}
	if c.Split, err = l.interned(split), CheckSplit(split); err != nil {
		return nil, "split", err
	}
	return id, "", nil
}
