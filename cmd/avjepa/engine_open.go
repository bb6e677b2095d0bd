package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/cpu"

	"avjepa/internal/config"
	"avjepa/internal/engine"
	enginecpu "avjepa/internal/engine/cpu"
	"avjepa/internal/engine/torch"
	"avjepa/internal/engine/torch/shim"
)

// deviceMemory is what an engine with memory of its own has besides: bytes free and
// in all. ok is false for one that computes in the host's memory.
type deviceMemory interface {
	DeviceMemory() (free, total int64, ok bool)
}

// memoryOf returns the memory of an engine's device, ok false when that is the
// host's.
func memoryOf(e engine.Engine) (free, total int64, ok bool) {
	if d, has := e.(deviceMemory); has {
		return d.DeviceMemory()
	}
	return 0, 0, false
}

// openEngine opens the engine a configuration names, on its device, and sees to it
// that it has the precision. Errors are errEngine.
func openEngine(c *config.Config) (engine.Engine, error) {
	e, err := openNamed(c.Engine)
	if err != nil {
		return nil, kind{err, errEngine}
	}
	if c.Engine.Precision == config.PrecisionBF16 && !e.Info().BF16 {
		e.Close()
		return nil, kind{fmt.Errorf("engine.precision = bf16: the engine %q on %s computes in "+
			"float32 alone: set engine.precision = f32, or engine.name = torch and "+
			"engine.device = cuda", e.Info().Name, e.Info().Device), errEngine}
	}
	return e, nil
}

func openNamed(c config.Engine) (engine.Engine, error) {
	if c.Name != config.EngineTorch {
		return enginecpu.New(enginecpu.Config{Threads: threads(c)})
	}
	cache, err := cacheFolder()
	if err != nil {
		return nil, err
	}
	lib, err := shim.Current(cache)
	if err != nil {
		return nil, err
	}
	device, err := torchDevice(c.Device, lib.Torch.CUDA != "")
	if err != nil {
		return nil, err
	}
	e, err := openTorch(lib.Path, device, threads(c))
	if err != nil && c.Device == "auto" && device != "cpu" && localRankHere() == "" {
		return openTorch(lib.Path, "cpu", threads(c)) // no GPU here, or none that works
	}
	return e, err
}

// localRank is the variable by which launchers tell a process its number on its
// machine, and so its GPU.
const localRank = "LOCAL_RANK"

// torchDevice returns the device, cpu or cuda:N, that engine.device means for a
// shim with CUDA or without.
func torchDevice(name string, cuda bool) (string, error) {
	switch {
	case name == "" || name == "cpu" || name == "auto" && !cuda:
		return "cpu", nil
	case !cuda:
		return "", fmt.Errorf("engine.device = %s: the torch engine was built without CUDA: "+
			"avjepa engine info says why", name)
	case strings.Contains(name, ":"):
		return name, nil
	}
	rank := 0
	if text := localRankHere(); text != "" {
		var err error
		if rank, err = strconv.Atoi(text); err != nil || rank < 0 {
			return "", fmt.Errorf("%s = %q is no number of a GPU: set it, or engine.device = cuda:N",
				localRank, text)
		}
	}
	return fmt.Sprintf("cuda:%d", rank), nil
}

// cacheFolder is where what is built for this user lies.
func cacheFolder() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the torch engine: %w: set HOME or XDG_CACHE_HOME", err)
	}
	return dir, nil
}

// engineFlags are the flags of commands that have no settings.
func engineFlags(f *pflag.FlagSet, c *config.Engine) {
	f.StringVar(&c.Name, "engine", c.Name, "cpu or torch (avjepa engine build)")
	f.StringVar(&c.Device, "device", c.Device, "of torch: cpu, cuda, cuda:1 or auto; empty for cpu")
}

// localEngine returns the engine that the environment and the flags choose for a
// run that was perhaps trained on another machine.
func localEngine(run config.Engine, name, device string) (config.Engine, error) {
	c := config.New()
	if err := c.ApplyEnviron(os.Environ()); err != nil {
		return run, configError(err)
	}
	if c.Origin("engine.threads") == "default" {
		c.Engine.Threads = run.Threads
	}
	c.Engine.Precision = config.PrecisionF32
	if name != "" {
		c.Engine.Name = name
	}
	if device != "" {
		c.Engine.Device = device
	}
	if err := validate(c); err != nil {
		return run, err
	}
	return c.Engine, nil
}

// openTorch loads a built shim and opens a device: cpu or cuda:N. The goroutine
// keeps its thread from then on: libtorch has workers for every thread that calls.
func openTorch(library, device string, threads int) (engine.Engine, error) {
	runtime.LockOSThread()
	if _, set := os.LookupEnv(blasKernels); !set && openBLASCore() != "" {
		os.Setenv(blasKernels, openBLASCore()) // read when the library is loaded
	}
	e, err := torch.New(torch.Config{Library: library, Device: device, Threads: threads})
	if err != nil {
		return nil, err // not e, which would be an engine that is nil
	}
	return e, nil
}

// blasKernels is the variable that tells OpenBLAS, which Debian's libtorch multiplies
// with, what processor it runs on.
const blasKernels = "OPENBLAS_CORETYPE"

// openBLASCore returns the newest processor that OpenBLAS knows and that this one can
// stand in for, "" to let it look itself. OpenBLAS 0.3.21 takes processors newer than
// itself for a Pentium 4, which is up to five times slower.
func openBLASCore() string {
	x := cpu.X86
	switch {
	case x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL:
		return "SkylakeX"
	case x.HasAVX2 && x.HasFMA:
		return "Haswell"
	}
	return ""
}
