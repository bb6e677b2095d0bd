package dataset_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"avjepa/internal/dataset"
)

func rebuild(t *testing.T, dir string) dataset.Rebuilt {
	t.Helper()
	r, err := dataset.Rebuild(t.Context(), dataset.RebuildConfig{Dir: dir, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// From the shards of a good set alone follows the same index, byte for byte.
func TestRebuildGivesTheSameIndex(t *testing.T) {
	dir := smallSet(t, 23)
	index, pairs := readAll(t, dir, "index.jsonl"), readAll(t, dir, "duplicates.csv")
	for _, name := range []string{"index.jsonl", "ledger.jsonl", "duplicates.csv", "dataset.json"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r := rebuild(t, dir)
	if r.Clips != 23 || len(r.Skipped) > 0 || r.Shards < 2 {
		t.Errorf("%+v", r)
	}
	if !bytes.Equal(readAll(t, dir, "index.jsonl"), index) {
		t.Error("another index")
	}
	if !bytes.Equal(readAll(t, dir, "duplicates.csv"), pairs) {
		t.Error("other duplicates")
	}
}

// member is a file, or something else, in a shard that another program writes.
type member struct {
	name string
	data []byte
	kind byte
	pax  map[string]string
	link string
}

// foreign writes a shard as Python's tarfile does: PAX, with fractions of seconds.
func foreign(t testing.TB, dir string, members ...member) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o444, Size: int64(len(m.data)), Typeflag: tar.TypeReg,
			Format: tar.FormatPAX, ModTime: time.Unix(1_700_000_000, 123456789), Uname: "bigdata",
			PAXRecords: m.pax, Linkname: m.link}
		if m.kind != 0 {
			h.Typeflag = m.kind
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeAll(t, b.Bytes(), dir, "shard-000000.tar")
	return dir
}

func picture(w, h int) []byte {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 7)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// sound is a WAV file of n samples at 8 kHz.
func sound(n int) []byte {
	b := []byte("RIFF----WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data")
	b = append(b, byte(2*n), byte(2*n>>8), byte(2*n>>16), 0)
	for i := range n {
		b = append(b, byte(i*37), byte(i*11))
	}
	return b
}

// clipOf are the members of a good clip as webdataset's TarWriter has them: sorted.
func clipOf(key, info string) []member {
	return []member{{name: key + ".0000.jpg", data: picture(40, 32)},
		{name: key + ".0001.jpg", data: picture(40, 32)},
		{name: key + ".json", data: []byte(info)}, {name: key + ".wav", data: sound(4000)}}
}

// A tar that another program wrote, in our layout, becomes a set that can be read.
func TestRebuildFromForeignShards(t *testing.T) {
	dir := foreign(t, t.TempDir(), append(clipOf("dog/a", `{"split":"val","fps":4,"labels":["dog"],"x":{"y":1}}`),
		member{name: "b.json", data: []byte(`{"key":"b","split":"train","seconds":0.5}`)},
		member{name: "b.wav", data: sound(4000)})...)
	if r := rebuild(t, dir); r.Clips != 2 || len(r.Skipped) > 0 {
		t.Fatalf("%+v", r)
	}
	set, err := dataset.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var c dataset.Clip
	if err := set.Read(context.Background(), 1, &c); err != nil {
		t.Fatal(err)
	}
	if c.Key != "dog/a" || c.Labels[0] != "dog" || c.Split != "val" || c.Width != 40 || c.Height != 32 ||
		c.SampleRateHz != 8000 || len(c.Samples) != 4000 || len(c.Frames) != 2 || c.Seconds != .5 ||
		!c.Still || c.Silent || !bytes.Equal(c.Frames[1], picture(40, 32)) {
		t.Errorf("%+v", c.Info)
	}
	if v := verify(t, dir, true); len(v.Faults) > 0 || v.Ledger {
		t.Errorf("%+v", v)
	}
}

// Whatever a shard holds beside good clips is skipped with a reason, and they are kept.
func TestRebuildSkipsWhatIsNoClip(t *testing.T) {
	const info = `{"split":"train","fps":4}`
	one := func(name, data string) []member { return []member{{name: name, data: []byte(data)}} }
	many := func(lists ...[]member) (all []member) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	x := clipOf("x", info)
	for name, c := range map[string]struct {
		bad  []member
		want string
	}{
		"dots":             {one("../../etc/passwd", "x"), "does not begin with a key"},
		"absolute":         {one("/etc/passwd", "x"), "does not begin with a key"},
		"link":             {[]member{{name: "l.json", kind: tar.TypeSymlink, link: "/etc/passwd"}}, "only regular files"},
		"hard link":        {[]member{{name: "l.json", kind: tar.TypeLink, link: "y.json"}}, "only regular files"},
		"device":           {[]member{{name: "d.json", kind: tar.TypeChar}}, "only regular files"},
		"folder":           {[]member{{name: "d/", kind: tar.TypeDir}}, "only regular files"},
		"long name":        {one(strings.Repeat("n", 150)+".json", "{}"), "PAX record"},
		"PAX of its own":   {[]member{{name: "p.json", data: []byte("{}"), pax: map[string]string{"SCHILY.xattr.a": "b"}}}, "PAX record"},
		"no JSON":          {many(x[:2], x[3:]), "no x.json"},
		"no frames, sound": {x[2:3], "neither frames nor samples"},
		"interleaved":      {many(x[2:3], clipOf("w", info), x[:2], x[3:]), "no x.json"},
		"key twice":        {many(clipOf("w", info), one("v.txt", "t"), clipOf("w", info)), "second time"},
		"member twice":     {many(x, x[3:]), "does not belong"},
		"frame missing":    {x[1:], "does not belong"},
		"strange member":   {many(x, one("x.txt", "t")), "does not belong"},
		"JSON of another":  {clipOf("x", `{"key":"z","split":"train","fps":4}`), `JSON of key`},
		"no JSON at all":   {clipOf("x", "[1"), "JSON"},
		"frames that lie":  {clipOf("x", `{"split":"train","fps":4,"frames":3}`), "frames 3"},
		"sides that lie":   {clipOf("x", `{"split":"train","fps":4,"width":41}`), "width 41"},
		"samples that lie": {clipOf("x", `{"split":"train","fps":4,"samples":4001}`), "samples 4001"},
		"rate that lies":   {clipOf("x", `{"split":"train","fps":4,"sample_rate":16000}`), "sample_rate"},
		"length that lies": {clipOf("x", `{"split":"train","fps":4,"seconds":9}`), "9 s"},
		"no fps":           {clipOf("x", `{"split":"train"}`), "per second"},
		"path as a split":  {clipOf("x", `{"split":"../a","fps":4}`), "split"},
		"no JPEG":          {many(x[:1], one("x.0001.jpg", "not a picture"), x[2:]), "frame 1"},
		"another size":     {many(x[:1], []member{{name: "x.0001.jpg", data: picture(8, 8)}}, x[2:]), "8×8"},
		"no WAV":           {many(x[:3], one("x.wav", "not a sound")), "wav"},
	} {
		dir := foreign(t, t.TempDir(), many(clipOf("a", info), c.bad, clipOf("y", info))...)
		r := rebuild(t, dir)
		text := fmt.Sprint(r.Skipped)
		if !strings.Contains(text, c.want) {
			t.Errorf("%s: skipped %.300s, want %q", name, text, c.want)
		}
		set, err := dataset.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		keys := ""
		for i := range set.Len() {
			if keys += set.Info(i).Key + " "; set.Read(t.Context(), i, new(dataset.Clip)) != nil {
				t.Errorf("%s: clip %s cannot be read", name, set.Info(i).Key)
			}
		}
		if strings.Trim(keys, "aw y") != "" || !strings.HasPrefix(keys, "a ") || !strings.HasSuffix(keys, "y ") {
			t.Errorf("%s: kept %s", name, keys)
		}
	}
}

// A shard that is damaged anywhere gives up the clips that the damage is in, and no more.
func TestRebuildFromDamagedShard(t *testing.T) {
	dir := smallSet(t, 10)
	shard := glob(t, dir)[0]
	good := readAll(t, shard)
	whole := rebuild(t, dir).Clips
	for at := 0; at < len(good); at += len(good)/40 + 1 {
		bad := bytes.Clone(good)
		for i := range bad[at:min(len(bad), at+600)] {
			bad[at+i] ^= 0x5a
		}
		writeAll(t, bad, shard)
		if n := rebuild(t, dir).Clips; n < whole-2 || n > whole {
			t.Errorf("600 bytes at %d: %d clips of %d", at, n, whole)
		}
		writeAll(t, good[:at], shard)
		if r := rebuild(t, dir); r.Clips > whole {
			t.Errorf("cut at %d: %d clips", at, r.Clips)
		}
	}
}

func TestRebuildRefuses(t *testing.T) {
	empty := t.TempDir()
	if _, err := dataset.Rebuild(t.Context(), dataset.RebuildConfig{Dir: empty}); !errors.Is(err, dataset.ErrNotDataset) {
		t.Errorf("no shards: %v", err)
	}
	dir := foreign(t, t.TempDir(), member{name: "a.txt", data: []byte("x")})
	writeAll(t, []byte("before\n"), dir, "index.jsonl")
	if _, err := dataset.Rebuild(t.Context(), dataset.RebuildConfig{Dir: dir}); !errors.Is(err, dataset.ErrNoClips) {
		t.Errorf("no clips: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dataset.Rebuild(ctx, dataset.RebuildConfig{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if got := readAll(t, dir, "index.jsonl"); string(got) != "before\n" {
		t.Errorf("the index was touched: %q", got)
	}
}
