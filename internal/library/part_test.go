package library

import "testing"

func TestParts(t *testing.T) {
	for _, c := range []struct {
		key, path  string
		start, end float64
	}{
		{PartKey("/a/b.mp4", 10, 20), "/a/b.mp4", 10, 20},
		{PartKey("/a/b#t=1,2", 0, 7.3456), "/a/b#t=1,2", 0, 7.346},
		{"/a/b.mp4", "/a/b.mp4", 0, 0}, {"/a/b.mp4#t=20,10", "/a/b.mp4#t=20,10", 0, 0},
		{"/a/b.mp4#t=1e3,2e3", "/a/b.mp4#t=1e3,2e3", 0, 0}, {"#t=1,2", "#t=1,2", 0, 0},
		{"/a#t=1,NaN", "/a#t=1,NaN", 0, 0},
	} {
		path, start, end := SplitKey(c.key)
		if path != c.path || start != c.start || end != c.end {
			t.Errorf("%q is %q from %v to %v", c.key, path, start, end)
		}
	}
	if got := PartKey("x", 0, 10); got != "x#t=0,10" {
		t.Errorf("key %q", got)
	}
	in := Clip{Data: "set", Key: "x#t=0,10"}
	if path, _, end := in.Part(); path != in.Key || end != 0 {
		t.Errorf("a clip of a data set is a part of %q", path)
	}
}
