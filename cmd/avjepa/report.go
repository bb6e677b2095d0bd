package main

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/chart"
	"avjepa/internal/config"
	"avjepa/internal/durable"
	"avjepa/internal/report"
	"avjepa/internal/retrieval"
	"avjepa/internal/train"
)

func newReportCommand(g *globals) *cobra.Command {
	o := &evalOptions{}
	var shown int
	c := &cobra.Command{
		Use:     "report RUN",
		Short:   "One HTML page with a run's curves, retrieval and held-out clips",
		Example: "  avjepa report runs/demo\n  avjepa report runs/latest --clips 12",
		Args:    takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := g.progress()
			path, err := runReport(cmd.Context(), args[0], o, shown, p)
			p.wait()
			if path == "" {
				return err
			}
			return errors.Join(showReport(cmd.OutOrStdout(), path, g.json), err)
		},
	}
	o.addFlags(c)
	c.Flags().IntVar(&shown, "clips", 8, "held-out clips to show with their neighbours")
	return c
}

// runReport writes the report of a run folder and returns its path; with clips
// left out also the error of partial.
func runReport(ctx context.Context, dir string, o *evalOptions, shown int,
	p *progress) (string, error) {
	dir, err := filepath.EvalSymlinks(dir) // runs/latest: the run's own name is to be shown
	if err != nil {
		return "", fmt.Errorf("no run there: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", usageError(fmt.Errorf("%s is a file: report takes a run folder, such as runs/demo",
			dir))
	}
	if shown < 0 {
		return "", usageError(fmt.Errorf("--clips %d: must not be negative", shown))
	}
	ev, err := evaluate(ctx, dir, o, p)
	if err != nil {
		return "", err
	}
	d, err := reportData(ctx, dir, ev, shown)
	if err != nil {
		return "", err
	}
	d.Repeat = fmt.Sprintf("avjepa pretrain --config %s --name %s\navjepa report %s",
		filepath.Join(dir, "config.toml"), filepath.Base(dir)+"-again", dir)
	path, err := writeReport(dir, d)
	if err != nil {
		return "", err
	}
	return path, partial(len(ev.features.Skipped), ev.opts.data)
}

func showReport(out io.Writer, path string, asJSON bool) error {
	if asJSON {
		return writeJSON(out, map[string]string{"report": path})
	}
	_, err := fmt.Fprintln(out, path)
	return err
}

// writeReport writes report.html into a run folder and returns its path.
func writeReport(dir string, d report.Data) (string, error) {
	path := filepath.Join(dir, "report.html")
	return path, durable.WriteFile(path, func(w io.Writer) error {
		return report.Write(w, d)
	})
}

// reportData gathers what every report of a run shows, and writes its curves to
// the run's figures.
func reportData(ctx context.Context, dir string, ev *evaluation, shown int) (report.Data, error) {
	log, err := train.ReadMetrics(dir)
	if err != nil {
		return report.Data{}, err
	}
	lambda := ev.run.cfg.Loss.Lambda
	curves, err := report.Curves(log, lambda)
	if err != nil {
		return report.Data{}, err
	}
	if err := report.WriteCurves(filepath.Join(dir, "figures"), log, lambda); err != nil {
		return report.Data{}, err
	}
	probes, err := probeFigures(dir, log)
	if err != nil {
		return report.Data{}, err
	}
	curves = append(curves, probes...)
	clips, err := reportClips(ctx, ev, shown)
	if err != nil {
		return report.Data{}, err
	}
	m, chance := ev.metrics, retrieval.Chance(ev.n)
	rows := retrievalRows(m)
	d := report.Data{
		Title: "Run " + filepath.Base(dir),
		Verdict: fmt.Sprintf("Among %d held-out clips a sound finds its own picture first in %.1f %% "+
			"of cases, a picture its sound in %.1f %% (chance %.1f %%).",
			ev.n, 100*m.A2V.R1, 100*m.V2A.R1, 100*chance.R1),
		Health: report.Health(log),
		Tables: []report.Table{{Title: "Retrieval", Head: rows[0], Rows: rows[1:],
			Read: "R@k: share of queries whose own other half is among the first k. " +
				"Median rank: 1 is best."}},
		Curves: curves, Clips: clips,
		Config: reportSettings(ev.run.cfg), Machine: reportMachine(log),
		Made: time.Now().UTC().Format("2006-01-02 15:04 UTC"),
	}
	if ev.n > shown {
		d.Cut = fmt.Sprintf("%d of %d held-out clips are shown, evenly chosen: --clips shows more.",
			len(clips), ev.n)
	}
	return d, nil
}

// probeFigures draws the online probes of a run, if it has any, and writes their curves
// to its figures.
func probeFigures(dir string, log []train.Metrics) ([]report.Figure, error) {
	evaluated, err := train.ReadProbes(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := report.WriteProbeCurves(filepath.Join(dir, "figures"), log, evaluated); err != nil {
		return nil, err
	}
	return report.ProbeCurves(log, evaluated)
}

func reportSettings(c *config.Config) []report.Setting {
	var out []report.Setting
	for _, s := range c.Settings() {
		out = append(out, report.Setting{Key: s.Key, Value: fmt.Sprint(s.Value), Origin: s.Origin})
	}
	return out
}

func reportMachine(log []train.Metrics) []report.Setting {
	out := []report.Setting{
		{Key: "avjepa", Value: fmt.Sprintf("%s, %s %s/%s",
			version, runtime.Version(), runtime.GOOS, runtime.GOARCH)},
		{Key: "processor", Value: checkCPU().Found},
	}
	if t := sumUp(log); t.seconds > 0 {
		out = append(out, report.Setting{Key: "training",
			Value: fmt.Sprintf("%d steps in %s, %.0f GFLOP/s, %.1f %% of it waiting for data",
				len(log), spanOf(t.seconds), t.gflops, 100*t.waitShare)})
	}
	return out
}

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
