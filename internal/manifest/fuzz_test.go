package manifest

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// FuzzCSV: whatever the manifest, the parser ends, and every row it accepts obeys
// the bounds that later code relies on.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"", "path\n", "path,label\na.mp4,dog\n", "\xEF\xBB\xBFpath,label\r\na,\"b,c\"\r\n",
		"path,start,end,key,split,label\na,1,2,k,train,l\n", "path\n\"\n", "path,label\na\n",
		"path,start\na,1e309\na,-0\na,0x1p-2\n", "label,path\n\xff,a\n", "path,key\na,b/../c\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rows, err := readCSV(bytes.NewReader(text))
		if err != nil {
			return
		}
		for i := range rows {
			c := &rows[i]
			if c.Path == "" || len(c.Path) > maxPathBytes || strings.Contains(c.Path, "\x00") {
				t.Errorf("path %q", c.Path)
			}
			if CheckLabels(c.Labels) != nil || CheckSplit(c.Split) != nil {
				t.Errorf("labels %q, split %q", c.Labels, c.Split)
			}
			if !(c.Start >= 0 && c.Start <= MaxSeconds) || c.End != 0 && !(c.End > c.Start) ||
				math.IsInf(c.End, 0) {
				t.Errorf("from %v to %v", c.Start, c.End)
			}
			key := c.Key
			if key == "" {
				key = autoKey(c, true)
			}
			if err := CheckKey(key); err != nil {
				t.Error(err)
			}
		}
	})
}
