package train

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullDisk trains on a file system that has room for one checkpoint: the run
// stops, says why, and the old checkpoint is whole.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "root", "a small file system can only be mounted as root")
	}
	small := t.TempDir()
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		skip(t, "root", "mounting tmpfs: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	r := newTrial(t)
	r.dir = filepath.Join(small, "run")
	cfg := tinyConfig(10)
	cfg.StopAfter = 5
	r.mustRun(cfg)
	good := r.last()
	st := syscall.Statfs_t{}
	if err := syscall.Statfs(small, &st); err != nil {
		t.Fatal(err)
	}
	spare := int(st.Bavail)*int(st.Bsize) - len(good)/2
	if spare < 0 {
		t.Fatalf("a checkpoint has %d bytes, %d blocks are left", len(good), st.Bavail)
	}
	if err := os.WriteFile(filepath.Join(small, "big"), make([]byte, spare), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg.StopAfter, cfg.Resume = 0, true
	res, err := r.run(context.Background(), cfg)
	wantError(t, err, syscall.ENOSPC, "no space left", "checkpoints")
	if string(r.last()) != string(good) || res.Checkpoint == "" {
		t.Errorf("the old checkpoint is not intact, or not named: %q", res.Checkpoint)
	}
	if err := os.Remove(filepath.Join(small, "big")); err != nil {
		t.Fatal(err)
	}
	r.mustRun(cfg)
	whole := r.in("whole")
	whole.mustRun(tinyConfig(10))
	r.same(whole, "after a full disk")
}
