// Command views writes what a run trains on, for another program to train on the same: the
// weights it begins with, and the views of its steps.
//
//	views -config runs/mine/config.toml -init init.safetensors | program
//
// On stdout come a line of JSON (Header), and for every step the batch as it lies in memory,
// little-endian: global video, global audio, local video, local audio (package view).
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/engine/cpu"
	"avjepa/internal/jepa"
	"avjepa/internal/loader"
	"avjepa/internal/store"
	"avjepa/internal/train"
	"avjepa/internal/view"
)

// Header is what the reader needs to know of the run.
type Header struct {
	Steps         int `json:"steps"`
	StepsPerEpoch int `json:"steps_per_epoch"`
	Batch         int `json:"batch"`
	Globals       int `json:"globals"`
	AudioLocals   int `json:"audio_locals"`
	VideoLocals   int `json:"video_locals"`

	Frames         int `json:"frames"`
	Side           int `json:"side"`
	Bands          int `json:"bands"`
	MelFrames      int `json:"mels"`
	Width          int `json:"width"`
	Depth          int `json:"depth"`
	Heads          int `json:"heads"`
	PatchFrames    int `json:"tube"`
	Patch          int `json:"patch"`
	PatchMel       int `json:"patch_mel"`
	PatchMelFrames int `json:"patch_mels"`
	Hidden         int `json:"hidden"`
	Out            int `json:"proj"`
	Directions     int `json:"directions"`

	Lambda      float64 `json:"lambda"`
	LR          float64 `json:"lr"`
	MinLR       float64 `json:"min_lr"`
	Warmup      int     `json:"warmup"` // steps
	WarmupStart float64 `json:"warmup_start"`
	Beta1       float64 `json:"beta1"`
	Beta2       float64 `json:"beta2"`
	Eps         float64 `json:"eps"`
	WeightDecay float64 `json:"weight_decay"`
	DecayAll    bool    `json:"decay_all"`
	Clip        float64 `json:"clip"`
}

func main() {
	file := flag.String("config", "", "config.toml of the run")
	initial := flag.String("init", "", "file to write the initial weights to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *file, *initial, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "views: "+err.Error())
		os.Exit(1)
	}
}

// run writes the initial weights to a file and the views of all steps to out.
func run(ctx context.Context, file, initial string, out io.Writer) error {
	if file == "" || initial == "" {
		return fmt.Errorf("-config %q -init %q: want both", file, initial)
	}
	c := config.New()
	if err := c.ApplyFile(file); err != nil {
		return err
	}
	if err := errors.Join(c.Validate(), same(c)); err != nil {
		return err
	}
	set, err := opened(ctx, c)
	if err != nil {
		return err
	}
	if err := writeInitial(initial, c); err != nil {
		return err
	}
	maker, err := view.NewMaker(c.ViewConfig())
	if err != nil {
		return err
	}
	tc := c.TrainConfig(set.Len())
	l, err := loader.New(loader.NewClips(set, maker, int64(c.Data.CacheMB)<<20), loader.Config{
		BatchSize: tc.BatchSize, Seed: tc.Seed, Workers: max(1, c.Data.Workers), Lanes: tc.Lanes,
		ShuffleBytes: tc.ShuffleBytes}, 0)
	if err != nil {
		return err
	}
	defer l.Close()
	w := bufio.NewWriterSize(out, 1<<20)
	if err := json.NewEncoder(w).Encode(header(c, tc, set.Len())); err != nil {
		return err
	}
	for range tc.Schedule.Steps {
		b, _, err := l.Next(ctx)
		if err != nil {
			return err
		}
		if err := writeBatch(w, b); err != nil {
			return err
		}
	}
	return w.Flush()
}

// opened opens the clips that the run trains on.
func opened(ctx context.Context, c *config.Config) (*dataset.Set, error) {
	at, err := store.Open(ctx, c.Data.Dir, store.Config{})
	if err != nil {
		return nil, err
	}
	set, err := dataset.OpenStore(ctx, at)
	if err != nil {
		return nil, err
	}
	if c.Data.Split != "" {
		set = set.Select(c.Data.Split)
	}
	return set.Where(func(f *dataset.Info) bool { return f.HasVideo() && f.HasAudio() }), nil
}

// same refuses what the reader does not do.
func same(c *config.Config) error {
	m := c.Model
	if c.Mask.Enabled || m.Encoder != "shared" || m.Dropout != 0 || m.AttentionDropout != 0 || !m.EmbedNorm ||
		m.FinalNorm || c.Loss.Invariance != "mean" || c.Loss.SIGReg != "per-view" || c.Loss.Knots != 17 ||
		c.Loss.TMax != 5 || c.Loss.Half || c.Data.Sampling != config.SamplingUniform || c.Train.Init != "" || c.Probe.Online {
		return errors.New("this run masks, drops out, is dual, has online probes or another objective than the " +
			"preset demo: bench/peer does none of it")
	}
	return nil
}

// writeInitial writes the weights that the run begins with.
func writeInitial(path string, c *config.Config) error {
	e, err := cpu.New(cpu.Config{Threads: 1})
	if err != nil {
		return err
	}
	defer e.Close()
	jc, err := c.JEPAConfig()
	if err != nil {
		return err
	}
	model, err := jepa.New(e, jc, uint64(c.Seed), c.Train.BatchSize)
	if err != nil {
		return err
	}
	defer model.Free()
	return train.Save(path, model, nil, train.State{Seed: uint64(c.Seed), Config: c.TOML()})
}

func header(c *config.Config, t train.Config, clips int) Header {
	v := c.ViewConfig()
	e, err := c.EncoderConfig()
	if err != nil {
		panic(err) // validated
	}
	return Header{Steps: t.Schedule.Steps, StepsPerEpoch: loader.StepsPerEpoch(clips, t.BatchSize),
		Batch: t.BatchSize, Globals: v.Globals, AudioLocals: v.AudioLocals(), VideoLocals: v.VideoLocals(),
		Frames: v.Frames, Side: v.Side, Bands: v.Bands, MelFrames: v.MelFrames(),
		Width: e.Width, Depth: e.Depth, Heads: e.Heads, PatchFrames: e.PatchT, Patch: e.Patch,
		PatchMel: e.PatchMel, PatchMelFrames: e.PatchMelT,
		Hidden: c.Project.Hidden, Out: c.Project.Out, Directions: c.Loss.Directions, Lambda: c.Loss.Lambda,
		LR: t.Schedule.Base, MinLR: t.Schedule.Min, Warmup: t.Schedule.Warmup, WarmupStart: t.Schedule.Start,
		Beta1: t.Optim.Beta1, Beta2: t.Optim.Beta2, Eps: t.Optim.Eps, WeightDecay: t.Optim.WeightDecay,
		DecayAll: c.Train.Decay == "all", Clip: t.Optim.Clip}
}

// writeBatch writes the views of a step.
func writeBatch(w io.Writer, b *view.Batch) error {
	return errors.Join(binary.Write(w, binary.LittleEndian, b.GlobalVideo),
		binary.Write(w, binary.LittleEndian, b.GlobalAudio),
		binary.Write(w, binary.LittleEndian, b.LocalVideo),
		binary.Write(w, binary.LittleEndian, b.LocalAudio))
}
