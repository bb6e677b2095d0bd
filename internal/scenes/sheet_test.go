package scenes

import (
	"image"
	"image/color"
	"image/png"
	"os"
	"testing"
)

// TestContactSheet draws the first 32 scenes, one a row with every fifth
// picture and its waveform, to the file named by AVJEPA_SHEET, for people.
func TestContactSheet(t *testing.T) {
	path := os.Getenv("AVJEPA_SHEET")
	if path == "" {
		t.Skip("AVJEPA_SHEET names no file to draw")
	}
	const side, zoom, columns, rows = 48, 2, 8, 24
	const cellPx = side*zoom + 2
	cues := os.Getenv("AVJEPA_SHEET_CUES") != ""
	sheet := image.NewRGBA(image.Rect(0, 0, cellPx*(columns+4), cellPx*rows))
	rgb := make([]byte, 3*side*side)
	samples := make([]int16, 51200)
	for row := range rows {
		s := NewScene(7, row, Cues{Polish: cues, Daylight: cues})
		film := s.Film(side, 12.5, 3.2)
		for col := range columns {
			film.Render(5*col, rgb)
			for y := range side * zoom {
				for x := range side * zoom {
					p := rgb[3*(y/zoom*side+x/zoom):]
					sheet.Set(col*cellPx+x, row*cellPx+y, color.RGBA{p[0], p[1], p[2], 255})
				}
			}
		}
		s.Sound(16000, samples)
		width := 4*cellPx - 4
		for x := range width {
			lo, hi := 0, 0
			for _, v := range samples[x*len(samples)/width : (x+1)*len(samples)/width] {
				lo, hi = min(lo, int(v)), max(hi, int(v))
			}
			for y := lo * 46 / 32768; y <= hi*46/32768; y++ {
				sheet.Set(columns*cellPx+x, row*cellPx+48-y, color.RGBA{90, 200, 255, 255})
			}
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, sheet); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
