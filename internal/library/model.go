package library

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
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
	if m.Center && m.Remote != "" {
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
			if err := dropVectors(ctx, tx, number); err != nil {
				return err
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

// ForgetVectors drops all vectors of the model, whose server has lost them: its clips count as
// not embedded.
func (l *Library) ForgetVectors(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	model, number := l.current()
	if number == 0 {
		return nil
	}
	err := l.change(ctx, func(tx *sql.Tx) error { return dropVectors(ctx, tx, number) }, nil)
	if err != nil {
		return err
	}
	return l.load(ctx, model.ID)
}

func dropVectors(ctx context.Context, tx *sql.Tx, model int64) error {
	for _, t := range []string{"vectors", "mean", "null_scores"} {
		if _, err := tx.ExecContext(ctx, "DELETE FROM "+t+" WHERE model = ?", model); err != nil {
			return err
		}
	}
	return nil
}

// sameVectors says whether the vectors of one are those of the other.
func (m *Model) sameVectors(n *Model) bool {
	return m.Embedding == n.Embedding && m.Dims == n.Dims && m.Windows == n.Windows &&
		m.Stride == n.Stride && m.Remote == n.Remote
}
