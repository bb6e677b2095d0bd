package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"avjepa/internal/config"
	"avjepa/internal/dataset"
	"avjepa/internal/encoder"
	"avjepa/internal/engine"
	"avjepa/internal/indexing"
	"avjepa/internal/media"
)

// encodeOptions are the flags of commands that embed files.
type encodeOptions struct {
	data, split string
	embedding   string
	windows     int
	stride      time.Duration
	maxSeconds  float64
	segment     time.Duration // that longer files are cut into; 0: they are not
	workers     int
	set         []string
	engine      config.Engine
}

func (o *encodeOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.data, "data", "", "data set written by avjepa ingest, instead of files; a folder or a remote one")
	f.StringVar(&o.split, "split", "", "of --data, only the clips of this split")
	f.StringVar(&o.embedding, "embedding", "projected", "projected, cls or patches")
	f.IntVar(&o.windows, "windows", 1, "windows evenly over a clip")
	f.DurationVar(&o.stride, "stride", 0, "time between windows, such as 500ms, instead of --windows")
	f.DurationVar(&o.segment, "segment", 0,
		"cut longer files into parts of this length, such as 10s, each a clip with its start and end")
	f.Float64Var(&o.maxSeconds, "max-seconds", 60, "longest file, or part of one, that is read")
	f.IntVar(&o.workers, "workers", 0, "files read at a time, 0 for one per core")
	f.StringArrayVar(&o.set, "set", nil,
		"one setting over the run's, such as --set view.side=160; may be repeated")
	engineFlags(f, &o.engine)
}

// check refuses values that no command can use, and sources of both kinds.
func (o *encodeOptions) check(command string, sources []string) error {
	switch {
	case len(sources) == 0 && o.data == "":
		return usageError(fmt.Errorf("%s: no files: name files or folders, or --data DIR", command))
	case len(sources) > 0 && o.data != "":
		return usageError(fmt.Errorf("%s: both files (%s …) and --data %s: give one of them", command,
			sources[0], o.data))
	case o.split != "" && o.data == "":
		return usageError(fmt.Errorf("--split %s is for --data: files have no split", o.split))
	case o.windows < 1 || o.windows > 10_000:
		return usageError(fmt.Errorf("--windows %d: must be 1 to 10 000", o.windows))
	case o.stride != 0 && (o.stride < 10*time.Millisecond || o.windows != 1):
		return usageError(fmt.Errorf("--stride %v: at least 10ms, and without --windows", o.stride))
	case !(o.maxSeconds > 0 && o.maxSeconds <= 24*3600):
		return usageError(fmt.Errorf("--max-seconds %v: must be above 0 and at most 86400", o.maxSeconds))
	case o.segment != 0 && o.data != "":
		return usageError(fmt.Errorf("--segment %v: it is for files; avjepa ingest --clip-seconds cuts what a "+
			"data set is made of", o.segment))
	case o.segment != 0 && (o.segment < time.Second || 1.5*o.segment.Seconds() > o.maxSeconds):
		return usageError(fmt.Errorf("--segment %v: at least 1s, and with --max-seconds %g at most %gs, as the "+
			"last part of a file may be half as long again", o.segment, o.maxSeconds, o.maxSeconds/1.5))
	case o.workers < 0:
		return usageError(fmt.Errorf("--workers %d: must not be negative", o.workers))
	}
	if _, err := (encoder.Vectors{}).Pick(o.embedding); err != nil {
		return usageError(fmt.Errorf("--embedding %q is none of projected, cls, patches", o.embedding))
	}
	return nil
}

// items lists what is to be embedded.
func (o *encodeOptions) items(ctx context.Context, sources []string, p *progress) ([]indexing.Item, error) {
	if o.data == "" {
		return indexing.Files(sources)
	}
	set, err := openSet(ctx, o.data, p)
	if err != nil {
		return nil, err
	}
	if o.split != "" {
		part := set.Select(o.split)
		if part.Len() == 0 {
			return nil, fmt.Errorf("%s has no clip in split %q: it has %s", o.data, o.split,
				strings.Join(set.Splits(), ", "))
		}
		set = part
	}
	return indexing.Stored(absLocation(o.data), set), nil
}

// embedding is what a command that embeds works with.
type embedding struct {
	*opened
	items []indexing.Item
	with  indexing.Embedding
}

