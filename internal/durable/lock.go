package durable

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ErrLocked is behind the error for a folder that another process works in.
var ErrLocked = errors.New("in use by another process")

// Lock takes the exclusive lock that the file at path stands for and returns
// the function that gives it back. It does not wait: when another process holds
// the lock the error is ErrLocked and names that process. The kernel frees the
// lock of a process that dies, so no stale lock is left behind.
func Lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		var who [32]byte
		n, _ := f.Read(who[:])
		f.Close()
		if !errors.Is(err, ErrLocked) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if pid := strings.TrimSpace(string(who[:n])); pid != "" {
			return nil, fmt.Errorf("%s: %w (process %s)", path, ErrLocked, pid)
		}
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	// Who holds it is a courtesy to whoever is refused: failing to say so is no fault.
	f.Truncate(0)
	f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
	return func() { f.Close() }, nil
}
