package library

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

const (
	fileName = "library.db"
	lockName = ".lock"

	// What PRAGMA application_id and user_version of our files say.
	application = 0x61766a4c // "avjL"
	version     = 1
)

// Sentinels behind the errors of this package.
var (
	ErrNotLibrary = errors.New("no library")         // the folder has none, or the file is another's
	ErrCorrupt    = errors.New("library is damaged") // it is one, but cannot be used
	ErrExists     = errors.New("library exists")     // Create found one
	ErrNoClip     = errors.New("no such clip")       // the ID is of none
	ErrReadOnly   = errors.New("library was opened to be read only")
	ErrNoModel    = errors.New("library has no such model")
)

// schema is every table and index of a library, by name. A file that has others, such as
// triggers of a stranger's, is refused.
//
// The vectors of a clip by one model lie together, so that a pass over them reads the file in
// order. Their blobs are little-endian float32.
var schema = []struct{ name, sql string }{
	{"state", `CREATE TABLE state (changes INTEGER NOT NULL, finished INTEGER NOT NULL)`},
	{"clip", `CREATE TABLE clip (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		data TEXT NOT NULL,
		key TEXT NOT NULL,
		name TEXT NOT NULL,
		label TEXT NOT NULL,
		split TEXT NOT NULL,
		seconds REAL NOT NULL,
		width INTEGER NOT NULL,
		height INTEGER NOT NULL,
		flags INTEGER NOT NULL,
		bytes INTEGER NOT NULL,
		modified INTEGER NOT NULL,
		hash TEXT NOT NULL,
		signature TEXT NOT NULL,
		added INTEGER NOT NULL)`},
	{"clip_key", `CREATE UNIQUE INDEX clip_key ON clip (data, key)`},
	{"clip_name", `CREATE INDEX clip_name ON clip (name, id)`},
	{"clip_first_label", `CREATE INDEX clip_first_label ON clip (label, id)`},
	{"clip_seconds", `CREATE INDEX clip_seconds ON clip (seconds, id)`},
	{"label", `CREATE TABLE label (
		clip INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
		place INTEGER NOT NULL,
		label TEXT NOT NULL,
		PRIMARY KEY (clip, place)) WITHOUT ROWID`},
	{"label_clip", `CREATE INDEX label_clip ON label (label, clip)`},
	{"left_out", `CREATE TABLE left_out (
		data TEXT NOT NULL,
		key TEXT NOT NULL,
		outcome TEXT NOT NULL,
		reason TEXT NOT NULL,
		bytes INTEGER NOT NULL,
		modified INTEGER NOT NULL,
		added INTEGER NOT NULL,
		PRIMARY KEY (data, key)) WITHOUT ROWID`},
	{"duplicate", `CREATE TABLE duplicate (
		clip INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
		other INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
		picture REAL NOT NULL,
		sound REAL NOT NULL,
		PRIMARY KEY (clip, other)) WITHOUT ROWID`},
	{"duplicate_other", `CREATE INDEX duplicate_other ON duplicate (other)`},
	{"model", `CREATE TABLE model (
		number INTEGER PRIMARY KEY,
		id TEXT NOT NULL UNIQUE,
		about TEXT NOT NULL,
		used INTEGER NOT NULL)`},
	{"vectors", `CREATE TABLE vectors (
		model INTEGER NOT NULL REFERENCES model ON DELETE CASCADE,
		clip INTEGER NOT NULL REFERENCES clip ON DELETE CASCADE,
		audio BLOB,
		video BLOB,
		both BLOB,
		PRIMARY KEY (model, clip)) WITHOUT ROWID`},
	{"vectors_clip", `CREATE INDEX vectors_clip ON vectors (clip)`},
	{"mean", `CREATE TABLE mean (
		model INTEGER NOT NULL REFERENCES model ON DELETE CASCADE,
		modality INTEGER NOT NULL,
		value BLOB NOT NULL,
		PRIMARY KEY (model, modality)) WITHOUT ROWID`},
	{"null_scores", `CREATE TABLE null_scores (
		model INTEGER NOT NULL REFERENCES model ON DELETE CASCADE,
		query INTEGER NOT NULL,
		searched INTEGER NOT NULL,
		pairs INTEGER NOT NULL,
		quantiles BLOB NOT NULL,
		PRIMARY KEY (model, query, searched)) WITHOUT ROWID`},
}