// begin checks the options of a command, lists what is to be embedded, and opens the model
// at path, which the caller closes.
func (o *encodeOptions) begin(ctx context.Context, command, path string, sources []string, p *progress) (
	*embedding, error) {

	if err := o.check(command, sources); err != nil {
		return nil, err
	}
	items, err := o.items(ctx, sources, p)
	if err != nil {
		return nil, err
	}
	x, err := o.openEncoder(path)
	if err != nil {
		return nil, err
	}
	if o.segment > 0 {
		if items, err = o.cut(ctx, x, items, p); err != nil {
			x.close()
			return nil, err
		}
	}
	return &embedding{x, items, o.with(x)}, nil
}

// cut replaces long files by their parts.
func (o *encodeOptions) cut(ctx context.Context, x *opened, items []indexing.Item, p *progress) (
	[]indexing.Item, error) {

	if view := x.Maker().Config().Seconds; o.segment.Seconds() < view {
		return nil, usageError(fmt.Errorf("--segment %v: the model sees %g s at a time, a part must have as much",
			o.segment, view))
	}
	st := p.stage(ctx, "lengths", int64(len(items)), "files")
	parts, err := indexing.Cut(ctx, x.tools, items, o.segment.Seconds(), cmp.Or(o.workers, workers(x.Config())),
		func(n int) { st.set(int64(n), int64(len(items)), "") })
	st.endWith(err)
	if errors.Is(err, context.Canceled) {
		err = sameAgain(errInterrupted)
	}
	return parts, err
}

// sayTooLong says what helps where files were too long.
func (o *encodeOptions) sayTooLong(p *progress, left []leftEmbed) {
	n := 0
	for _, l := range left {
		if l.Outcome == string(media.TooLarge) {
			n++
		}
	}
	if n > 0 && o.segment == 0 && o.data == "" {
		p.say("too long or too large: %s; --segment 10s cuts long ones into parts, --max-seconds takes them whole",
			amount(n, "files"))
	}
}

// opened is an encoder with what it needs.
type opened struct {
	*encoder.Encoder
	tools media.Tools
	close func()
}

// openEncoder opens the model at path on the engine that flags and environment choose.
// Without ffmpeg it still opens when only stored clips are to be read.
func (o *encodeOptions) openEncoder(path string) (*opened, error) {
	tools, err := media.Find()
	if err != nil && o.data == "" {
		return nil, err
	}
	x, e, err := openModel(path, o.engine, encoder.Options{Set: o.set})
	if err != nil {
		return nil, err
	}
	return &opened{x, tools, func() { x.Close(); e.Close() }}, nil
}

// openModel opens the model at path on the engine that flags and environment choose, and
// returns both, which the caller closes.
func openModel(path string, choice config.Engine, o encoder.Options) (*encoder.Encoder, engine.Engine, error) {
	run, err := encoder.Read(path)
	if err != nil {
		return nil, nil, modelError(err)
	}
	return openRead(run, choice, o)
}

// openRead is openModel of a run that was read.
func openRead(run *encoder.Run, choice config.Engine, o encoder.Options) (*encoder.Encoder, engine.Engine, error) {
	var err error
	if run.Config.Engine, err = localEngine(run.Config.Engine, choice.Name, choice.Device); err != nil {
		return nil, nil, err
	}
	e, err := openEngine(run.Config)
	if err != nil {
		return nil, nil, err
	}
	x, err := run.Open(e, o)
	if err != nil {
		e.Close()
		return nil, nil, modelError(err)
	}
	return x, e, nil
}

// embedding is how the options have items embedded.
func (o *encodeOptions) with(x *opened) indexing.Embedding {
	return indexing.Embedding{Encoder: x.Encoder, Tools: x.tools, Name: o.embedding,
		Workers: cmp.Or(o.workers, workers(x.Config())),
		Read: encoder.ReadOptions{Stride: o.stride, Windows: o.windows, MaxSeconds: o.maxSeconds,
			Limits: media.Limits{MaxSeconds: o.maxSeconds}}}
}

// leftOutError is the error of a command that did its work without n of the sources.
func leftOutError(n int, why string) error {
	if n == 0 {
		return nil
	}
	return kind{fmt.Errorf("done, without what could not be used (%d%s)", n, why), errPartial}
}

// unreadable turns the error for a file that a command cannot do without into one for people.
func unreadable(path string, err error) error {
	var f *media.FileError
	if errors.As(err, &f) {
		return fmt.Errorf("%s cannot be used: %s: %s", path, f.Outcome, f.Reason)
	}
	if errors.Is(err, dataset.ErrCorrupt) {
		return fmt.Errorf("%w: avjepa data verify lists what is damaged", err)
	}
	return err
}
