package manifest

import (
	"io"
	"slices"
)

// readClasses reads the files about classes that the options name.
func (r *reader) readClasses() error {
	if err := r.loadClasses(r.opt.Classes); err != nil {
		return err
	}
	if err := r.loadOntology(r.opt.Ontology); err != nil {
		return err
	}
	return r.loadFamilies(r.opt.Families)
}

// classesBeside reads the files about classes that lie where a list of that form is,
// where the options name none.
func (r *reader) classesBeside(f Format, dir string) error {
	if f == VGGSound {
		if r.opt.Families != "" {
			return nil
		}
		return r.loadFamilies(beside(dir, familyNames))
	}
	if r.opt.Classes == "" {
		if err := r.loadClasses(beside(dir, classNames)); err != nil {
			return err
		}
	}
	if r.opt.Ontology != "" {
		return nil
	}
	return r.loadOntology(beside(dir, ontologyNames))
}

func (r *reader) loadClasses(path string) error {
	if path == "" {
		return nil
	}
	return readFile(path, func(f io.Reader) error {
		classes, err := readClassFile(f)
		r.known = MergeClasses(r.known, classes)
		return err
	})
}

func (r *reader) loadOntology(path string) error {
	if path == "" {
		return nil
	}
	return readFile(path, func(f io.Reader) (err error) {
		r.ontology, err = readOntology(f)
		return err
	})
}

func (r *reader) loadFamilies(path string) error {
	if path == "" {
		return nil
	}
	return readFile(path, func(f io.Reader) (err error) {
		r.families, err = readFamilies(f)
		return err
	})
}

// classSet returns the IDs of classes, nil for none.
func classSet(classes []Class) map[string]bool {
	if len(classes) == 0 {
		return nil
	}
	set := make(map[string]bool, len(classes))
	for _, c := range classes {
		set[c.ID] = true
	}
	return set
}

// classes returns the classes of the list: those of the class list in its order, or
// the labels sorted, with what ontology and families say of them.
func (r *reader) classes(entries []Entry) []Class {
	classes := MergeClasses(slices.Clone(r.known), sortedClasses(entries))
	for i := range classes {
		c := &classes[i]
		if node, ok := r.ontology[c.ID]; ok {
			c.Family = node.Family
			if c.Name == "" {
				c.Name = node.Name
			}
		} else if f, ok := r.families[c.ID]; ok {
			c.Family = f
		}
	}
	return classes
}
