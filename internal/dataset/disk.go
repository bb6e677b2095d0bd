package dataset

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"avjepa/internal/durable"
)

// lock keeps a second writer out of dir until unlock is called or the process
// ends, however it ends.
func lock(dir string) (unlock func(), err error) {
	unlock, err = durable.Lock(filepath.Join(dir, ".lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("dataset: %w: %w: wait for it or end it", ErrLocked, err)
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: %w", err)
	}
	return unlock, nil
}

// diskError wraps err for what, and says what to do when the disk is full.
func diskError(what string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s: %w (%w): free some space and run the same command again; "+
			"it continues where it stopped", what, ErrDiskFull, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
