package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"avjepa/internal/chart"
	"avjepa/internal/encoder"
	"avjepa/internal/engine"
	"avjepa/internal/explain"
	"avjepa/internal/jepa"
	"avjepa/internal/jpeg"
	"avjepa/internal/media"
	"avjepa/internal/retrieval"
	"avjepa/internal/server"
	"avjepa/internal/view"
)

// servedModel is an encoder as the server wants one. It also explains.
type servedModel struct {
	x     *encoder.Encoder
	e     engine.Engine
	tools media.Tools
	read  atomic.Pointer[encoder.ReadOptions] // as the library's vectors were made
	info  server.ModelInfo
}

// serveViews is how many windows are encoded at once: those of one batch of the server.
const serveViews = 8

// openServed opens the model at path on the engine that flags and environment choose.
func openServed(path string, o *serveOptions, tools media.Tools) (*servedModel, error) {
	run, err := encoder.Read(path)
	if err != nil {
		return nil, modelError(err)
	}
	return openServedRun(run, path, o, tools)
}

// openServedRun is openServed of a run that was read.
func openServedRun(run *encoder.Run, path string, o *serveOptions, tools media.Tools) (*servedModel, error) {
	x, e, err := openRead(run, o.engine, encoder.Options{Views: serveViews})
	if err != nil {
		return nil, err
	}
	m := &servedModel{x: x, e: e, tools: tools}
	m.read.Store(&encoder.ReadOptions{})
	m.info = m.describe(path)
	return m, nil
}

func (m *servedModel) close() {
	m.x.Close()
	m.e.Close()
}

