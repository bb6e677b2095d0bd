package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/engine"
	"avjepa/internal/kernel"
	"avjepa/internal/vit"
)

// benchOptions are the flags of bench.
type benchOptions struct {
	presets []string
	tokens  []int
	modes   []string
	clips   int
	repeat  int
	engine  config.Engine
	profile bool
}

func newBenchCommand(g *globals) *cobra.Command {
	o := &benchOptions{engine: config.New().Engine}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Time forward passes and training steps on this machine",
		Long: `Times the encoder sizes on made-up clips: the forward pass of views with both
modalities, and the whole training step. Prints the median of the repeats, the
speed in GFLOP/s by the convention of publications, its share of the machine's
peak of fused multiply-adds, which is measured first, and peak memory.
--profile adds where the time goes, by operation, from passes of their own.

The default cases take half a minute; size base at 1969 tokens takes half a minute
a step and 4 GB.`,
		Example: "  avjepa bench\n" +
			"  avjepa bench --presets tiny,small,base --tokens 397,1969 --modes step --json\n" +
			"  avjepa bench --presets tiny --modes step --clips 32 --profile",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd.Context(), o, cmd.OutOrStdout(), g.json)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&o.presets, "presets", []string{"tiny", "small"},
		"encoder sizes: "+strings.Join(vit.SizeNames(), ", "))
	f.IntSliceVar(&o.tokens, "tokens", []int{397}, "tokens of a view: 397, 1969")
	f.StringSliceVar(&o.modes, "modes", []string{benchForward, benchStep},
		strings.Join(benchModes, ", "))
	f.IntVar(&o.clips, "clips", 0, "clips of a step, 0 for 2, at 1969 tokens 1; views of a forward pass, 0 for 1")
	f.IntVar(&o.repeat, "repeat", 3, "fewest timed passes of a case, after one that is not timed")
	engineFlags(f, &o.engine)
	f.StringVar(&o.engine.Precision, "precision", o.engine.Precision,
		"of the encoder's products: f32, or bf16 where the engine has it")
	f.IntVar(&o.engine.Threads, "threads", 0, "worker threads, 0 for one per core")
	f.BoolVar(&o.profile, "profile", false, "also say where the time of a pass goes")
	return c
}

// benchLine is what bench prints of a case.
type benchLine struct {
	Case      string  `json:"case"` // preset/tokens/mode
	Preset    string  `json:"preset"`
	Tokens    int     `json:"tokens"` // of a view
	Mode      string  `json:"mode"`
	Engine    string  `json:"engine"`
	Device    string  `json:"device"`
	Precision string  `json:"precision"`  // engine.precision
	Clips     int     `json:"clips"`      // of a step; views of a forward pass
	Seconds   float64 `json:"seconds"`    // median of the repeats
	GFLOPS    float64 `json:"gflops"`     // by benchCase.flops
	PeakShare float64 `json:"peak_share"` // of the measured peak of all threads; 0 on a GPU
	RSSMB     float64 `json:"rss_mb"`     // most of this case on the host; 0 when unknown

	Profile *stepProfile `json:"profile,omitempty"` // of passes of their own
}

func runBench(ctx context.Context, o *benchOptions, out io.Writer, asJSON bool) error {
	cases, err := o.cases()
	if err != nil {
		return err
	}
	info, peak, err := o.machine()
	if err != nil {
		return err
	}
	if o.profile && info.Async {
		return usageError(fmt.Errorf("--profile: on %s operations run behind the program's back, "+
			"which cannot see how long each takes", info.Device))
	}
	if !asJSON {
		fmt.Fprintln(out, o.heading(info, peak))
		fmt.Fprintf(out, "%-23s %9s %8s %6s %8s\n", "case", "seconds", "GFLOP/s", "peak", "MB")
	}
	for i, c := range cases {
		alone := i == 0 || forgetPeakRSS()
		seconds, err := c.measure(ctx, o.repeat)
		if err != nil {
			return err
		}
		rate := c.flops() / seconds / 1e9
		l := benchLine{Case: c.name(), Preset: c.preset, Tokens: c.tokens, Mode: c.mode,
			Engine: info.Name, Device: info.Device, Precision: c.engine.Precision,
			Clips: c.clips, Seconds: seconds, GFLOPS: rate}
		if peak > 0 {
			l.PeakShare = rate / peak
		}
		if alone {
			l.RSSMB = float64(peakRSSBytes()) / (1 << 20)
		}
		if o.profile {
			if l.Profile, err = c.profile(ctx, o.repeat); err != nil {
				return err
			}
		}
		if err := l.show(out, asJSON); err != nil {
			return err
		}
	}
	return nil
}

