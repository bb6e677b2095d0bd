package finetune

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"avjepa/internal/loader"
	"avjepa/internal/vit"
)

// kept are the features of clips under some inputs, made once.
type kept struct {
	clips   []int            // stored row → clip
	skipped map[string]error // clips that could not be read
	inputs  []vit.Modality
	of      []keptInput // by input
	net     *Network
}

// keptInput are the rows of one input.
type keptInput struct{ cls, tokens *rows }

// keepBytes returns what keeping the features of so many clips takes.
func (n *Network) keepBytes(clips int, inputs []vit.Modality) int64 {
	values := 0
	for _, m := range inputs {
		values += n.Encoder.Width * (1 + n.keptTokens(m))
	}
	return 4 * int64(values) * int64(clips)
}

// keptTokens returns how many tokens of a clip are kept.
func (n *Network) keptTokens(m vit.Modality) int {
	if !n.Attentive {
		return 0
	}
	return n.patches(m)
}

// keep makes the features of the evaluation views of all clips that can be read. They
// stay in memory, or with a folder in a file there that has no name: it is gone with
// the process.
func (n *Network) keep(ctx context.Context, clips *loader.Clips, inputs []vit.Modality,
	workers int, folder string, done func(n int)) (*kept, error) {
	k := &kept{net: n, inputs: inputs, skipped: map[string]error{}}
	for _, m := range inputs {
		in := keptInput{}
		for _, r := range []struct {
			to    **rows
			width int
		}{{&in.cls, n.Encoder.Width}, {&in.tokens, n.keptTokens(m) * n.Encoder.Width}} {
			var err error
			if *r.to, err = newRows(r.width, clips.Set.Len(), folder); err != nil {
				k.close()
				return nil, err
			}
		}
		k.of = append(k.of, in)
	}
	w := newWindows(n, clips, 1)
	err := w.each(ctx, workers, done, k.skipped, func(taken []int) error {
		for i, m := range inputs {
			in := k.of[i]
			cls := make([]float32, len(taken)*in.cls.width)
			tokens := make([]float32, len(taken)*in.tokens.width)
			n.readFeatures(cls, tokens, len(taken), m)
			if err := in.cls.append(cls); err != nil {
				return err
			}
			if err := in.tokens.append(tokens); err != nil {
				return err
			}
		}
		k.clips = append(k.clips, taken...)
		return n.engine.Sync()
	})
	if err == nil && len(k.clips) == 0 {
		err = fmt.Errorf("finetune: none of the %d clips can be read", clips.Set.Len())
	}
	if err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

func (k *kept) close() {
	if k == nil {
		return
	}
	for _, in := range k.of {
		for _, r := range []*rows{in.cls, in.tokens} {
			if r != nil {
				r.close()
			}
		}
	}
}

// use sets the network's features to those of stored rows under an input.
func (k *kept) use(input int, at []int) error {
	in := k.of[input]
	cls, err := in.cls.read(at)
	if err != nil {
		return err
	}
	tokens, err := in.tokens.read(at)
	if err != nil {
		return err
	}
	k.net.useFeatures(cls, tokens, len(at))
	return nil
}

// score is Network.Score of the kept features.
func (k *kept) score(ctx context.Context) (*Scores, error) {
	s := &Scores{Clips: k.clips, Skipped: k.skipped, Of: make([]Logits, len(k.inputs))}
	n := k.net
	for i, m := range k.inputs {
		s.Of[i].Input = m
		for lo := 0; lo < len(k.clips); lo += n.views {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			var at []int
			for row := lo; row < min(lo+n.views, len(k.clips)); row++ {
				at = append(at, row)
			}
			if err := k.use(i, at); err != nil {
				return nil, err
			}
			linear, attentive := n.download(n.heads())
			s.Of[i].Linear = append(s.Of[i].Linear, linear...)
			s.Of[i].Attentive = append(s.Of[i].Attentive, attentive...)
		}
	}
	return s, n.engine.Sync()
}

// rows are rows of so many float32, in memory or in a file.
type rows struct {
	width int
	mem   []float32
	file  *os.File // nil: in memory
	count int
	bytes []byte
	out   []float32
}

// newRows returns no rows yet, with memory for count, or with a folder in a file there.
func newRows(width, count int, folder string) (*rows, error) {
	r := &rows{width: width}
	if folder == "" || width == 0 {
		r.mem = make([]float32, 0, width*count)
		return r, nil
	}
	f, err := os.CreateTemp(folder, ".features.tmp-*")
	if err != nil {
		return nil, fmt.Errorf("finetune: features: %w", err)
	}
	r.file = f
	os.Remove(f.Name()) // where the system allows it; else close does
	return r, nil
}

func (r *rows) close() {
	if r.file != nil {
		r.file.Close()
		os.Remove(r.file.Name())
	}
}

// append adds the rows of x.
func (r *rows) append(x []float32) error {
	if r.width == 0 {
		return nil
	}
	defer func() { r.count += len(x) / r.width }()
	if r.file == nil {
		r.mem = append(r.mem, x...)
		return nil
	}
	r.bytes = r.bytes[:0]
	for _, v := range x {
		r.bytes = binary.LittleEndian.AppendUint32(r.bytes, math.Float32bits(v))
	}
	if _, err := r.file.WriteAt(r.bytes, int64(r.count)*int64(r.width)*4); err != nil {
		return fmt.Errorf("finetune: features in %s: %w: free some space, or lower "+
			"finetune.spill_mb to make them anew in every epoch", filepath.Dir(r.file.Name()), err)
	}
	return nil
}

// read returns rows at, valid until the next call.
func (r *rows) read(at []int) ([]float32, error) {
	r.out = r.out[:0]
	if r.width == 0 {
		return r.out, nil
	}
	for _, i := range at {
		if r.file == nil {
			r.out = append(r.out, r.mem[i*r.width:(i+1)*r.width]...)
			continue
		}
		if cap(r.bytes) < 4*r.width {
			r.bytes = make([]byte, 4*r.width)
		}
		b := r.bytes[:4*r.width]
		if _, err := r.file.ReadAt(b, int64(i)*int64(len(b))); err != nil {
			return nil, fmt.Errorf("finetune: features in %s: %w", filepath.Dir(r.file.Name()), err)
		}
		for ; len(b) > 0; b = b[4:] {
			r.out = append(r.out, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	}
	return r.out, nil
}
