package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"avjepa/internal/engine"
	"avjepa/internal/engine/torch/shim"
)

// shimOptions are the flags that say which libtorch to look at.
type shimOptions struct{ torch, python string }

func newEngineCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "engine",
		Short: "Build the torch engine, for GPUs and many processes",
	}
	group(c)
	c.AddCommand(newEngineBuildCommand(g), newEngineInfoCommand(g))
	return c
}

func (o *shimOptions) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.torch, "torch", "", "unpacked libtorch, with include/ and lib/, and no other")
	f.StringVar(&o.python, "python", "", "Python whose torch to use, and no other")
}

func newEngineBuildCommand(g *globals) *cobra.Command {
	o := &shimOptions{}
	c := &cobra.Command{
		Use:   "build",
		Short: "Find libtorch and build the torch engine for it",
		Long: `Finds libtorch (libtorch-dev of Debian, a pip torch, an unpacked libtorch), compiles
the engine's C++ for it into the user's cache, loads it and chooses it for
engine.name = torch. It takes half a minute of two cores, once for every version of
avjepa and libtorch. CUDA needs CUDA's headers (CUDA_HOME, or those that pip installs
beside torch), gloo and NCCL theirs. CXX names the compiler.`,
		Example: "  avjepa engine build\n" +
			"  avjepa engine build --python ~/venv/bin/python\n" +
			"  avjepa engine build --torch ~/libtorch --json",
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := g.progress()
			built, err := runEngineBuild(cmd.Context(), o, p)
			p.wait()
			if err != nil {
				return err
			}
			return built.show(cmd.OutOrStdout(), g.json)
		},
	}
	o.addFlags(c)
	return c
}

func newEngineInfoCommand(g *globals) *cobra.Command {
	o := &shimOptions{}
	c := &cobra.Command{
		Use:     "info",
		Short:   "Which libtorch there is, and what the torch engine was built for",
		Example: "  avjepa engine info\n  avjepa engine info --python ~/venv/bin/python --json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := runEngineInfo(cmd.Context(), o)
			if err != nil {
				return err
			}
			return info.show(cmd.OutOrStdout(), g.json)
		},
	}
	o.addFlags(c)
	return c
}

// find looks for libtorch as the flags say.
func (o *shimOptions) find(ctx context.Context) []*shim.Torch {
	so := shim.Options{Folder: o.torch, CUDAHome: cmp.Or(os.Getenv("CUDA_HOME"),
		os.Getenv("CUDA_PATH"))}
	if o.python != "" {
		so.Pythons, so.OnlyPythons = []string{o.python}, true
		return shim.Find(ctx, so)
	}
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			so.Pythons = []string{path}
			break // the other one is the same Python
		}
	}
	return shim.Find(ctx, so)
}

// cxx returns the C++ compiler, "" when there is none.
func cxx() (string, error) {
	if name := os.Getenv("CXX"); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			err = fmt.Errorf("CXX = %q: %w", name, err)
		}
		return path, err
	}
	for _, name := range []string{"c++", "g++", "clang++"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", nil
}

// builtEngine is what engine build has done.
type builtEngine struct {
	Found   []*shim.Torch `json:"found"`
	Library *shim.Library `json:"library"`
	tried
}

func runEngineBuild(ctx context.Context, o *shimOptions, p *progress) (*builtEngine, error) {
	cache, err := cacheFolder()
	if err != nil {
		return nil, kind{err, errEngine}
	}
	compiler, err := cxx()
	if err != nil {
		return nil, kind{err, errEngine}
	}
	b := &builtEngine{Found: o.find(ctx)}
	best, err := shim.Best(b.Found)
	if err != nil {
		return nil, kind{err, errEngine}
	}
	p.say("%s", best)
	for _, w := range best.Without {
		p.say("  without %s", w)
	}
	var st *stage
	b.Library, err = shim.Build(ctx, shim.BuildConfig{Torch: best, Cache: cache, Compiler: compiler,
		Say: func(text string) {
			p.say("%s", text)
			st = p.stage(ctx, "compile", 1, "files")
		},
		Step: func(done, all int) { st.set(int64(done), int64(all), "") },
	})
	if st != nil {
		st.endWith(err)
	}
	if err == nil {
		for _, w := range b.Library.Torch.Without {
			if !slices.Contains(best.Without, w) { // it did not compile
				p.say("  without %s", w)
			}
		}
		if b.tried, err = tryShim(b.Library); err != nil {
			err = fmt.Errorf("%s was built but does not load: %w", b.Library.Path, err)
		}
	}
	if err == nil {
		err = shim.Choose(b.Library)
	}
	if err != nil && ctx.Err() == nil {
		err = kind{err, errEngine}
	}
	return b, err
}

