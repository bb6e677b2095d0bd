package manifest

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// readTree lists the files below root; the first folder below it is the label. A
// link that leaves root is an error unless the options allow it.
func (r *reader) readTree(root string) error {
	var found []candidate
	wrong := func(full string, err error) error {
		return fmt.Errorf("manifest: %s: %w: %w", full, ErrManifest, err)
	}
	w := &walker{root: root, outside: r.opt.AllowOutside, leaves: wrong}
	w.visit = func(rel, name string, link bool) error {
		below := path.Join(rel, name)
		full := filepath.Join(root, below)
		if link {
			if _, err := resolveInside(w.inside(), full); err != nil {
				return wrong(full, err)
			}
		}
		if len(found) == MaxClips {
			return wrong(root, errTooMany)
		}
		c := candidate{Entry: Entry{Path: full, Split: r.opt.Split}, rel: below}
		if label, _, ok := strings.Cut(below, "/"); ok && !r.opt.Unlabelled {
			if err := CheckLabel(label); err != nil {
				return wrong(full, fmt.Errorf("the folder's name is the label: %w", err))
			}
			c.Labels = []string{label}
		}
		found = append(found, c)
		return nil
	}
	if err := w.run(); err != nil {
		return err
	}
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Compare(a.rel, b.rel) })
	return r.add(found...)
}
