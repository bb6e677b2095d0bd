package report

import (
	"image"
	"strings"
	"testing"
)

// bulky is a report whose clips and pictures take n bytes each.
func bulky(clips, shots, n int) Data {
	uri := dataURI("image/jpeg", make([]byte, n*3/4))
	d := Data{Title: "bulky", Cut: "8 of 9 are shown."}
	for range clips {
		d.Clips = append(d.Clips, Clip{Key: "c", Frames: uri})
	}
	p := Panel{Title: "Inside", Read: "Look."}
	for range shots {
		p.Shots = append(p.Shots, Shot{Images: []Picture{{Alt: "a", Light: uri}}})
	}
	d.Panels = []Panel{p}
	return d
}

// A report keeps below its budget: clips go first, from the last on, then pictures, and the
// page says how many.
func TestBudget(t *testing.T) {
	for _, c := range []struct {
		clips, shots        int
		wantClips, wantShot int
		says                string
	}{
		{4, 2, 4, 2, ""},
		{20, 2, 5, 2, "15 of 20 clips with their neighbours"},
		{3, 20, 0, 7, "3 of 3 clips with their neighbours, 13 groups of pictures"},
	} {
		d := bulky(c.clips, c.shots, 1<<20)
		page := render(t, d)
		if len(page) > Budget {
			t.Errorf("%+v: %d bytes", c, len(page))
		}
		if n := strings.Count(page, `class="clip"`); n != c.wantClips {
			t.Errorf("%+v: %d clips", c, n)
		}
		if n := strings.Count(page, `alt="a"`); n != c.wantShot {
			t.Errorf("%+v: %d pictures", c, n)
		}
		if !strings.Contains(page, c.says) || !strings.Contains(page, "8 of 9 are shown.") ||
			(c.says != "") != strings.Contains(page, "below 8 MB") {
			t.Errorf("%+v: the page does not say what was left out", c)
		}
		if len(d.Panels[0].Shots) != c.shots || len(d.Clips) != c.clips {
			t.Errorf("%+v: the caller's own were cut", c)
		}
	}
}

func TestPanels(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, PictureWidth, 20))
	light, dark := bulky(0, 1, 100).Panels[0].Shots[0].Images[0], NewPicture(evil, img)
	light.Dark = "data:image/png;base64,AAAA"
	page := render(t, Data{Title: "x", Panels: []Panel{{Title: "Inside", Read: "How.", Note: evil,
		Shots: []Shot{{Title: evil, Caption: evil, Images: []Picture{light, dark}}}}, {Title: "None", Note: "Why."}}})
	parse(t, page)
	if n := strings.Count(page, "<source"); n != 1 {
		t.Errorf("%d variants for the dark", n)
	}
	if strings.Contains(page, "<script") || !strings.Contains(page, "Why.") {
		t.Error("hostile text is in the page, or a note is not")
	}
	defer func() {
		if recover() == nil {
			t.Error("a picture that is too wide was taken")
		}
	}()
	NewPicture("wide", image.NewRGBA(image.Rect(0, 0, PictureWidth+1, 1)))
}

// A long table is folded, a short one is not.
func TestFold(t *testing.T) {
	rows := [][]string{{"a"}}
	page := render(t, Data{Title: "x", Tables: []Table{{Title: "T", Head: []string{"h"}, Rows: rows},
		{Title: "U", Head: []string{"h"}, Rows: rows, Fold: "309 classes"}}})
	parse(t, page)
	if strings.Count(page, "<details>") != 1 || !strings.Contains(page, "<summary>309 classes</summary>") {
		t.Error("not one folded table")
	}
}
