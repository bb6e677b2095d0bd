package vectorfile

import (
	"bufio"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"avjepa/internal/durable"
)

// sidecar is the name of the CSV beside a NumPy file: row i of it is about row i there.
func sidecar(path string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ".csv"
}

// writeNumPy writes an array (n, dims) of float32 and the CSV. The CSV is in its place first: a
// NumPy file is never without.
func writeNumPy(path string, dims int, each func(add func(*Row) error) error) error {
	return durable.WriteFile(path, func(w io.Writer) error {
		return durable.WriteFile(sidecar(path), func(side io.Writer) error {
			to := &numpy{w: bufio.NewWriterSize(w, 1<<18), rows: csv.NewWriter(side), dims: dims}
			// The number of rows is known at the end: room for it is left.
			if _, err := to.w.Write(numpyHeader(0, dims)); err != nil {
				return err
			}
			err := to.rows.Write([]string{"row", "key", "path", "start_seconds", "modality", "label", "labels",
				"split", "model"})
			if err == nil {
				err = each(checked(dims, to.add))
			}
			to.rows.Flush()
			if err = errors.Join(err, to.w.Flush(), to.rows.Error()); err != nil {
				return err
			}
			f, ok := w.(*os.File)
			if !ok {
				return errors.New("vectorfile: the file cannot be written at an offset")
			}
			_, err = f.WriteAt(numpyHeader(to.n, dims), 0)
			return err
		})
	})
}

// numpyHeader is the first 128 bytes of a file of version 1.0.
//
// Source: NEP 1, the NPY format.
func numpyHeader(rows, dims int) []byte {
	const size = 128
	text := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", rows, dims)
	h := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(h[8:], size-10)
	h = append(h, text...)
	h = append(h, strings.Repeat(" ", size-1-len(h))...)
	return append(h, '\n')
}

type numpy struct {
	w    *bufio.Writer
	rows *csv.Writer
	dims int
	n    int
	room []byte
}

func (f *numpy) add(r *Row) error {
	f.room = f.room[:0]
	for _, x := range r.Vector {
		f.room = binary.LittleEndian.AppendUint32(f.room, math.Float32bits(x))
	}
	if _, err := f.w.Write(f.room); err != nil {
		return err
	}
	err := f.rows.Write([]string{strconv.Itoa(f.n), r.Key, r.Path, strconv.FormatFloat(r.Start, 'f', -1, 64),
		r.Modality, r.Label, strings.Join(r.Labels, ";"), r.Split, r.Model})
	f.n++
	return err
}