// openDB opens the file at path: an existing one, or any with create.
func openDB(path string, write, create bool) (*sql.DB, error) {
	q := url.Values{}
	pragmas := []string{"busy_timeout(10000)", "foreign_keys(1)", "trusted_schema(0)",
		"cell_size_check(1)", "cache_size(-16000)"}
	switch {
	case create:
		q.Set("mode", "rwc")
		pragmas = append(pragmas, "page_size(16384)")
	case write:
		q.Set("mode", "rw")
	default:
		q.Set("mode", "ro")
		pragmas = append(pragmas, "query_only(1)")
		if !writable(filepath.Dir(path)) {
			q.Set("immutable", "1") // it cannot be told of writers, and there can be none
		}
	}
	if write || create {
		pragmas = append(pragmas, "journal_mode(WAL)", "synchronous(NORMAL)")
		q.Set("_txlock", "immediate")
	}
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if abs = filepath.ToSlash(abs); !strings.HasPrefix(abs, "/") {
		abs = "/" + abs
	}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String())
}

// writable says whether a file can be made in dir.
func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return false
	}
	f.Close()
	return os.Remove(f.Name()) == nil
}

// makeSchema makes the tables of a new file in one transaction.
func makeSchema(ctx context.Context, db *sql.DB) error {
	return inTransaction(ctx, db, func(tx *sql.Tx) error {
		for _, s := range schema {
			if _, err := tx.ExecContext(ctx, s.sql); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO state VALUES (0, 0); PRAGMA application_id = %d; "+
			"PRAGMA user_version = %d", application, version))
		return err
	})
}

// checkSchema refuses a file that is no library, or one of another version.
func checkSchema(ctx context.Context, db *sql.DB, path string) error {
	var app, ver int64
	err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app)
	if err == nil {
		err = db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&ver)
	}
	if err != nil {
		return damaged(path, err)
	}
	if app != application {
		return fmt.Errorf("library: %s: %w: it is a database of another program; give another folder",
			path, ErrNotLibrary)
	}
	if ver != version {
		return fmt.Errorf("library: %s: %w: it has version %d, this program reads %d: use the avjepa "+
			"that wrote it, or index into another folder", path, ErrNotLibrary, ver, version)
	}
	rows, err := db.QueryContext(ctx,
		"SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name")
	if err != nil {
		return damaged(path, err)
	}
	defer rows.Close()
	want := make(map[string]string, len(schema))
	for _, s := range schema {
		want[s.name] = s.sql
	}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return damaged(path, err)
		}
		if want[name] != text {
			return damaged(path, fmt.Errorf("its schema has %.80q, which is none of ours", text))
		}
		delete(want, name)
	}
	if err := rows.Err(); err != nil {
		return damaged(path, err)
	}
	if len(want) > 0 {
		return damaged(path, fmt.Errorf("%d of its tables are not there", len(want)))
	}
	return nil
}

// quickBytes is the size up to which opening a file checks all of its pages.
const quickBytes = 32 << 20

// checkPages has SQLite look for damage.
func checkPages(ctx context.Context, db *sql.DB, path string) error {
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return damaged(path, err)
	}
	if answer != "ok" {
		return damaged(path, errors.New(answer))
	}
	return nil
}

// damaged wraps what is wrong with a file with what to do.
func damaged(path string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("library: %s: %w: %w; move the folder away and index the files again, "+
		"which takes as long as the first time", path, ErrCorrupt, err)
}

// find returns the database of the library in dir.
func find(dir string) (string, int64, error) {
	path := filepath.Join(dir, fileName)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, 0, fmt.Errorf("library: %w in %s: avjepa index MODEL FILES… --library %s makes one",
			ErrNotLibrary, dir, dir)
	case err != nil:
		if at, e := os.Stat(dir); e == nil && !at.IsDir() {
			return path, 0, fmt.Errorf("library: %w in %s: it is a file, a library is a folder", ErrNotLibrary, dir)
		}
		return path, 0, fmt.Errorf("library: %w", err)
	case !info.Mode().IsRegular():
		return path, 0, fmt.Errorf("library: %s: %w: it is not a file", path, ErrNotLibrary)
	}
	return path, info.Size(), nil
}

// inTransaction commits what do does, or nothing of it.
func inTransaction(ctx context.Context, db *sql.DB, do func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		tx.Rollback()
		return err
	}
	return tx.Commit()
}
