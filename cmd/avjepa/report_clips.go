package main

import (
	"context"
	"html/template"
	"image"

	"avjepa/internal/chart"
	"avjepa/internal/report"
	"avjepa/internal/retrieval"
)

// Shown of a clip: frames in a strip, neighbours in each direction.
const (
	stripFrames = 8
	neighbours  = 5
)

// reportClips draws held-out clips, evenly chosen, with their neighbours.
func reportClips(ctx context.Context, ev *evaluation, shown int) ([]report.Clip, error) {
	p := &painter{ctx: ctx, ev: ev, thumbs: map[int]template.URL{}, mels: map[int]template.URL{}}
	ranksA2V := retrieval.Ranks(ev.simA2V, ev.n)
	ranksV2A := retrieval.Ranks(ev.simV2A, ev.n)
	shown = min(shown, ev.n)
	var out []report.Clip
	for k := 0; k < shown; k++ {
		row := k * ev.n / shown
		info := ev.set.Info(ev.features.Index[row])
		if err := p.load(row); err != nil {
			return nil, err
		}
		c := report.Clip{Key: info.Key, Label: ev.set.Titles(&info),
			Frames: report.JPEG(p.strip()), Mel: report.PNG(p.mel()),
			RankA2V: ranksA2V[row], RankV2A: ranksV2A[row]}
		var err error
		if c.A2V, err = p.neighbours(ev.simA2V, row, p.thumb); err != nil {
			return nil, err
		}
		if c.V2A, err = p.neighbours(ev.simV2A, row, p.melThumb); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// painter draws clips as the encoder sees them: its frames, its log-mel.
type painter struct {
	ctx    context.Context // of the report being drawn
	ev     *evaluation
	video  []byte
	audio  []float32
	thumbs map[int]template.URL
	mels   map[int]template.URL
}

// load makes the first evaluation view of a row.
func (p *painter) load(row int) error {
	v := p.ev.clips.Maker.Config()
	d, err := p.ev.clips.Get(p.ctx, p.ev.features.Index[row])
	if err != nil {
		return err
	}
	if p.video == nil {
		p.video = make([]byte, v.Frames*v.Side*v.Side*3)
		p.audio = make([]float32, v.Bands*v.MelFrames())
	}
	return p.ev.clips.Maker.Eval(p.video, p.audio, d, 0, p.ev.opts.windows)
}

// frames returns n frames of the loaded view, evenly chosen.
func (p *painter) frames(n int) [][]byte {
	v := p.ev.clips.Maker.Config()
	size := v.Side * v.Side * 3
	n = min(n, v.Frames)
	var out [][]byte
	for i := 0; i < n; i++ {
		at := (2*i + 1) * v.Frames / (2 * n)
		out = append(out, p.video[at*size:(at+1)*size])
	}
	return out
}

func (p *painter) strip() image.Image {
	side := p.ev.clips.Maker.Config().Side
	return enlarge(chart.Strip(p.frames(stripFrames), side, side, max(1, side/32)), 480)
}

// The darkest and brightest values of a log-mel picture, in deviations.
const melLow, melHigh = -2.0, 2.5

func (p *painter) mel() image.Image {
	v := p.ev.clips.Maker.Config()
	return chart.Mel(p.audio, v.Bands, v.MelFrames(), melLow, melHigh, 1, max(1, 128/v.Bands))
}

func (p *painter) thumb(row int) (template.URL, error) {
	if _, ok := p.thumbs[row]; !ok {
		if err := p.load(row); err != nil {
			return "", err
		}
		side := p.ev.clips.Maker.Config().Side
		p.thumbs[row] = report.JPEG(enlarge(chart.Strip(p.frames(1), side, side, 0), 96))
	}
	return p.thumbs[row], nil
}

func (p *painter) melThumb(row int) (template.URL, error) {
	if _, ok := p.mels[row]; !ok {
		if err := p.load(row); err != nil {
			return "", err
		}
		p.mels[row] = report.PNG(p.mel())
	}
	return p.mels[row], nil
}

// neighbours draws the clips nearest to a row.
func (p *painter) neighbours(sim []float32, row int,
	draw func(row int) (template.URL, error)) ([]report.Neighbour, error) {
	var out []report.Neighbour
	for _, j := range retrieval.Nearest(sim, p.ev.n, row, neighbours) {
		picture, err := draw(j)
		if err != nil {
			return nil, err
		}
		info := p.ev.set.Info(p.ev.features.Index[j])
		out = append(out, report.Neighbour{Key: info.Key, Label: p.ev.set.Titles(&info), Own: j == row,
			Score: float64(sim[row*p.ev.n+j]), Picture: picture})
	}
	return out, nil
}

// enlarge repeats pixels until the picture is at least width wide, so that tiny
// frames stay sharp.
func enlarge(img *image.RGBA, width int) image.Image {
	b := img.Bounds()
	k := (width + b.Dx() - 1) / b.Dx()
	if k <= 1 {
		return img
	}
	out := image.NewRGBA(image.Rect(0, 0, b.Dx()*k, b.Dy()*k))
	for y := 0; y < b.Dy()*k; y++ {
		for x := 0; x < b.Dx()*k; x++ {
			out.SetRGBA(x, y, img.RGBAAt(x/k, y/k))
		}
	}
	return out
}
