package dataset

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"

	"avjepa/internal/durable"
	"avjepa/internal/manifest"
	"avjepa/internal/neardup"
	"avjepa/internal/store"
)

const (
	duplicatesFile     = "duplicates.csv"
	maxDuplicatesBytes = 1 << 30
)

// Duplicate names two clips of one recording, or nearly so.
type Duplicate struct {
	Key, Other     string  // Key < Other
	Picture, Sound float64 // how far they differ, from 0 to 1: see neardup.Pair
	Across         bool    // they are in different splits
}

// findDuplicates compares the signatures of clips, which are sorted by key.
func findDuplicates(ctx context.Context, clips []Info) ([]Duplicate, error) {
	signatures := make([]neardup.Signature, len(clips))
	for i := range clips {
		// One of another version says nothing.
		signatures[i], _ = neardup.Parse(clips[i].Signature)
	}
	pairs, err := neardup.Find(ctx, signatures)
	if err != nil {
		return nil, err
	}
	found := make([]Duplicate, len(pairs))
	for i, p := range pairs {
		a, b := &clips[p.A], &clips[p.B]
		found[i] = Duplicate{a.Key, b.Key, p.Picture, p.Sound, a.Split != b.Split}
	}
	return found, nil
}

// writeDuplicates writes duplicates.csv.
func writeDuplicates(dir string, pairs []Duplicate) error {
	return durable.WriteFile(filepath.Join(dir, duplicatesFile), func(w io.Writer) error {
		c := csv.NewWriter(w)
		number := func(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }
		err := c.Write([]string{"key", "other", "picture", "sound", "same_split"})
		for _, d := range pairs {
			if err == nil {
				err = c.Write([]string{d.Key, d.Other, number(d.Picture), number(d.Sound),
					strconv.FormatBool(!d.Across)})
			}
		}
		c.Flush()
		return errors.Join(err, c.Error())
	})
}

// ReadDuplicates returns the pairs in a dataset's duplicates.csv, none when it has no
// such file. ErrCorrupt when it is no such file.
func ReadDuplicates(ctx context.Context, at *store.Store) ([]Duplicate, error) {
	f, err := at.NewReader(ctx, duplicatesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	rows := csv.NewReader(io.LimitReader(f, maxDuplicatesBytes))
	rows.FieldsPerRecord, rows.ReuseRecord = 5, true
	if _, err = rows.Read(); err == io.EOF {
		err = errors.New("it is empty")
	}
	var pairs []Duplicate
	for err == nil {
		var row []string
		if row, err = rows.Read(); err != nil {
			break
		}
		d := Duplicate{Key: row[0], Other: row[1], Across: row[4] != "true"}
		var bad [2]error
		d.Picture, bad[0] = strconv.ParseFloat(row[2], 64)
		d.Sound, bad[1] = strconv.ParseFloat(row[3], 64)
		err = errors.Join(bad[0], bad[1], manifest.CheckKey(d.Key), manifest.CheckKey(d.Other))
		pairs = append(pairs, d)
	}
	if err != io.EOF {
		return nil, fmt.Errorf("dataset: %s of %s: %w: %w: avjepa data index writes it anew",
			duplicatesFile, at, ErrCorrupt, err)
	}
	return pairs, nil
}
