package server_test

import (
	"context"
	"encoding/csv"
	"net/http"
	"strings"
	"testing"

	"avjepa/internal/media"
	"avjepa/internal/server"
	"avjepa/internal/server/servertest"
)

// TestDuplicates walks through the pairs, page by page.
func TestDuplicates(t *testing.T) {
	_, web := open(t, nil)
	_, text := get(t, web, "/v1/duplicates")
	all := parse[server.PairPage](t, text)
	if len(all.Items) != 3 || all.Total != 3 || all.Next != "" || all.Items[0].Clips[0].ID != "c00023" ||
		all.Items[0].Clips[1].ID != "c00031" || all.Items[0].Picture != .015 {
		t.Fatalf("%s", text)
	}
	var ids []string
	for path := "/v1/duplicates?limit=2"; path != ""; {
		res, text := get(t, web, path)
		page := parse[server.PairPage](t, text)
		for _, p := range page.Items {
			ids = append(ids, p.Clips[1].ID)
		}
		if path = ""; page.Next != "" {
			path = "/v1/duplicates?limit=2&cursor=" + page.Next
			if !strings.Contains(res.Header.Get("Link"), `rel="next"`) {
				t.Error("no Link to the next page")
			}
		}
	}
	if strings.Join(ids, " ") != "c00031 c00071 c00111" {
		t.Errorf("by pages: %v", ids)
	}
	_, text = get(t, web, "/v1/duplicates?clip=c00063")
	if one := parse[server.PairPage](t, text); len(one.Items) != 1 || one.Items[0].Clips[1].ID != "c00071" {
		t.Errorf("of one clip: %s", text)
	}
	for path, status := range map[string]int{"?clip=nobody": 404, "?limit=201": 400, "?cursor=zzz": 400, "?x=1": 400} {
		if res, _ := get(t, web, "/v1/duplicates"+path); res.StatusCode != status {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// TestCSV reads the tables as a program does, and looks for cells that a spreadsheet would
// run.
func TestCSV(t *testing.T) {
	_, web := open(t, nil)
	read := func(path string) [][]string {
		res, text := get(t, web, path)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/csv; charset=utf-8" ||
			!strings.HasPrefix(res.Header.Get("Content-Disposition"), "attachment; ") {
			t.Fatalf("%s: %s %v", path, res.Status, res.Header)
		}
		rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return rows
	}
	rows := read("/v1/library/flags.csv")
	flags := map[string]int{}
	for _, row := range rows[1:] {
		flags[row[2]]++
	}
	if rows[0][0] != "clip" || flags["no audio"] != 3 || flags["no picture"] != 3 || flags["duplicate"] != 3 {
		t.Errorf("%v %v", rows[0], flags)
	}
	rows = read("/v1/library/left-out.csv")
	if len(rows) != 3 || rows[1][0] != "videos/broken.mp4" || rows[2][0] != `'=HYPERLINK("x"),"y".mp4` ||
		rows[2][2] != "'-1+1" {
		t.Errorf("%q", rows)
	}
	if res, _ := get(t, web, "/v1/library/flags.csv?flag=x"); res.StatusCode != 400 {
		t.Errorf("a parameter that is none: %s", res.Status)
	}
}

// glancing is a library that counts how its clips are looked at.
type glancing struct {
	*servertest.Library
	opened, stills, sounds int
	fails                  error
}

func (g *glancing) Open(ctx context.Context, id string) (*server.Medium, error) {
	g.opened++
	return g.Library.Open(ctx, id)
}

func (g *glancing) Still(ctx context.Context, id string) ([]byte, error) {
	g.stills++
	if g.fails != nil {
		return nil, g.fails
	}
	m, err := g.Library.Open(ctx, id)
	return m.Frames[0], err
}

// Sound is four seconds, quiet but for the third.
func (g *glancing) Sound(context.Context, string) ([]int16, int, error) {
	g.sounds++
	samples := make([]int16, 16000*5)
	for i := range samples {
		if samples[i] = int16(i % 20); i >= 16000*3 && i < 16000*4 {
			samples[i] = int16(1000 * (i%20 - 10))
		}
	}
	return samples, 16000, g.fails
}

// TestGlances makes a thumbnail and an excerpt without decoding a clip, and with it where
// that fails.
func TestGlances(t *testing.T) {
	for _, fails := range []error{nil, &media.FileError{Outcome: media.Corrupt, Reason: "made up"}} {
		lib := &glancing{Library: servertest.NewLibrary(5), fails: fails}
		_, web := open(t, func(c *server.Config) { c.Library = lib })
		for _, name := range []string{"thumb.jpg", "excerpt.m4a"} {
			if res, text := get(t, web, "/v1/clips/c00001/"+name); res.StatusCode != 200 || len(text) < 300 {
				t.Errorf("%s: %s", name, res.Status)
			}
		}
		want := 0
		if fails != nil {
			want = 1 // once for both
		}
		if lib.opened != want || lib.stills != 1 || lib.sounds != 1 {
			t.Errorf("with %v: opened %d times, %d stills, %d sounds", fails, lib.opened, lib.stills, lib.sounds)
		}
	}
	lib := servertest.NewLibrary(20)
	_, web := open(t, func(c *server.Config) { c.Library = lib })
	if res, _ := get(t, web, "/v1/clips/c00017/excerpt.m4a"); res.StatusCode != 404 {
		t.Errorf("an excerpt of no sound: %s", res.Status)
	}
}

// TestExcerpt takes the loudest three seconds, faded at both ends.
func TestExcerpt(t *testing.T) {
	samples, rate, _ := (&glancing{}).Sound(t.Context(), "")
	got := server.Excerpt(samples, rate)
	if len(got) != 3*rate {
		t.Fatalf("%d samples", len(got))
	}
	loud := 0
	for _, v := range got {
		if max(v, -v) > 100 {
			loud++
		}
	}
	if loud < rate*8/10 || got[0] != 0 || got[len(got)-1] != 0 {
		t.Errorf("%d loud samples of %d; ends %d and %d", loud, rate, got[0], got[len(got)-1])
	}
	if short := server.Excerpt(samples[:100], rate); len(short) != 100 || samples[3*rate+5] != -5000 {
		t.Errorf("of 100 samples %d; the sound itself was changed to %d", len(short), samples[3*rate+5])
	}
}

// TestHarmless holds cells to what spreadsheets take for formulas.
func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{"a=1": "a=1", "=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x",
		"\t=1": "'\t=1", "\r=1": "'\r=1", " =1": "' =1", "": "", " ": " ", "＝1": "'＝1", "'x": "''x",
		"\xff=": "\uFFFD=", "übung": "übung"} {
		if got := server.Harmless(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
