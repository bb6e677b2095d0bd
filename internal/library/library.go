package library

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"avjepa/internal/durable"
)

// Options say how a library is opened.
type Options struct {
	Write bool   // also to change it: no other process may then
	Model string // ID of the one whose vectors are searched; empty for the one used last
	Check bool   // look through the whole file for damage, which Open does only for small ones

	// Remote keeps and searches the vectors of models that have a Remote, instead of the
	// library's own file. Without it these are neither searched nor added to.
	Remote Remote
}

// Library is an open library.
type Library struct {
	dir    string
	opts   Options
	db     *sql.DB
	unlock func()

	writing sync.Mutex // held by whoever changes the file

	mu      sync.RWMutex // of what follows
	model   Model
	number  int64 // of the model, in the file; 0 while there is none
	version int64 // changes that the library had seen when this was read or written
	rows    rows
	means   [4][]float32 // by modality; nil for none
	null    map[direction]*Null
}

// Create makes a library in the folder dir, which need not be there, and opens it for
// writing. It returns ErrExists when there is one.
func Create(ctx context.Context, dir string, o Options) (*Library, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("library: %w", err)
	}
	unlock, err := durable.Lock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("library: %w: wait for it, or index into another folder", err)
	}
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); err == nil {
		unlock()
		return nil, fmt.Errorf("library: %w in %s", ErrExists, dir)
	}
	// Made under another name: a kill leaves no half of a schema behind.
	temp := filepath.Join(dir, "."+fileName+".new")
	err = errors.Join(removeDB(temp))
	if err == nil {
		err = makeFile(ctx, temp)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = durable.SyncDir(dir)
	}
	unlock()
	if err != nil {
		removeDB(temp)
		return nil, fmt.Errorf("library: making %s: %w", path, err)
	}
	o.Write = true
	return Open(ctx, dir, o)
}

// makeFile makes an empty library.
func makeFile(ctx context.Context, path string) error {
	db, err := openDB(path, true, true)
	if err != nil {
		return err
	}
	return errors.Join(makeSchema(ctx, db), db.Close())
}

// removeDB removes a database and what SQLite puts beside it.
func removeDB(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Open opens the library in the folder dir and reads the vectors of its model. It returns
// ErrNotLibrary when there is none, ErrCorrupt when it is damaged, ErrNoModel when it has no
// vectors of the model that the options name, and durable.ErrLocked when it is to be written
// and another process does so.
func Open(ctx context.Context, dir string, o Options) (*Library, error) {
	path, size, err := find(dir)
	if err != nil {
		return nil, err
	}
	l := &Library{dir: dir, opts: o, unlock: func() {}}
	if o.Write {
		if l.unlock, err = durable.Lock(filepath.Join(dir, lockName)); err != nil {
			return nil, fmt.Errorf("library: %w: wait for it, or index into another folder", err)
		}
	}
	if l.db, err = openDB(path, o.Write, false); err == nil {
		l.db.SetMaxOpenConns(8)
		err = l.begin(ctx, path, o.Check || size <= quickBytes)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Library) begin(ctx context.Context, path string, check bool) error {
	if err := checkSchema(ctx, l.db, path); err != nil {
		return err
	}
	if check {
		if err := checkPages(ctx, l.db, path); err != nil {
			return err
		}
	}
	return l.load(ctx, l.opts.Model)
}

// Close closes the library. Nobody may use it any more.
func (l *Library) Close() error {
	var err error
	if l.db != nil {
		err = l.db.Close()
		if !l.opts.Write {
			tidy(filepath.Join(l.dir, fileName))
		}
	}
	l.unlock()
	return err
}

// tidy removes the files that SQLite puts beside a database for who reads it, and which
// readers cannot remove. A connection that may write does so when it is the last one and
// closes; it changes nothing here, as the log of changes is empty.
func tidy(path string) {
	if _, err := os.Stat(path + "-shm"); err != nil {
		return
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return // another process writes, or was killed: whoever opens it next sees to it
	}
	db, err := openDB(path, true, false)
	if err != nil {
		return
	}
	defer db.Close()
	var n int64
	_ = db.QueryRow("SELECT changes FROM state").Scan(&n) // opens the connection
}

// Dir returns the folder of the library.
func (l *Library) Dir() string { return l.dir }

// Refresh reads anew what another process has changed since the library was opened.
func (l *Library) Refresh(ctx context.Context) error {
	if l.opts.Write { // nobody else has
		return nil
	}
	l.writing.Lock() // one at a time
	defer l.writing.Unlock()
	version, err := l.dataVersion(ctx)
	if err != nil {
		return err
	}
	l.mu.RLock()
	same, id := version == l.version, l.opts.Model
	l.mu.RUnlock()
	if same {
		return nil
	}
	return l.load(ctx, id)
}

// dataVersion returns the number of changes that the library has seen.
func (l *Library) dataVersion(ctx context.Context) (int64, error) {
	var n int64
	if err := l.db.QueryRowContext(ctx, "SELECT changes FROM state").Scan(&n); err != nil {
		return 0, l.fault(err)
	}
	return n, nil
}

// change runs a transaction that changes the library, then what it changes in memory. The
// caller holds writing.
func (l *Library) change(ctx context.Context, do func(tx *sql.Tx) error, then func()) error {
	if !l.opts.Write {
		return fmt.Errorf("library: %s: %w", l.dir, ErrReadOnly)
	}
	var version int64
	err := inTransaction(ctx, l.db, func(tx *sql.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "UPDATE state SET changes = changes + 1 RETURNING changes").
			Scan(&version)
	})
	if err != nil {
		return l.fault(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version = version
	if then != nil {
		then()
	}
	return nil
}

// fault says of an error of the database which library it is about, and what to do.
func (l *Library) fault(err error) error {
	path := filepath.Join(l.dir, fileName)
	switch kindOf(err) {
	case faultFull:
		return fmt.Errorf("library: no space left for %s: free some and run again; what was written "+
			"before is kept: %w", path, err)
	case faultDamage:
		return damaged(path, err)
	}
	return fmt.Errorf("library: %s: %w", path, err)
}

// broken says of what the database holds that it cannot be.
func (l *Library) broken(err error) error { return damaged(filepath.Join(l.dir, fileName), err) }
