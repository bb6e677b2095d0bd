package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const (
	maxClasses      = 1 << 20
	maxOntologySize = 32 << 20 // bytes
)

// The names that class lists, ontologies and lists of families usually have.
var (
	classNames    = []string{"class_labels_indices.csv", "audioset_class_labels_indices.csv"}
	ontologyNames = []string{"ontology.json", "audioset_ontology.json"}
	familyNames   = []string{"vggsound_stat.csv", "stat.csv"}
)

// beside returns the first of the named files that lies in dir, "" for none.
func beside(dir string, names []string) string {
	for _, n := range names {
		if st, err := os.Stat(filepath.Join(dir, n)); err == nil && st.Mode().IsRegular() {
			return filepath.Join(dir, n)
		}
	}
	return ""
}

// openList opens a file that Read was told of.
func openList(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("manifest: %q: %w: no file of that name", path, ErrNoSource)
	}
	if err == nil {
		var st fs.FileInfo
		if st, err = f.Stat(); err == nil && !st.Mode().IsRegular() {
			err = fmt.Errorf("%s is not a regular file", path)
		}
		if err == nil {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("manifest: %w: %w", ErrNoSource, err)
}

// readFile opens a file for read, whose error it completes with the file's name.
func readFile(path string, read func(io.Reader) error) error {
	f, err := openList(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := read(f); err != nil {
		return fmt.Errorf("manifest: %s: %w: %w", path, ErrManifest, err)
	}
	return nil
}

// readClassFile reads index,mid,display_name as AudioSet publishes it: the classes in
// the order of their indices, which are 0, 1, 2, …
func readClassFile(r io.Reader) ([]Class, error) {
	var classes []Class
	err := readTable(r, 3, "index,mid,display_name", func(line int, row []string) error {
		if line == 1 && row[0] == "index" {
			return nil
		}
		if n, err := strconv.Atoi(row[0]); err != nil || n != len(classes) {
			return &rowError{line, "column index", fmt.Errorf("%.40q, expected %d: "+
				"the indices are 0, 1, 2, … in this order", row[0], len(classes))}
		}
		classes = append(classes, Class{ID: row[1], Name: row[2]})
		return nil
	})
	if err == nil && len(classes) == 0 {
		err = errors.New("no classes in it: expected index,mid,display_name")
	}
	if err == nil {
		err = CheckClasses(classes)
	}
	return classes, err
}

// readFamilies reads label,count,family as VGGSound publishes it.
func readFamilies(r io.Reader) (map[string]string, error) {
	families := make(map[string]string)
	err := readTable(r, 3, "label,count,family", func(line int, row []string) error {
		for i, name := range []string{"column label", "", "column family"} {
			if err := CheckLabel(row[i]); err != nil && name != "" {
				return &rowError{line, name, err}
			}
		}
		if old, ok := families[row[0]]; ok && old != row[2] {
			return &rowError{line, "", fmt.Errorf("%q is of the family %q, and of %q before",
				row[0], row[2], old)}
		}
		families[row[0]] = row[2]
		return nil
	})
	return families, err
}

// readTable calls row for every line of a small CSV with that many columns.
func readTable(r io.Reader, columns int, expected string,
	row func(line int, fields []string) error) error {

	lines := newLineReader(r)
	for n := 0; ; n++ {
		text, err := lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		fields, err := splitFields(text, nil)
		if err == nil && len(fields) != columns {
			err = fmt.Errorf("%d fields, expected %s", len(fields), expected)
		}
		if err == nil && n > maxClasses {
			err = fmt.Errorf("more than %d classes", maxClasses)
		}
		if err != nil {
			return lines.bad(err)
		}
		values := make([]string, columns)
		for i := range values {
			values[i] = string(fields[i])
		}
		if err := row(lines.line, values); err != nil {
			return err
		}
	}
}

// ontologyNode is one node of ontology.json; the file has more fields.
type ontologyNode struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Children []string `json:"child_ids"`
}

// readOntology returns name and family of every node of AudioSet's ontology.
//
// A node's family is the name of the node without parents that is the fewest steps
// above it; of several, the one that stands first in the file. A node from which no
// way leads to such a one, because it is in a cycle, has no family.
func readOntology(r io.Reader) (map[string]Class, error) {
	var nodes []ontologyNode
	dec := json.NewDecoder(io.LimitReader(r, maxOntologySize))
	if err := dec.Decode(&nodes); err != nil {
		return nil, fmt.Errorf("expected [{\"id\": …, \"name\": …, \"child_ids\": [ … ]}, …]: %w",
			jsonError(err))
	}
	at := make(map[string]int, len(nodes))
	for i, n := range nodes {
		c := Class{ID: n.ID, Name: n.Name}
		if err := CheckClasses([]Class{c}); err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		if _, ok := at[n.ID]; ok {
			return nil, fmt.Errorf("node %d: %q for the second time", i, n.ID)
		}
		at[n.ID] = i
	}
	hasParent := make([]bool, len(nodes))
	for _, n := range nodes {
		for _, c := range n.Children {
			if i, ok := at[c]; ok {
				hasParent[i] = true
			}
		}
	}
	// From all roots at once, a step at a time, the roots in the order of the file.
	root := make([]int, len(nodes))
	var level []int
	for i := range nodes {
		root[i] = -1
		if !hasParent[i] {
			root[i] = i
			level = append(level, i)
		}
	}
	for len(level) > 0 {
		reached := make(map[int]int) // node → its first root
		for _, i := range level {
			for _, c := range nodes[i].Children {
				k, ok := at[c]
				if !ok || root[k] >= 0 {
					continue
				}
				if first, ok := reached[k]; !ok || root[i] < first {
					reached[k] = root[i]
				}
			}
		}
		level = level[:0]
		for k, first := range reached {
			root[k] = first
			level = append(level, k)
		}
	}
	known := make(map[string]Class, len(nodes))
	for i, n := range nodes {
		c := Class{ID: n.ID, Name: n.Name}
		if root[i] >= 0 {
			c.Family = nodes[root[i]].Name
		}
		known[n.ID] = c
	}
	return known, nil
}
