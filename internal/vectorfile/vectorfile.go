// Package vectorfile writes embeddings to files that other programs read: Parquet, NumPy and
// JSON lines.
//
//	err := vectorfile.Write("clips.parquet", dims, func(add func(vectorfile.Row) error) error { … })
package vectorfile

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"avjepa/internal/durable"
)

// Row is one embedding.
type Row struct {
	Key      string    `parquet:"key" json:"key"`                     // of the clip
	Path     string    `parquet:"path" json:"path"`                   // of the file, or the data set's location
	Start    float64   `parquet:"start_seconds" json:"start_seconds"` // of the window
	Modality string    `parquet:"modality,dict" json:"modality"`      // audio, video or both
	Vector   []float32 `parquet:"embedding,list" json:"embedding"`
	Label    string    `parquet:"label,dict" json:"label"` // the first of them
	Labels   []string  `parquet:"labels,list" json:"labels"`
	Split    string    `parquet:"split,dict" json:"split"`
	Model    string    `parquet:"model,dict" json:"model"` // ID of what embedded it
}

// writer is one form of file.
type writer interface {
	add(r *Row) error
	close() error
}

// Forms are the endings of the names that Check accepts.
var Forms = []string{".parquet", ".npy", ".jsonl"}

// Check refuses a name whose ending is none of Forms.
func Check(path string) error {
	ext := strings.ToLower(filepath.Ext(path))
	for _, f := range Forms {
		if f == ext {
			return nil
		}
	}
	return fmt.Errorf("%s must end in %s", path, strings.Join(Forms, ", "))
}

// Files returns the files that Write makes for a name.
func Files(path string) []string {
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		return []string{path, sidecar(path)}
	}
	return []string{path}
}

// Write writes the rows that each gives to add to the file at path, whole or not at all, in the
// form that its name says. The same rows make the same bytes. All vectors must have dims numbers.
// Memory is that of some thousand rows.
func Write(path string, dims int, each func(add func(*Row) error) error) error {
	if err := Check(path); err != nil {
		return err
	}
	if strings.EqualFold(filepath.Ext(path), ".npy") {
		return writeNumPy(path, dims, each)
	}
	return durable.WriteFile(path, func(w io.Writer) error {
		var to writer = newLines(w)
		if strings.EqualFold(filepath.Ext(path), ".parquet") {
			to = newParquet(w)
		}
		if err := each(checked(dims, to.add)); err != nil {
			return err
		}
		return to.close()
	})
}

// checked refuses rows of another length.
func checked(dims int, add func(*Row) error) func(*Row) error {
	return func(r *Row) error {
		if len(r.Vector) != dims {
			return fmt.Errorf("vectorfile: %s: a vector of %d numbers among those of %d", r.Key,
				len(r.Vector), dims)
		}
		return add(r)
	}
}

// lines writes JSON lines.
type lines struct{ enc *json.Encoder }

func newLines(w io.Writer) *lines {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &lines{enc}
}

func (l *lines) add(r *Row) error {
	row := *r
	if row.Labels == nil {
		row.Labels = []string{}
	}
	return l.enc.Encode(row)
}

func (l *lines) close() error { return nil }
