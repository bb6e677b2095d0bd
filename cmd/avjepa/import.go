package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/config"
	"avjepa/internal/exchange"
	"avjepa/internal/torchfile"
	"avjepa/internal/train"
)

// importOptions are the flags of import.
type importOptions struct {
	out, classes string
	heads        int
	set          []string
}

// imported is the result of import.
type imported struct {
	From       string   `json:"from"`
	Checkpoint string   `json:"checkpoint"`
	Kind       string   `json:"kind"` // what wrote the file
	Step       int      `json:"step"`
	Model      string   `json:"model"`
	Heads      []string `json:"heads"`   // classifiers' arrays: kept, used by nothing here
	Skipped    []string `json:"skipped"` // left out
	Notes      []string `json:"notes"`
}

func newImportCommand(g *globals) *cobra.Command {
	o := &importOptions{}
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "A checkpoint of the published code, or a state dict of PyTorch, as a run",
		Long: `Reads a file of PyTorch's torch.save: a Lightning checkpoint of the published
AV-JEPA code, a state dict, or what avjepa export wrote. Nothing in the file is
executed. What is left out of it is listed.`,
		Example: `  avjepa import last.ckpt --out runs/official
  avjepa import last.ckpt --out official.safetensors --set data.dir=data/mine
  avjepa retrieve runs/official --data data/mine`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := runImport(args[0], o)
			if err != nil {
				return err
			}
			return showImported(cmd.OutOrStdout(), res, g.json)
		},
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "run folder to write, or a file if it ends in .safetensors")
	f.IntVar(&o.heads, "heads", 0, "attention heads, if the file does not tell; 0 for width ÷ 64")
	f.StringVar(&o.classes, "classes", "", "names of the heads' classes, a line each, in their order")
	f.StringArrayVar(&o.set, "set", nil, "one value, such as --set view.mel_mean=-18; may be repeated")
	return c
}

func runImport(path string, o *importOptions) (*imported, error) {
	if o.out == "" {
		return nil, usageError(errors.New("no --out: give a run folder, such as runs/official, or a " +
			"file that ends in .safetensors"))
	}
	m, err := exchange.Read(path, exchange.Assume{Heads: o.heads})
	if err != nil {
		return nil, importError(err)
	}
	cfg, err := importedConfig(m, path, o.set)
	if err != nil {
		return nil, err
	}
	jc, err := cfg.JEPAConfig()
	if err != nil {
		return nil, configError(err)
	}
	if err := exchange.Fits(jc, m.Arrays); err != nil {
		return nil, importError(fmt.Errorf("%s: %w", path, err))
	}
	if o.classes != "" {
		if m.Classes, err = readClasses(o.classes, m); err != nil {
			return nil, err
		}
	}
	checkpoint, err := writeImported(o.out, cfg, m)
	if err != nil {
		return nil, err
	}
	e := jc.Encoder
	return &imported{From: path, Checkpoint: checkpoint, Kind: m.Kind, Step: m.Step,
		Model: fmt.Sprintf("encoder %d wide, %d blocks, %d heads; video %d×%d×%d, log-mel %d×%d; "+
			"projector %d→%d→%d", e.Width, e.Depth, e.Heads, e.Frames, e.Side, e.Side, e.MelBands,
			e.MelFrames, e.Width, jc.Hidden, jc.Proj),
		Heads: m.Heads, Skipped: m.Skipped, Notes: m.Notes}, nil
}

// importError marks what the file is to blame for as a checkpoint that does not fit.
func importError(err error) error {
	for _, fault := range []error{torchfile.ErrFormat, torchfile.ErrRefused, exchange.ErrDual,
		exchange.ErrForeign} {
		if errors.Is(err, fault) {
			return kind{err, errCheckpoint}
		}
	}
	return err
}

// importedConfig is the configuration that the file tells, with --set over it.
func importedConfig(m *exchange.Official, path string, set []string) (*config.Config, error) {
	cfg := config.New()
	if err := cfg.ApplyText(m.Config, "file "+path); err != nil {
		return nil, configError(err)
	}
	for _, s := range m.Settings {
		if err := cfg.Set(s.Key, s.Value, "file "+path); err != nil {
			return nil, configError(err)
		}
	}
	for _, kv := range set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usageError(fmt.Errorf("--set %q: want key=value", kv))
		}
		if err := cfg.Set(strings.TrimSpace(key), strings.TrimSpace(value), "flag --set"); err != nil {
			return nil, configError(err)
		}
	}
	if err := cfg.Validate(); err != nil {
		return nil, configError(fmt.Errorf("%s: %w", path, err))
	}
	return cfg, nil
}

// Bounds of a list of classes: AudioSet has 527.
const (
	maxClasses    = 1 << 16
	maxClassBytes = 512
)

// readClasses reads a class a line, as many as the heads of the model have rows.
func readClasses(path string, m *exchange.Official) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("names of classes: %w", err)
	}
	defer f.Close()
	var names []string
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxClassBytes)
	for sc.Scan() && len(names) < maxClasses {
		if line := strings.TrimSpace(sc.Text()); line != "" {
			names = append(names, line)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("names of classes: %s line %d: %w (limit %d bytes)", path, len(names)+1,
			err, maxClassBytes)
	}
	for _, head := range m.Heads {
		rows := m.Arrays[head].Shape.Elems()
		if strings.HasSuffix(head, "head.bias") && rows != len(names) {
			return nil, usageError(fmt.Errorf("%s names %d classes, %s has %d", path, len(names), head,
				rows))
		}
	}
	if len(m.Heads) == 0 {
		return nil, usageError(errors.New("--classes: the file has no heads"))
	}
	return names, nil
}

// writeImported writes a run folder or a checkpoint file, which must not be there
// yet, and returns the checkpoint's path.
func writeImported(out string, cfg *config.Config, m *exchange.Official) (string, error) {
	s := train.State{Step: m.Step, Seed: m.Seed, Config: cfg.TOML(), Classes: m.Classes}
	if filepath.Ext(out) == ".safetensors" {
		if err := isFree(out); err != nil {
			return "", err
		}
		return out, train.SaveArrays(out, m.Arrays, s)
	}
	if err := isFree(filepath.Join(out, "config.toml")); err != nil {
		return "", err
	}
	run, err := train.Open(out)
	if err != nil {
		return "", err
	}
	defer run.Close()
	checkpoint := run.Checkpoint(m.Step)
	if err := train.SaveArrays(checkpoint, m.Arrays, s); err != nil {
		return "", err
	}
	// The log is that of no step: report reads it.
	return checkpoint, errors.Join(run.Write("metrics.jsonl", nil),
		run.Write("config.toml", []byte(s.Config)))
}

// isFree returns an error when there is a file of that name already.
func isFree(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return usageError(fmt.Errorf("%s is there already: choose another --out, or remove it", path))
	}
	return nil
}

func showImported(out io.Writer, res *imported, asJSON bool) error {
	if asJSON {
		return writeJSON(out, res)
	}
	fmt.Fprintf(out, "%s, step %d\n%s\n", res.Kind, res.Step, res.Model)
	for _, part := range []struct {
		title string
		lines []string
	}{{"noted", res.Notes}, {"classifiers, kept but used by nothing here", res.Heads},
		{"left out", res.Skipped}} {
		if len(part.lines) > 0 {
			fmt.Fprintf(out, "\n%s:\n  %s\n", part.title, strings.Join(part.lines, "\n  "))
		}
	}
	_, err := fmt.Fprintf(out, "\n%s\n", res.Checkpoint)
	return err
}