// describe makes the card from the checkpoint and from what lies beside it.
func (m *servedModel) describe(path string) server.ModelInfo {
	v, cfg := m.x.Maker().Config(), m.x.Config()
	file := m.x.Path()
	dir := filepath.Dir(filepath.Dir(file)) // runs/mine of runs/mine/checkpoints/step-….safetensors
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	about := m.e.Info()
	info := server.ModelInfo{ID: m.x.ID(), Name: filepath.Base(path), Step: m.x.Step(),
		Parameters: int64(m.x.Model().Params.Count()), Seconds: v.Seconds, Frames: v.Frames,
		Side: v.Side, Bands: v.Bands, RateHz: v.SampleRateHz, Engine: about.Name + " on " + about.Device,
		Settings: []server.Setting{}, Files: []server.File{}, Measured: []server.Figure{}}
	info.Dims, info.Projected = m.x.Dims()
	for _, s := range cfg.Settings() {
		info.Settings = append(info.Settings, server.Setting{Key: s.Key, Value: fmt.Sprint(s.Value),
			Origin: s.Origin})
	}
	if st, err := os.Stat(file); err == nil {
		info.Files = append(info.Files, server.File{Name: filepath.Base(file), Bytes: st.Size()})
	}
	if filepath.Base(filepath.Dir(file)) == "checkpoints" {
		info.Run, info.Name = filepath.Base(dir), filepath.Base(dir)
	}
	info.Data = &server.DataInfo{Name: filepath.Base(cfg.Data.Dir)}
	var sum struct {
		Retrieval *retrieval.Metrics `json:"retrieval"`
		Clips     map[string]int     `json:"clips"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err == nil && json.Unmarshal(text, &sum) == nil && sum.Retrieval != nil {
		r, chance := sum.Retrieval, retrieval.Chance(sum.Retrieval.N)
		for _, f := range []struct {
			name  string
			value float64
		}{{"A→V R@1", r.A2V.R1}, {"V→A R@1", r.V2A.R1}} {
			info.Measured = append(info.Measured, server.Figure{Name: f.name, Value: f.value,
				Chance: &chance.R1, Clips: r.N, Command: "avjepa demo"})
		}
	}
	for _, n := range sum.Clips {
		info.Data.Clips += n
	}
	return info
}

// Info returns the card.
func (m *servedModel) Info() server.ModelInfo { return m.info }

// Read reads a file as the library's clips were read.
func (m *servedModel) Read(ctx context.Context, path string, limits media.Limits) (*server.Medium, error) {
	return m.readPart(ctx, path, media.Segment{}, limits)
}

// readPart is Read of a part of a file.
func (m *servedModel) readPart(ctx context.Context, path string, part media.Segment, limits media.Limits) (
	*server.Medium, error) {

	o := *m.read.Load()
	o.Limits, o.MaxSeconds, o.Part = limits, limits.MaxSeconds, part
	c, err := m.x.ReadFile(ctx, m.tools, path, o)
	if err != nil {
		return nil, err
	}
	return m.medium(c), nil
}

// medium is a clip as the server keeps it.
func (m *servedModel) medium(c *encoder.Clip) *server.Medium {
	out := &server.Medium{Outcome: c.Outcome, Reason: c.Reason, Seconds: c.Seconds, HasVideo: c.HasVideo,
		HasAudio: c.HasAudio, Frames: c.Frames, FPS: c.FPS, Samples: c.Samples,
		RateHz: m.x.Maker().Config().SampleRateHz, Decoded: c}
	if len(c.Frames) > 0 {
		if w, h, err := jpeg.Size(c.Frames[0]); err == nil {
			sq := m.x.Maker().Config().EvalSquare(w, h)
			out.Width, out.Height = w, h
			out.Crop = server.Crop{X: sq[0], Y: sq[1], Width: sq[2] - sq[0], Height: sq[3] - sq[1]}
		}
	}
	for _, w := range c.Windows {
		out.Windows = append(out.Windows, server.Window{Start: w.Start.Seconds(), Video: w.Video,
			Audio: w.Audio})
	}
	return out
}

// Mel returns the log-mel of the whole medium, normalised as for the model.
func (m *servedModel) Mel(x *server.Medium) (*server.Mel, error) {
	if len(x.Samples) == 0 {
		return nil, errors.New("no sound")
	}
	cfg := m.x.Maker().Config()
	maker, err := view.NewLogMel(cfg.Mel())
	if err != nil {
		return nil, err
	}
	samples := make([]float32, len(x.Samples))
	for i, s := range x.Samples {
		samples[i] = float32(s) / 32768
	}
	out := &server.Mel{Bands: cfg.Bands, Frames: maker.Frames(len(samples))}
	out.Values = make([]float32, out.Bands*out.Frames)
	maker.Compute(out.Values, samples, maker.NewScratch())
	for i, v := range out.Values {
		out.Values[i] = (v - float32(cfg.MelMean)) / float32(cfg.MelStd)
	}
	return out, nil
}

var modalityOf = map[server.Modality]encoder.Modality{server.Audio: encoder.Audio,
	server.Video: encoder.Video, server.Both: encoder.Both}

// Embed encodes windows.
func (m *servedModel) Embed(ctx context.Context, windows []server.Window, of server.Modality) (
	[]server.Vectors, error) {

	in := make([]encoder.Window, len(windows))
	for i, w := range windows {
		in[i] = encoder.Window{Video: w.Video, Audio: w.Audio}
	}
	v, err := m.x.Embed(ctx, in, modalityOf[of])
	if err != nil {
		return nil, err
	}
	out := make([]server.Vectors, len(windows))
	d, k := m.x.Dims()
	for i := range out {
		out[i] = server.Vectors{CLS: v.CLS.Data[i*d : (i+1)*d], Patches: v.Patches.Data[i*d : (i+1)*d],
			Projected: v.Projected.Data[i*k : (i+1)*k]}
	}
	return out, nil
}

// Explain attends over the sound of one medium and the picture of another.
func (m *servedModel) Explain(ctx context.Context, sound, picture *server.Medium, start float64) (
	*server.Explanation, error) {

	heard, ok := sound.Decoded.(*encoder.Clip)
	watched, ok2 := picture.Decoded.(*encoder.Clip)
	if !ok || !ok2 {
		return nil, errors.New("a medium that this model has not read")
	}
	maker := m.x.Maker()
	v := maker.Config()
	at := time.Duration(start * float64(time.Second)).Truncate(10 * time.Millisecond)
	at = min(at, maker.LastStart(heard.Decoded), maker.LastStart(watched.Decoded))
	w := encoder.Window{Start: at, Video: make([]byte, v.Frames*v.Side*v.Side*3),
		Audio: make([]float32, v.Bands*v.MelFrames())}
	if err := maker.EvalAt(w.Video, nil, watched.Decoded, at, at); err != nil {
		return nil, err
	}
	if err := maker.EvalAt(nil, w.Audio, heard.Decoded, at, at); err != nil {
		return nil, err
	}
	a, err := explain.CrossAttention(m.x, w)
	switch {
	case errors.Is(err, jepa.ErrDual):
		return nil, &server.Problem{Type: "/docs/errors#no-explainer", Title: "No explainer", Status: 422,
			Code: "no-explainer", Detail: "a model with an encoder for each modality has no attention between them",
			Hint: "models with encoder = \"shared\" have"}
	case err != nil:
		return nil, err
	}
	return &server.Explanation{Model: m.x.ID(), Start: at.Seconds(), Seconds: v.Seconds,
		AudioToVideo: &server.VideoMap{Steps: a.Frames, Rows: a.Rows, Columns: a.Cols, Crop: picture.Crop,
			Weights: a.Video},
		VideoToAudio: &server.AudioMap{Bands: a.Bands, Steps: a.Times, Weights: a.Audio}}, nil
}

// kindOr is the kind of vectors that a library has, or that a run evaluates with.
func (m *servedModel) kindOr(kind string) string {
	return cmp.Or(kind, m.x.Config().Eval.Embedding, "projected")
}

// Components draws the principal components of the video tokens of media in one basis.
func (m *servedModel) Components(ctx context.Context, of []*server.Medium, names []string, dark bool) (
	image.Image, error) {

	var clips []*encoder.Clip
	for _, x := range of {
		c, ok := x.Decoded.(*encoder.Clip)
		if !ok {
			return nil, errors.New("a medium that this model has not read")
		}
		clips = append(clips, c)
	}
	r, err := explain.Compare(ctx, m.x, clips)
	if errors.Is(err, explain.ErrNotNumbers) {
		return nil, server.NewProblem(422, "diverged", "what the model makes of a picture is not numbers").WithHint(
			"use an earlier checkpoint of the run")
	}
	if err != nil {
		return nil, err
	}
	theme := chart.Light
	if dark {
		theme = chart.Dark
	}
	return r.Sheet("Video tokens", names, theme)
}
