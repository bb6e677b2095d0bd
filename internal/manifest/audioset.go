package manifest

import (
	"errors"
	"fmt"
	"io"
	"math"
)

// readAudioSet reads the segments lists of AudioSet: lines that begin with '#', then
//
//	YTID, start_seconds, end_seconds, "/m/068hy,/m/07q6cd_"
//
// The order of a clip's labels is that of the row.
//
// Source: Gemmeke et al. 2017 and the lists published with it.
func (r *reader) readAudioSet(l *listFile, f io.Reader) error {
	return l.readRows(f, func(line int, fields [][]byte) error {
		if len(fields) != 4 {
			return &rowError{line, "", fmt.Errorf("%d fields, expected "+
				`YTID, start, end, "/m/a,/m/b" with the labels in quotes`, len(fields))}
		}
		c := candidate{list: l, line: int32(line)}
		c.Split = l.split
		id := fields[0]
		if err := checkID(id); err != nil {
			return &rowError{line, "YTID", err}
		}
		var err error
		if c.Start, err = parseSeconds(string(fields[1])); err != nil {
			return &rowError{line, "start_seconds", err}
		}
		if c.End, err = parseSeconds(string(fields[2])); err == nil && c.End == 0 {
			err = errors.New("no time")
		}
		if err == nil {
			err = c.checkTimes()
		}
		if err != nil {
			return &rowError{line, "end_seconds", err}
		}
		if c.Labels, err = l.parseLabels(fields[3]); err != nil {
			return &rowError{line, "positive_labels", err}
		}
		var room [2 * MaxKeyBytes]byte
		key := string(appendNumber(appendNumber(append(room[:0], id...),
			milliseconds(c.Start)), milliseconds(c.End)))
		c.Key, c.Group = key, key[:len(id)]
		l.rows++
		l.media.place(&c, r.opt.WholeVideos)
		return r.add(c)
	})
}

// milliseconds rounds as Python's round does, which the published keys are made with.
func milliseconds(seconds float64) int64 { return int64(math.RoundToEven(seconds * 1000)) }
