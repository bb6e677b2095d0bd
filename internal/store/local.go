package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"avjepa/internal/durable"
)

// fileLocation returns the folder that a file:// URL names.
func fileLocation(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" ||
		strings.ContainsRune(u.Path, 0) || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%w: %.200q is not file:///folder", ErrLocation, location)
	}
	dir := filepath.FromSlash(u.Path)
	if drive := filepath.FromSlash(u.Path[1:]); filepath.VolumeName(drive) != "" {
		dir = drive // file:///C:/folder
	}
	return dir, nil
}

// path returns the file of an object. Reading follows links, wherever they lead, so
// that a folder may be put together from several disks.
func (s *Store) path(name string) (string, error) {
	local, err := filepath.Localize(name)
	if err != nil {
		return "", fmt.Errorf("%w: %.80q cannot name a file of this system", ErrName, name)
	}
	return filepath.Join(s.dir, local), nil
}

// stat returns what the system knows of an object's file. A folder is no object, and
// opening what is neither file nor folder might never return.
func (s *Store) stat(name string) (fs.FileInfo, error) {
	file, err := s.path(name)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(file)
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file: %w", file, ErrNotExist)
	}
	return fi, err
}

func (s *Store) openLocal(name string) (*os.File, error) {
	if _, err := s.stat(name); err != nil {
		return nil, err
	}
	file, _ := s.path(name)
	return os.Open(file)
}

func (s *Store) readLocal(name string, p []byte, off int64) error {
	f, err := s.openLocal(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("reading %s: %w: it has no %d bytes at %d, only %d",
			f.Name(), ErrShort, len(p), off, n)
	}
	return err
}

// writeLocal writes below the store's folder, out of which no link leads it.
func (s *Store) writeLocal(name string, write func(io.Writer) error) error {
	return s.inRoot(name, func(root *os.Root, local string) error {
		if err := root.MkdirAll(filepath.Dir(local), 0o755); err != nil {
			return err
		}
		return durable.WriteFileIn(root, local, write)
	})
}

func (s *Store) removeLocal(name string) error {
	return s.inRoot(name, func(root *os.Root, local string) error {
		if fi, err := root.Lstat(local); err == nil && fi.IsDir() {
			return fmt.Errorf("%s is a folder: %w", s.where(name), ErrNotExist)
		}
		return root.Remove(local)
	})
}

// inRoot calls f with the store's folder, which it makes if need be, and name as a
// path of the system's.
func (s *Store) inRoot(name string, f func(root *os.Root, local string) error) error {
	local, err := filepath.Localize(name)
	if err != nil {
		return fmt.Errorf("%w: %.80q cannot name a file of this system", ErrName, name)
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root, local)
}

func (s *Store) copyLocal(ctx context.Context, name, file string, progress func(int64)) error {
	src, size, err := openSource(file)
	if err != nil {
		return err
	}
	defer src.Close()
	return s.writeLocal(name, func(w io.Writer) error {
		_, err := io.Copy(w, &source{ctx: ctx, r: src, size: size, progress: progress})
		return err
	})
}

// openSource opens a file that is to be copied, and returns its size in bytes.
func openSource(file string) (*os.File, int64, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return nil, 0, err
	}
	if !fi.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a file", file)
	}
	f, err := os.Open(file)
	return f, fi.Size(), err
}

// listLocal sorts all names first: in the order of folders, as they are walked, "a/b"
// would come before "a.b". Linked folders are not entered: they might lead in circles.
func (s *Store) listLocal(prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		var found []Object
		root := os.DirFS(s.dir)
		visit := func(name string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() || !strings.HasPrefix(name, prefix) || CheckName(name) != nil ||
				durable.IsTemporary(path.Base(name)) {
				return nil
			}
			if fi, err := fs.Stat(root, name); err == nil && fi.Mode().IsRegular() {
				found = append(found, Object{name, fi.Size()})
			}
			return nil
		}
		top := path.Dir(prefix + "x")
		err := fs.WalkDir(root, top, visit)
		if errors.Is(err, ErrNotExist) && top != "." {
			err = nil // as in a bucket, where a prefix needs no folder
		}
		if err != nil {
			yield(Object{}, err)
			return
		}
		slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
		for _, o := range found {
			if !yield(o, nil) {
				return
			}
		}
	}
}
