// Package durable writes files whole or not at all, and keeps a folder to one
// process at a time.
//
//	unlock, err := durable.Lock("runs/mine/.lock")
//	defer unlock()
//	err = durable.WriteFile("runs/mine/summary.json", func(w io.Writer) error { … })
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// temporary is in the name of every file that is not finished, between the name
// it will have and a random number.
const temporary = ".tmp-"

// WriteFile gives write a temporary file beside path, syncs it and renames
// it to path. On any error the temporary file is removed and path is untouched.
func WriteFile(path string, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+temporary+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
				err = fmt.Errorf("no space left to write %s: free some in %s and run again: %w",
					path, dir, err)
			}
		}
	}()
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = write(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes created and renamed names in dir durable. Windows cannot sync a
// folder: there its journal alone keeps the names.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// RemoveTemporary removes what calls of WriteFile that a kill cut short have left
// in dir. The caller holds the lock of dir, so that none is being written.
func RemoveTemporary(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, ".") || !strings.Contains(name, temporary) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
