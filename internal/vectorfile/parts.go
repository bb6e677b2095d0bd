package vectorfile

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"avjepa/internal/durable"
)

// ErrOtherParts is the error for parts that were made with other settings.
var ErrOtherParts = errors.New("begun with other settings")

// Parts are the rows of a file that is being made, each batch of items written when it is
// done. One process at a time has them.
type Parts struct {
	dir    string
	names  []string // of the parts, in order
	next   int      // the item after the last part
	unlock func()
}

// Left is an item without rows, and why.
type Left struct{ Name, Outcome, Reason string }

// part is one batch of items.
type part struct {
	At, Items int
	Rows      []Row
	Left      []Left
}

const (
	settingsFile = "settings"
	partPrefix   = "part-"
)

// OpenParts opens the parts in the folder dir, or begins them. settings is what the rows depend
// on: with others the error is ErrOtherParts.
func OpenParts(dir, settings string) (*Parts, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, err
	}
	p := &Parts{dir: dir, unlock: unlock}
	if err := p.open(settings); err != nil {
		unlock()
		return nil, err
	}
	return p, nil
}

func (p *Parts) open(settings string) error {
	at := filepath.Join(p.dir, settingsFile)
	was, err := os.ReadFile(at)
	if errors.Is(err, fs.ErrNotExist) {
		err = durable.WriteFile(at, func(w io.Writer) error {
			_, err := io.WriteString(w, settings)
			return err
		})
		was = []byte(settings)
	}
	if err != nil {
		return err
	}
	if string(was) != settings {
		return fmt.Errorf("%s: %w", p.dir, ErrOtherParts)
	}
	if err := durable.RemoveTemporary(p.dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partPrefix) {
			p.names = append(p.names, e.Name())
		}
	}
	slices.Sort(p.names)
	for _, name := range p.names {
		// part-<item>-<items>
		at, n, ok := strings.Cut(strings.TrimPrefix(name, partPrefix), "-")
		first, err1 := strconv.Atoi(at)
		items, err2 := strconv.Atoi(n)
		if !ok || err1 != nil || err2 != nil || first != p.next || items < 1 {
			return fmt.Errorf("%s: %s is not the part that comes after item %d: remove the folder",
				p.dir, name, p.next)
		}
		p.next += items
	}
	return nil
}

// Next returns the first item that has no part.
func (p *Parts) Next() int { return p.next }

// Add writes the part of items from Next on.
func (p *Parts) Add(items int, rows []Row, left []Left) error {
	name := fmt.Sprintf("%s%09d-%d", partPrefix, p.next, items)
	err := durable.WriteFile(filepath.Join(p.dir, name), func(w io.Writer) error {
		return gob.NewEncoder(w).Encode(part{p.next, items, rows, left})
	})
	if err != nil {
		return err
	}
	p.names = append(p.names, name)
	p.next += items
	return nil
}

// Each calls row with every row and left with every item that has none, in order.
func (p *Parts) Each(row func(*Row) error, left func(Left)) error {
	for _, name := range p.names {
		data, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			return err
		}
		var x part
		if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&x); err != nil {
			return fmt.Errorf("%s: %s is damaged (%w): remove the folder", p.dir, name, err)
		}
		for i := range x.Rows {
			if row == nil {
				break
			}
			if err := row(&x.Rows[i]); err != nil {
				return err
			}
		}
		for _, l := range x.Left {
			if left != nil {
				left(l)
			}
		}
	}
	return nil
}

// Close gives the folder free. The parts stay.
func (p *Parts) Close() { p.unlock() }

// Remove removes the parts and closes them.
func (p *Parts) Remove() error {
	defer p.unlock()
	return os.RemoveAll(p.dir)
}