// tried is a built shim at work.
type tried struct {
	Device string   `json:"device,omitempty"` // that it computes on
	Paths  []string `json:"paths,omitempty"`  // of a GPU: each faster way, used or why not
}

// rows returns what there is to show of it.
func (t tried) rows() (rows [][]string) {
	if t.Device != "" {
		rows = append(rows, []string{"device", t.Device})
	}
	for _, p := range t.Paths {
		rows = append(rows, []string{"", p})
	}
	return rows
}

// tryShim loads a built shim and opens the device it computes on: a GPU if it was
// built for one and there is one.
func tryShim(l *shim.Library) (t tried, err error) {
	var e engine.Engine
	var why error
	if l.Torch.CUDA != "" {
		e, why = openTorch(l.Path, "cuda:0", 0)
	}
	if e == nil {
		if e, err = openTorch(l.Path, "cpu", 0); err != nil {
			return t, err
		}
	}
	t.Device = e.Info().Device
	if why != nil {
		t.Device += " (no GPU: " + why.Error() + ")"
	}
	if p, ok := e.(interface{ Paths() ([]string, error) }); ok {
		t.Paths, err = p.Paths()
	}
	return t, errors.Join(err, e.Close())
}

func (b *builtEngine) show(out io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(out, b)
	}
	table(out, "ll", append([][]string{
		{"libtorch", b.Library.Torch.String()},
		{"built", b.Library.Path},
		{"took", span(time.Duration(b.Library.Seconds * float64(time.Second)))},
	}, b.rows()...))
	_, err := fmt.Fprintln(out, "\nuse it: --engine torch, or engine.name = torch")
	return err
}

// engineInfo is what engine info shows.
type engineInfo struct {
	Compiler string        `json:"compiler"`
	Found    []*shim.Torch `json:"found"`
	Built    []builtShim   `json:"built"`
	Current  *shim.Library `json:"current,omitempty"` // loaded by engine.name = torch
	tried
	Fault string `json:"fault,omitempty"` // why there is none, or it does not load
}

// builtShim is one of the cache, and why it is of no use any more.
type builtShim struct {
	*shim.Library
	Fault string `json:"fault,omitempty"`
}

func runEngineInfo(ctx context.Context, o *shimOptions) (*engineInfo, error) {
	cache, err := cacheFolder()
	if err != nil {
		return nil, kind{err, errEngine}
	}
	i := &engineInfo{Found: o.find(ctx)}
	if i.Compiler, err = cxx(); err != nil {
		i.Compiler = err.Error()
	}
	for _, l := range shim.Built(cache) {
		i.Built = append(i.Built, builtShim{l, l.Fault()})
	}
	if i.Current, err = shim.Current(cache); err == nil {
		i.tried, err = tryShim(i.Current)
	}
	if err != nil {
		i.Fault = err.Error()
	}
	return i, nil
}

func (i *engineInfo) show(out io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(out, i)
	}
	rows := [][]string{{"compiler", cmp.Or(i.Compiler, "none: install g++")}}
	for _, t := range i.Found {
		rows = append(rows, []string{"found", t.String()})
		for _, w := range t.Without {
			rows = append(rows, []string{"", "without " + w})
		}
	}
	for _, b := range i.Built {
		text := b.Path
		if b.Fault != "" {
			text += ": " + b.Fault
		}
		rows = append(rows, []string{"built", text})
	}
	if i.Current != nil {
		rows = append(rows, []string{"in use", i.Current.Torch.String()}, []string{"", i.Current.Path})
	}
	rows = append(rows, i.rows()...)
	if i.Fault != "" {
		rows = append(rows, []string{"fault", strings.ReplaceAll(i.Fault, "\n", "; ")})
	}
	table(out, "ll", rows)
	return nil
}
