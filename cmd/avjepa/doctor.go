package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sys/cpu"

	enginecpu "avjepa/internal/engine/cpu"
	"avjepa/internal/engine/torch/shim"
	"avjepa/internal/media"
)

// check is one line of doctor.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

func newDoctorCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "What this machine has, what is missing, and the command that mends it",
		Example: "  avjepa doctor\n  avjepa doctor --json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), cmd.OutOrStdout(), g.json)
		},
	}
}

func runDoctor(ctx context.Context, out io.Writer, asJSON bool) error {
	checks := []check{checkFFmpeg(ctx), checkCPU(), checkTorch(ctx), checkMemory(),
		checkDisk(".")}
	bad := 0
	for _, c := range checks {
		if !c.OK {
			bad++
		}
	}
	if asJSON {
		all := map[string]any{"ok": bad == 0, "checks": checks}
		if err := writeJSON(out, all); err != nil {
			return err
		}
	} else {
		for _, c := range checks {
			mark := "✓"
			if !c.OK {
				mark = "✗"
			}
			fmt.Fprintf(out, "%s %-8s %s\n", mark, c.Name, c.Found)
			if c.Remedy != "" {
				fmt.Fprintf(out, "           → %s\n", c.Remedy)
			}
		}
	}
	switch {
	case bad == 0:
		return nil
	case !checks[0].OK:
		return said{media.ErrNoFFmpeg}
	}
	return said{fmt.Errorf("%d things are missing", bad)}
}

func checkFFmpeg(ctx context.Context) check {
	c := check{Name: "ffmpeg"}
	tools, err := media.Find()
	if err == nil {
		c.Found, err = tools.Version(ctx)
		c.Found += " at " + tools.FFmpeg
	}
	if err != nil {
		c.Found = err.Error()
		c.Remedy = "apt-get install ffmpeg"
		if runtime.GOOS == "darwin" {
			c.Remedy = "brew install ffmpeg"
		}
		if os.Geteuid() > 0 && runtime.GOOS == "linux" {
			c.Remedy = "sudo " + c.Remedy
		}
		return c
	}
	c.OK = true
	return c
}

func checkCPU() check {
	c := check{Name: "cpu", OK: true}
	e, err := enginecpu.New(enginecpu.Config{})
	if err != nil {
		return check{Name: "cpu", Found: err.Error(), Remedy: "report this as a fault"}
	}
	defer e.Close()
	c.Found = e.Info().Device
	if runtime.GOARCH == "amd64" && !(cpu.X86.HasAVX2 && cpu.X86.HasFMA) {
		c.Remedy = "no AVX2 and FMA: training works, fifteen times slower"
	}
	return c
}

// checkTorch says which torch engine there is. None is no fault: it is for GPUs and
// for many processes. One that was built and does not load is.
func checkTorch(ctx context.Context) check {
	c := check{Name: "torch", OK: true}
	cache, err := cacheFolder()
	if err != nil {
		return check{Name: c.Name, OK: true, Found: err.Error()}
	}
	if lib, err := shim.Current(cache); err == nil {
		t, err := tryShim(lib)
		c.OK, c.Found = err == nil, fmt.Sprintf("%s, on %s", lib.Torch.String(), t.Device)
		if err != nil {
			c.Found, c.Remedy = err.Error(), "avjepa engine build, or avjepa engine info for details"
		}
		return c
	}
	const use = "the engine for GPUs and many processes"
	if best, err := shim.Best((&shimOptions{}).find(ctx)); err == nil {
		c.Found = fmt.Sprintf("%s is not built; there is %s", use, best)
		c.Remedy = "avjepa engine build"
		return c
	}
	c.Found = "no libtorch: " + use + " is not there"
	c.Remedy = "pip install torch, or apt-get install libtorch-dev libgloo-dev g++; " +
		"then avjepa engine build"
	return c
}

func checkMemory() check {
	total, free := memoryBytes()
	if total == 0 {
		return check{Name: "memory", OK: true, Found: "unknown on " + runtime.GOOS}
	}
	c := check{Name: "memory", OK: free >= 2<<30,
		Found: fmt.Sprintf("%.1f GiB free of %.1f", gib(free), gib(total))}
	if !c.OK {
		c.Remedy = "the demo needs about 2 GiB: close other programs"
	}
	return c
}

func checkDisk(dir string) check {
	free := diskFreeBytes(dir)
	if free == 0 {
		return check{Name: "disk", OK: true, Found: "unknown on " + runtime.GOOS}
	}
	c := check{Name: "disk", OK: free >= 1<<30, Found: fmt.Sprintf("%.1f GiB free here", gib(free))}
	if !c.OK {
		c.Remedy = "the demo needs about 1 GiB: free some, or work in another folder"
	}
	return c
}

func gib(n uint64) float64 { return float64(n) / (1 << 30) }
