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
	threads int
	profile bool
}

func newBenchCommand(g *globals) *cobra.Command {
	o := &benchOptions{}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Time forward passes and training steps on this machine",
		Long: `Times the encoder sizes on made-up clips: the forward pass of one view with both
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
	f.IntVar(&o.clips, "clips", 0, "clips of a step, 0 for 2, at 1969 tokens 1")
	f.IntVar(&o.repeat, "repeat", 3, "fewest timed passes of a case, after one that is not timed")
	f.IntVar(&o.threads, "threads", 0, "worker threads, 0 for one per core")
	f.BoolVar(&o.profile, "profile", false, "also say where the time of a pass goes")
	return c
}

// benchLine is what bench prints of a case.
type benchLine struct {
	Case      string  `json:"case"` // preset/tokens/mode
	Preset    string  `json:"preset"`
	Tokens    int     `json:"tokens"` // of a view
	Mode      string  `json:"mode"`
	Clips     int     `json:"clips"`      // of a step; 1 view in a forward pass
	Seconds   float64 `json:"seconds"`    // median of the repeats
	GFLOPS    float64 `json:"gflops"`     // by benchCase.flops
	PeakShare float64 `json:"peak_share"` // of the measured peak of all threads
	RSSMB     float64 `json:"rss_mb"`     // most of this case; 0 when unknown

	Profile *stepProfile `json:"profile,omitempty"` // of passes of their own
}

func runBench(ctx context.Context, o *benchOptions, out io.Writer, asJSON bool) error {
	cases, err := o.cases()
	if err != nil {
		return err
	}
	threads, device, err := o.machine()
	if err != nil {
		return err
	}
	peak := peakGFLOPS() * float64(threads)
	if !asJSON {
		fmt.Fprintf(out, "%s, peak %.0f GFLOP/s\n%-23s %9s %8s %6s %8s\n", device, peak,
			"case", "seconds", "GFLOP/s", "peak", "MB")
	}
	for i, c := range cases {
		alone := i == 0 || forgetPeakRSS()
		seconds, err := c.measure(ctx, o.repeat, threads)
		if err != nil {
			return err
		}
		rate := c.flops() / seconds / 1e9
		l := benchLine{Case: c.name(), Preset: c.preset, Tokens: c.tokens, Mode: c.mode,
			Clips: c.clips, Seconds: seconds, GFLOPS: rate, PeakShare: rate / peak}
		if c.mode != benchStep {
			l.Clips = 1
		}
		if alone {
			l.RSSMB = float64(peakRSSBytes()) / (1 << 20)
		}
		if o.profile {
			if l.Profile, err = c.profile(ctx, o.repeat, threads); err != nil {
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
	_, err := fmt.Fprintf(out, "%-23s %9.3f %8.1f %5.0f%% %8.0f\n",
		l.Case, l.Seconds, l.GFLOPS, 100*l.PeakShare, l.RSSMB)
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
	if o.threads < 0 {
		return nil, usageError(fmt.Errorf("--threads %d: want a positive number, or 0 for "+
			"one per core", o.threads))
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
					cmp.Or(o.clips, benchGeometries[tokens].clips)})
			}
		}
	}
	return all, nil
}

// machine returns the number of threads that will run, and what runs them.
func (o *benchOptions) machine() (threads int, device string, err error) {
	e, err := openThreads(o.threads)
	if err != nil {
		return 0, "", err
	}
	defer e.Close()
	return e.Info().Threads, e.Info().Device, nil
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
