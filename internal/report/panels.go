package report

import (
	"fmt"
	"html/template"
	"image"
	"strings"
)

// Panel is a part of the page with pictures from inside the encoder.
type Panel struct {
	Title string
	Read  string // one sentence: how to read the pictures
	Note  string // why there are none, or fewer than meant
	Shots []Shot
}

// Shot is what a panel shows of one clip, or of all.
type Shot struct {
	Title   string
	Images  []Picture
	Caption string
}

// Picture is a picture with the text that stands for it. Dark is empty where one will do
// for both themes.
type Picture struct {
	Alt   string
	Light template.URL
	Dark  template.Srcset
}

// PictureWidth is the widest that pictures of clips are, in pixels.
const PictureWidth = 480

// NewPicture returns a picture as JPEG. Wider ones than PictureWidth are a mistake of the
// program's.
func NewPicture(alt string, img image.Image) Picture {
	if w := img.Bounds().Dx(); w > PictureWidth {
		panic(fmt.Sprintf("report: a picture %d pixels wide, at most %d", w, PictureWidth))
	}
	return Picture{Alt: alt, Light: JPEG(img)}
}

// Budget is the most that a report may take, in bytes.
const Budget = 8 << 20

// fixed is what the page takes besides pictures and tables.
const fixed = 64 << 10

// size is about how many bytes the page takes.
func (d *Data) size() int {
	n := fixed
	for _, c := range d.Curves {
		n += len(c.Light) + len(c.Dark)
	}
	for _, c := range d.Clips {
		n += c.size()
	}
	for _, p := range d.Panels {
		for _, s := range p.Shots {
			n += s.size()
		}
	}
	for _, t := range d.Tables {
		for _, row := range t.Rows {
			for _, cell := range row {
				n += len(cell) + len("<td></td>")
			}
		}
	}
	return n
}

func (c *Clip) size() int {
	n := len(c.Frames) + len(c.Mel)
	for _, found := range [][]Neighbour{c.A2V, c.V2A} {
		for _, x := range found {
			n += len(x.Picture) + 200 // with its text
		}
	}
	return n
}

func (s *Shot) size() int {
	n := 0
	for _, p := range s.Images {
		n += len(p.Light) + len(p.Dark)
	}
	return n
}

// trim leaves out clips from the last on, then pictures, until the page takes at most
// budget bytes, and says so in Cut. Tables and curves stay.
func (d *Data) trim(budget int) {
	over := d.size() - budget
	clips, pictures := len(d.Clips), 0
	for ; over > 0 && len(d.Clips) > 0; d.Clips = d.Clips[:len(d.Clips)-1] {
		over -= d.Clips[len(d.Clips)-1].size()
	}
	if over > 0 {
		d.Panels = append([]Panel(nil), d.Panels...) // the caller's stay whole
	}
	for i := len(d.Panels) - 1; i >= 0 && over > 0; i-- {
		p := &d.Panels[i]
		for ; over > 0 && len(p.Shots) > 0; p.Shots = p.Shots[:len(p.Shots)-1] {
			over -= p.Shots[len(p.Shots)-1].size()
			pictures++
		}
	}
	var gone []string
	if n := clips - len(d.Clips); n > 0 {
		gone = append(gone, fmt.Sprintf("%d of %d clips with their neighbours", n, clips))
	}
	if pictures > 0 {
		gone = append(gone, fmt.Sprintf("%d groups of pictures from inside the encoder", pictures))
	}
	if len(gone) > 0 {
		d.Cut = strings.TrimSpace(fmt.Sprintf("%s Left out to keep this file below %d MB: %s.", d.Cut,
			budget>>20, strings.Join(gone, ", ")))
	}
}
