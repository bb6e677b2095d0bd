package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// eachLine calls each with every line of a file of the dataset, without its end, and its
// number from 1. A line that is too long comes as nil. It returns fs.ErrNotExist when
// there is no such file, and an error when the last line has no end: torn.
func eachLine(ctx context.Context, dir, name string, each func(n int, line []byte)) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	buf := bufio.NewReaderSize(f, max(maxLineBytes, 1<<20))
	for n := 1; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := buf.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLineBytes
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = buf.ReadSlice('\n')
		}
		switch {
		case err == io.EOF && len(line) == 0:
			return nil
		case err == io.EOF:
			return errTorn
		case err != nil:
			return fmt.Errorf("dataset: %s: %w", name, err)
		case long:
			each(n, nil)
		default:
			each(n, line[:len(line)-1])
		}
	}
}

var errTorn = errors.New("the last line has no end")

// readIndex reads the index line by line: one that is wrong is a fault, and its clip is
// not looked for.
func (v *verifier) readIndex(ctx context.Context) ([]Info, error) {
	var clips []Info
	seen := make(map[string]bool)
	shared, last := newShared(), ""
	err := eachLine(ctx, v.cfg.Dir, indexFile, func(n int, line []byte) {
		f, err := parseExactly(line)
		switch {
		case err == nil && seen[f.Key]:
			err = fmt.Errorf("key %s for the second time", f.Key)
		case err == nil && f.Key < last:
			err = fmt.Errorf("key %s behind %s: lines are in order of keys", f.Key, last)
		}
		if err != nil {
			v.fault(Fault{File: indexFile, Offset: int64(n), Problem: err.Error()})
			return
		}
		seen[f.Key], last = true, f.Key
		f.Labels = shared.labelsOf(f.Labels)
		clips = append(clips, f)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("dataset: %s has no %s: %w; run ingest to its end, or avjepa data index "+
			"to make one from shards", v.cfg.Dir, indexFile, ErrNotDataset)
	}
	if errors.Is(err, errTorn) {
		v.fault(Fault{File: indexFile, Offset: int64(len(clips) + 1), Problem: err.Error()})
		err = nil
	}
	return clips, err
}

// parseExactly reads a line of the index that is byte for byte as writeIndex has it.
func parseExactly(line []byte) (Info, error) {
	var f Info
	if line == nil {
		return f, fmt.Errorf("longer than %d bytes", maxLineBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return f, err
	}
	if err := f.validate(); err != nil {
		return f, err
	}
	if again := encode(&f); !bytes.Equal(again, line) {
		return f, fmt.Errorf("not as it was written: %.200q", line)
	}
	return f, nil
}

// encode returns a clip's line of the index, without its end.
func encode(f *Info) []byte {
	var b bytes.Buffer
	if err := writeIndex(&b, []Info{*f}); err != nil {
		panic("dataset: index: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// compareLedger compares the clips that the ledger has with those of the index, which
// are in order of keys. A dataset that others made has no ledger.
func (v *verifier) compareLedger(ctx context.Context, clips []Info) error {
	place := make(map[string]int, len(clips))
	for i := range clips {
		place[clips[i].Key] = i
	}
	named := make([]bool, len(clips))
	err := eachLine(ctx, v.cfg.Dir, ledgerFile, func(n int, line []byte) {
		var l struct{ Clip *Info }
		err := fmt.Errorf("longer than %d bytes", maxLineBytes)
		if line != nil {
			err = json.Unmarshal(line, &l)
		}
		if err == nil && l.Clip != nil {
			i, ok := place[l.Clip.Key]
			switch {
			case !ok:
				err = fmt.Errorf("clip %.100s is not in the index", l.Clip.Key)
			case named[i]:
				err = fmt.Errorf("clip %s for the second time", l.Clip.Key)
			case !bytes.Equal(encode(l.Clip), encode(&clips[i])):
				err = fmt.Errorf("clip %s is another one in the index", l.Clip.Key)
			}
			if ok {
				named[i] = true
			}
		}
		if err != nil {
			v.fault(Fault{File: ledgerFile, Offset: int64(n), Problem: err.Error()})
		}
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, errTorn) {
		err = nil // ingest was killed and has not gone on; it cuts that off
	}
	v.out.Ledger = err == nil
	for i := range clips {
		if err == nil && !named[i] {
			v.fault(Fault{File: ledgerFile, Key: clips[i].Key, Problem: "it does not name the clip"})
		}
	}
	return err
}
