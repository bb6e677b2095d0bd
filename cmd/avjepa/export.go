package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"avjepa/internal/exchange"
)

// Formats of export.
const (
	formatSafetensors = "safetensors"
	formatTorch       = "torch"
	formatONNX        = "onnx"
)

// formatOf is the format that a file's name asks for.
var formatOf = map[string]string{".safetensors": formatSafetensors, ".onnx": formatONNX,
	".pt": formatTorch, ".pth": formatTorch, ".ckpt": formatTorch}

// exportOptions are the flags of export.
type exportOptions struct {
	out, format, modality string
	tokens, external      bool
}

// exported is the result of export.
type exported struct {
	File       string   `json:"file"`
	Format     string   `json:"format"`
	Bytes      int64    `json:"bytes"`
	Beside     string   `json:"beside,omitempty"` // the file with the weights
	Parameters int      `json:"parameters"`
	Step       int      `json:"step"`
	Heads      []string `json:"heads"` // classifiers' arrays that are in it
}

func newExportCommand(g *globals) *cobra.Command {
	o := &exportOptions{}
	c := &cobra.Command{
		Use:   "export RUN",
		Short: "A trained model as safetensors, for PyTorch or as ONNX",
		Long: `Writes the encoder and projector of a run's newest checkpoint, or of a checkpoint
file: as safetensors or a state dict of PyTorch, by the names of the published code,
or as an ONNX graph for inference.`,
		Example: `  avjepa export runs/mine --out mine.safetensors
  avjepa export runs/mine --out mine.pt
  avjepa export runs/mine --out mine.onnx --tokens`,
		Args: takes("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			res, err := runExport(args[0], o)
			if err != nil {
				return err
			}
			return showExported(cmd.OutOrStdout(), res, g.json)
		},
	}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "file to write")
	f.StringVar(&o.format, "format", "",
		"safetensors, torch or onnx; by the file's name if not given")
	f.StringVar(&o.modality, "modality", exchange.Both, "of onnx, the inputs: both, audio or video")
	f.BoolVar(&o.tokens, "tokens", false, "of onnx: also output the tokens of the last block")
	f.BoolVar(&o.external, "external-data", false,
		"of onnx: weights into a file beside; beyond 2 GiB always")
	return c
}

func runExport(path string, o *exportOptions) (*exported, error) {
	format := o.format
	if format == "" {
		format = formatOf[filepath.Ext(o.out)]
	}
	switch {
	case o.out == "":
		return nil, usageError(errors.New("no --out: give a file, such as mine.safetensors"))
	case format == "":
		return nil, usageError(fmt.Errorf("--out %s does not say the format by its name: give --format",
			o.out))
	case format != formatSafetensors && format != formatTorch && format != formatONNX:
		return nil, usageError(fmt.Errorf("--format %q is none of %s, %s, %s", format, formatSafetensors,
			formatTorch, formatONNX))
	}
	if err := isFree(o.out); err != nil {
		return nil, err
	}
	model, err := openTrained(path)
	if err != nil {
		return nil, err
	}
	switch format {
	case formatSafetensors:
		err = model.WriteSafetensors(o.out)
	case formatTorch:
		err = model.WriteTorch(o.out)
	case formatONNX:
		err = model.WriteONNX(o.out, exchange.ONNX{Modality: o.modality, Tokens: o.tokens,
			Beside: o.external, Version: version})
	}
	if errors.Is(err, exchange.ErrModality) {
		return nil, usageError(fmt.Errorf("--modality: %w", err))
	}
	if err != nil {
		return nil, err
	}
	return describeExport(o.out, format, model)
}

// openTrained reads the model of a run, or of a checkpoint file.
func openTrained(path string) (*exchange.Trained, error) {
	run, err := openRun(path)
	if err != nil {
		return nil, err
	}
	jc, err := run.cfg.JEPAConfig()
	if err != nil {
		return nil, configError(err)
	}
	model, err := exchange.Of(run.file, jc, exchange.About{Step: run.state.Step, Seed: run.state.Seed,
		Config: run.state.Config, Classes: run.state.Classes, View: run.cfg.ViewConfig()})
	if err != nil {
		return nil, importError(fmt.Errorf("%s: %w", run.path, err))
	}
	return model, nil
}

func describeExport(path, format string, model *exchange.Trained) (*exported, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	res := &exported{File: path, Format: format, Bytes: info.Size(), Parameters: model.Parameters(),
		Step: model.About.Step}
	if format != formatONNX {
		res.Heads = model.Heads()
	} else if _, err := os.Stat(path + exchange.BesideName); err == nil {
		res.Beside = path + exchange.BesideName
	}
	return res, nil
}

func showExported(out io.Writer, res *exported, asJSON bool) error {
	if asJSON {
		return writeJSON(out, res)
	}
	fmt.Fprintf(out, "%d parameters of step %d, %d bytes\n%s\n", res.Parameters, res.Step, res.Bytes,
		res.File)
	var err error
	if res.Beside != "" {
		_, err = fmt.Fprintln(out, res.Beside)
	}
	return err
}
