package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"avjepa/internal/durable"
	"avjepa/internal/manifest"
	"avjepa/internal/store"
)

const (
	classesFile     = "classes.json"
	maxClassesBytes = 64 << 20
)

// keepClasses adds classes to those that the dataset in dir has. They are kept apart
// from the clips: a class all of whose clips are missing is still one of the head's
// outputs.
func keepClasses(dir string, classes []manifest.Class) error {
	if len(classes) == 0 {
		return nil
	}
	there, err := readClassesIn(dir)
	if err != nil {
		return err
	}
	merged := manifest.MergeClasses(there, classes)
	if err := manifest.CheckClasses(merged); err != nil {
		return fmt.Errorf("dataset: %w: %w", manifest.ErrManifest, err)
	}
	if slices.Equal(merged, there) {
		return nil
	}
	err = durable.WriteFile(filepath.Join(dir, classesFile), func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(merged)
	})
	if err != nil {
		return diskError("dataset: "+dir, err)
	}
	return nil
}

// readClassesIn is readClasses for a folder.
func readClassesIn(dir string) ([]manifest.Class, error) {
	at, err := store.Open(context.Background(), dir, store.Config{Retry: -1})
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return readClasses(context.Background(), at)
}

// readClasses returns the classes of the dataset at a location, none when it has no list.
func readClasses(ctx context.Context, at *store.Store) ([]manifest.Class, error) {
	f, err := at.NewReader(ctx, classesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	defer f.Close()
	var classes []manifest.Class
	dec := json.NewDecoder(io.LimitReader(f, maxClassesBytes))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&classes); err == nil {
		err = manifest.CheckClasses(classes)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: %s of %s: %w: %w", classesFile, at, ErrCorrupt, err)
	}
	return classes, nil
}

// classesOf completes the classes of a list with labels that clips have and the
// list lacks.
func classesOf(listed []manifest.Class, clips []Info) []manifest.Class {
	seen := make(map[string]bool)
	var found []manifest.Class
	for i := range clips {
		for _, l := range clips[i].Labels {
			if !seen[l] {
				seen[l] = true
				found = append(found, manifest.Class{ID: l})
			}
		}
	}
	slices.SortFunc(found, func(a, b manifest.Class) int {
		if a.ID < b.ID {
			return -1
		}
		return 1 // IDs differ
	})
	return manifest.MergeClasses(listed, found)
}
