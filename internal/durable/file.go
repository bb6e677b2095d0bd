// Package durable writes files whole or not at all, and keeps a folder to one
// process at a time.
//
//	unlock, err := durable.Lock("runs/mine/.lock")
//	defer unlock()
//	err = durable.WriteFile("runs/mine/summary.json", func(w io.Writer) error { … })
package durable

import (
	"crypto/rand"
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
func WriteFile(path string, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+temporary+"*")
	if err != nil {
		return err
	}
	if err = finish(f, path, write); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return SyncDir(dir)
}

// WriteFileIn is WriteFile for the file called name below root, a path of the
// system's, whose folder exists. No link leads it out of root.
func WriteFileIn(root *os.Root, name string, write func(io.Writer) error) error {
	dir := filepath.Dir(name)
	temp := filepath.Join(dir, "."+filepath.Base(name)+temporary+rand.Text())
	f, err := root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = finish(f, filepath.Join(root.Name(), name), write); err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		root.Remove(temp)
		return err
	}
	if runtime.GOOS == "windows" { // as in SyncDir
		return nil
	}
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// finish writes the temporary file f, which is to become path, and closes it.
func finish(f *os.File, path string, write func(io.Writer) error) error {
	err := f.Chmod(0o644)
	if err == nil {
		err = write(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("no space left to write %s: free some in %s and run again: %w",
			path, filepath.Dir(path), err)
	}
	return err
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

// IsTemporary reports whether a file called name, without its folder, is one that
// WriteFile or WriteFileIn has not finished.
func IsTemporary(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, temporary)
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
		if !IsTemporary(name) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
