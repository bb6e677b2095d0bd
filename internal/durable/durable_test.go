package durable

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestFailedWriteKeepsOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(path, func(w io.Writer) error {
		w.Write([]byte("half of the n"))
		return io.ErrClosedPipe
	})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Errorf("file is %q", b)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%d files left behind", len(left)-1)
	}
}

// TestWriteFileIn writes below a folder, keeps the old file when it fails, and follows no
// link out.
func TestWriteFileIn(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	name := filepath.Join("sub", "a")
	write := func(name, text string, fault error) error {
		return WriteFileIn(root, name, func(w io.Writer) error {
			io.WriteString(w, text)
			return fault
		})
	}
	if err := write(name, "old", nil); err != nil {
		t.Fatal(err)
	}
	if err := write(name, "half", io.ErrClosedPipe); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, name)); string(b) != "old" {
		t.Errorf("file is %q", b)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "sub")); len(left) != 1 {
		t.Errorf("%d files left behind", len(left)-1)
	}
	if err := os.Symlink(out, filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	if err := write(filepath.Join("link", "a"), "x", nil); err == nil {
		t.Error("written through a link that leads out")
	}
	if left, _ := os.ReadDir(out); len(left) != 0 {
		t.Errorf("%d files outside", len(left))
	}
}

// TestRemoveTemporary leaves everything but the remains of a write cut short.
func TestRemoveTemporary(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	err := WriteFile(path, func(w io.Writer) error {
		for _, name := range []string{".lock", "b.tmp-1", ".c"} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
				return err
			}
		}
		// The file being written is what a kill would leave at this point.
		if err := RemoveTemporary(dir); err != nil {
			return err
		}
		_, err := w.Write([]byte("whole"))
		return err
	})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is still there to be renamed: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 {
		t.Errorf("%d files left: %v, %v", len(left), left, err)
	}
}

func TestLockIsExclusive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v, want ErrLocked", err)
	}
	unlock()
	unlock, err = Lock(path)
	if err != nil {
		t.Fatalf("after unlock: %v", err)
	}
	unlock()
}
