package manifest

import (
	"io"
	"slices"
)

// readClasses reads the files about classes that the options name.
func (r *reader) readClasses() error {
	if _, err := r.loadClasses(r.opt.Classes); err != nil {
		return err
	}
	if err := r.loadOntology(r.opt.Ontology); err != nil {
		return err
	}
	return r.loadFamilies(r.opt.Families)
}

// classesBeside reads the files about classes that lie where a list of that form is,
// where the options name none. It returns the classes that labels of the list must be
// of, nil for any.
func (r *reader) classesBeside(f Format, dir string) (known map[string]bool, err error) {
	if r.opt.Classes != "" {
		known = classSet(r.known)
	}
	if f == VGGSound {
		if r.opt.Families == "" {
			err = r.loadFamilies(beside(dir, familyNames))
		}
		return known, err
	}
	if known == nil {
		classes, err := r.loadClasses(beside(dir, classNames))
		if err != nil {
			return nil, err
		}
		known = classSet(classes)
	}
	if r.opt.Ontology == "" {
		err = r.loadOntology(beside(dir, ontologyNames))
	}
	return known, err
}

// loadClasses adds the classes of a file to those that are known, and returns them.
func (r *reader) loadClasses(path string) (classes []Class, err error) {
	if path == "" {
		return nil, nil
	}
	err = readFile(path, func(f io.Reader) (err error) {
		classes, err = readClassFile(f)
		return err
	})
	r.known = MergeClasses(r.known, classes)
	return classes, err
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
