package library

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"avjepa/internal/durable"
)

// Model names what made the vectors of a library.
type Model struct {
	ID        string  `json:"id"`            // hash of weights and configuration
	Path      string  `json:"path"`          // run folder or checkpoint, to open it again
	Step      int     `json:"step"`          // of its training
	Embedding string  `json:"embedding"`     // projected, cls or patches
	Dims      int     `json:"dims"`          // of a vector
	Windows   int     `json:"windows"`       // of a clip, whose mean its vector is; 0 with a Stride
	Stride    float64 `json:"stride"`        // seconds between windows
	Geometry  string  `json:"geometry"`      // of a view, for people
	Set       string  `json:"set,omitempty"` // settings over the run's, a line each

	// Center has the mean of each modality subtracted before vectors are compared.
	Center bool `json:"center"`

	// Remote says which server has the vectors, for people; empty: this library.
	Remote string `json:"remote,omitempty"`
}

// MaxDims bounds the length of a vector.
const MaxDims = 1 << 14

func (m *Model) check() error {
	if m.ID == "" || len(m.ID) > maxText || len(m.Path) > maxText || len(m.Geometry) > maxText {
		return fmt.Errorf("library: model %.80q at %.200q: it needs an ID, and no text of more than "+
			"%d bytes", m.ID, m.Path, maxText)
	}
	if m.Dims < 1 || m.Dims > MaxDims {
		return fmt.Errorf("library: model %.80q: vectors of %d numbers, not 1 to %d", m.ID, m.Dims, MaxDims)
	}
	return nil
}

// Options say how a library is opened.
type Options struct {
	Write bool   // also to change it: no other process may then
	Model string // ID of the one whose vectors are searched; empty for the one used last
	Check bool   // look through the whole file for damage, which Open does only for small ones

	// Remote keeps and searches the vectors instead of the library's own file.
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

// rows are the vectors in memory.
type rows struct {
	ids   []int64 // row → clip
	row   map[int64]int
	parts [4]matrix // by modality
}

func newRows(dims int) rows {
	r := rows{row: make(map[int64]int)}
	for i := range r.parts {
		r.parts[i].dims = dims
	}
	return r
}

// vectors are those of a clip by modality, nil where it has none.
type vectors [4][]float32

// put sets the vectors of a clip.
func (r *rows) put(id int64, v *vectors) {
	if at, ok := r.row[id]; ok {
		for _, m := range Modalities {
			r.parts[m].set(at, v[m])
		}
		return
	}
	r.row[id] = len(r.ids)
	r.ids = append(r.ids, id)
	for _, m := range Modalities {
		r.parts[m].push(v[m])
	}
}

// drop removes those of a clip.
func (r *rows) drop(id int64) {
	at, ok := r.row[id]
	if !ok {
		return
	}
	last := len(r.ids) - 1
	r.ids[at] = r.ids[last]
	r.row[r.ids[at]] = at
	r.ids = r.ids[:last]
	delete(r.row, id)
	for _, m := range Modalities {
		r.parts[m].drop(at)
	}
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
	}
	l.unlock()
	return err
}

// Dir returns the folder of the library.
func (l *Library) Dir() string { return l.dir }

// Model returns the model whose vectors are searched, and false when there is none yet.
func (l *Library) Model() (Model, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.model, l.number != 0
}

// current returns the model with its number in the file, 0 when there is none.
func (l *Library) current() (Model, int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.model, l.number
}

// Models returns all models that the library has vectors of, the one used last first.
func (l *Library) Models(ctx context.Context) ([]Model, error) {
	rows, err := l.db.QueryContext(ctx, "SELECT about FROM model ORDER BY used DESC, number DESC")
	if err != nil {
		return nil, l.fault(err)
	}
	defer rows.Close()
	var all []Model
	for rows.Next() {
		var about string
		if err := rows.Scan(&about); err != nil {
			return nil, l.fault(err)
		}
		m, err := parseModel(about)
		if err != nil {
			return nil, l.broken(err)
		}
		all = append(all, m)
	}
	if err := rows.Err(); err != nil {
		return nil, l.fault(err)
	}
	return all, nil
}

func parseModel(about string) (Model, error) {
	var m Model
	if err := json.Unmarshal([]byte(about), &m); err != nil {
		return m, fmt.Errorf("model %.80q: %w", about, err)
	}
	return m, m.check()
}

// UseModel makes m the model whose vectors are added and searched. What the library knows
// of it is replaced by m; its vectors stay if it is known by the same ID, embedding and
// length of vectors, and are dropped if one of these has changed.
func (l *Library) UseModel(ctx context.Context, m Model) error {
	if err := m.check(); err != nil {
		return err
	}
	if m.Center && (m.Remote != "" || l.opts.Remote != nil) {
		return fmt.Errorf("library: %s: vectors on a server are compared as they are: no mean can be "+
			"subtracted", l.dir)
	}
	about, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("library: %w", err)
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if now, number := l.current(); number != 0 && now == m && l.opts.Model == "" {
		return nil // it was the last one used
	}
	err = l.change(ctx, func(tx *sql.Tx) error {
		var number int64
		var was string
		err := tx.QueryRowContext(ctx, "SELECT number, about FROM model WHERE id = ?", m.ID).
			Scan(&number, &was)
		now := time.Now().UnixNano()
		if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.ExecContext(ctx, "INSERT INTO model (id, about, used) VALUES (?, ?, ?)",
				m.ID, string(about), now)
			return err
		}
		if err != nil {
			return err
		}
		old, err := parseModel(was)
		if err != nil {
			return err
		}
		if !old.sameVectors(&m) {
			for _, t := range []string{"vectors", "mean", "null_scores"} {
				if _, err := tx.ExecContext(ctx, "DELETE FROM "+t+" WHERE model = ?", number); err != nil {
					return err
				}
			}
		} else if old.Center != m.Center { // scores have changed
			if _, err := tx.ExecContext(ctx, "DELETE FROM null_scores WHERE model = ?", number); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE model SET about = ?, used = ? WHERE number = ?",
			string(about), now, number)
		return err
	}, nil)
	if err != nil {
		return err
	}
	return l.load(ctx, m.ID)
}

// sameVectors says whether the vectors of one are those of the other.
func (m *Model) sameVectors(n *Model) bool {
	return m.Embedding == n.Embedding && m.Dims == n.Dims && m.Windows == n.Windows &&
		m.Stride == n.Stride && m.Remote == n.Remote
}

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
