package main

import (
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"avjepa/internal/chart"
	"avjepa/internal/config"
	"avjepa/internal/durable"
	"avjepa/internal/encoder"
	"avjepa/internal/explain"
	"avjepa/internal/jepa"
	"avjepa/internal/media"
)

func newExplainCommand(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "explain",
		Short: "Pictures of what an encoder looks at and how it groups clips"}
	c.AddCommand(
		newExplainAttentionCommand(g),
		newExplainPCACommand(g),
		newExplainTSNECommand(g),
	)
	group(c)
	return c
}

// explainOptions are the flags that all of explain have.
type explainOptions struct {
	out    string
	set    []string // key=value, over the run's settings
	engine config.Engine
}

func (o *explainOptions) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.out, "out", "explain", "folder for the pictures")
	f.StringArrayVar(&o.set, "set", nil,
		"one setting over the run's, such as --set view.seconds=4; may be repeated")
	engineFlags(f, &o.engine)
}

// open loads a model to encode a few windows at once. What is returned closes it.
func (o *explainOptions) open(path string) (*encoder.Encoder, func(), error) {
	x, e, err := openModel(path, o.engine, encoder.Options{Views: 1, Set: o.set})
	if err != nil {
		return nil, nil, err
	}
	return x, func() { x.Close(); e.Close() }, nil
}

// makeOut makes the folder for the pictures and sees that it can be written to, before
// the work and not after it.
func (o *explainOptions) makeOut() error {
	err := os.MkdirAll(o.out, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(o.out, ".writable-*"); err == nil {
			err = errors.Join(f.Close(), os.Remove(f.Name()))
		}
	}
	if err != nil {
		return usageError(fmt.Errorf("--out %s: pictures cannot be written there: %w", o.out, err))
	}
	return nil
}

// themed are the two variants of a picture.
var themed = []struct {
	name  string
	theme chart.Theme
}{{"light", chart.Light}, {"dark", chart.Dark}}

// writePictures writes NAME-light.png and NAME-dark.png below out and returns their
// paths.
func (o *explainOptions) writePictures(name string, draw func(chart.Theme) (*image.RGBA, error)) (
	[]string, error) {
	var paths []string
	for _, v := range themed {
		img, err := draw(v.theme)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(o.out, name+"-"+v.name+".png")
		err = durable.WriteFile(path, func(w io.Writer) error { return png.Encode(w, img) })
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// explainError marks errors of package explain for the exit codes.
func explainError(err error, path string) error {
	var broken *media.FileError
	switch {
	case errors.Is(err, jepa.ErrDual), errors.Is(err, explain.ErrNotFinite),
		errors.Is(err, explain.ErrNotNumbers):
		return kind{err, errCheckpoint}
	case errors.Is(err, explain.ErrOneModality):
		return fmt.Errorf("%s: %w", path, err)
	case errors.As(err, &broken) && broken.Outcome == media.TooLarge:
		return fmt.Errorf("%s: %w (--seconds takes longer files)", path, err)
	case errors.As(err, &broken):
		return fmt.Errorf("%s: %w", path, err)
	}
	return err
}

// pictureNames returns a name for each file: its base without extension, made safe, and
// numbered where two are alike.
func pictureNames(paths []string) []string {
	seen := map[string]int{}
	var names []string
	for _, p := range paths {
		base := filepath.Base(p)
		base = strings.TrimSuffix(base, filepath.Ext(base))
		base = strings.Map(func(r rune) rune {
			if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) {
				return '_'
			}
			return r
		}, strings.TrimLeft(base, ".-"))
		if len(base) > 100 {
			base = strings.ToValidUTF8(base[:100], "")
		}
		if base == "" {
			base = "clip"
		}
		seen[base]++
		if n := seen[base]; n > 1 {
			base = fmt.Sprintf("%s-%d", base, n)
		}
		names = append(names, base)
	}
	return names
}

// takesMore accepts a first argument of a name and then at least least of another.
func takesMore(first, rest string, least int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > least {
			return nil
		}
		want := first
		if least > 0 {
			want += " and at least one " + rest
		}
		return usageError(fmt.Errorf("%s takes %s, got %s; see %[1]s --help",
			c.CommandPath(), want, given(args)))
	}
}