func (l benchLine) show(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(l)
	}
	share := "–"
	if l.PeakShare > 0 {
		share = fmt.Sprintf("%.0f%%", 100*l.PeakShare)
	}
	_, err := fmt.Fprintf(out, "%-23s %9.3f %8.1f %6s %8.0f\n",
		l.Case, l.Seconds, l.GFLOPS, share, l.RSSMB)
	if err != nil || l.Profile == nil {
		return err
	}
	return l.Profile.show(out)
}

// cases returns what the flags ask for.
func (o *benchOptions) cases() ([]benchCase, error) {
	if o.repeat < 1 {
		return nil, usageError(fmt.Errorf("--repeat %d: want at least 1", o.repeat))
	}
	if o.engine.Threads < 0 {
		return nil, usageError(fmt.Errorf("--threads %d: want a positive number, or 0 for "+
			"one per core", o.engine.Threads))
	}
	c := config.New()
	c.Engine = o.engine
	if err := validate(c); err != nil {
		return nil, err
	}
	if o.clips < 0 {
		return nil, usageError(fmt.Errorf("--clips %d: want a positive number, or 0 for the "+
			"usual one", o.clips))
	}
	var all []benchCase
	for _, tokens := range o.tokens {
		if _, ok := benchGeometries[tokens]; !ok {
			return nil, usageError(fmt.Errorf("--tokens %d: want 397 or 1969", tokens))
		}
		for _, preset := range o.presets {
			if !slices.Contains(vit.SizeNames(), preset) {
				return nil, usageError(fmt.Errorf("--presets %q: want some of %s", preset,
					strings.Join(vit.SizeNames(), ", ")))
			}
			for _, mode := range o.modes {
				if !slices.Contains(benchModes, mode) {
					return nil, usageError(fmt.Errorf("--modes %q: want some of %s", mode,
						strings.Join(benchModes, ", ")))
				}
				all = append(all, benchCase{preset, tokens, mode,
					cmp.Or(o.clips, usualClips(tokens, mode)), o.engine})
			}
		}
	}
	return all, nil
}

// machine returns what will run, and the peak in GFLOP/s of its threads, 0 for a
// device that is no CPU.
func (o *benchOptions) machine() (info engine.Info, peak float64, err error) {
	e, err := openEngine(&config.Config{Engine: o.engine})
	if err != nil {
		return info, 0, err
	}
	defer e.Close()
	if _, _, ok := memoryOf(e); !ok {
		peak = peakGFLOPS() * float64(e.Info().Threads)
	}
	return e.Info(), peak, nil
}

// heading says what runs.
func (o *benchOptions) heading(info engine.Info, peak float64) string {
	text := fmt.Sprintf("engine %s, %s, %s", info.Name, info.Device, o.engine.Precision)
	if peak > 0 {
		text += fmt.Sprintf(", peak %.0f GFLOP/s", peak)
	}
	return text
}

// peakGFLOPS returns the peak of one thread with the instructions in use: the
// best of several tries, as other processes may disturb one.
func peakGFLOPS() float64 {
	best := 0.0
	for range 10 {
		best = max(best, kernel.PeakGFLOPS(kernel.ActiveISA()))
	}
	return best
}
