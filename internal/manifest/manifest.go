package manifest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what Read accepts and where it looks. The zero value reads what it
// finds and follows no path out of a list's folder.
type Options struct {
	// AllowOutside accepts paths of a list, and links in a folder, that lead out
	// of that folder. Only for lists that you wrote yourself.
	AllowOutside bool
	// Format is the form of all lists; Auto = as the content of each shows.
	Format Format
	// Unlabelled takes the names of folders for no labels.
	Unlabelled bool
	// Split is that of clips for which neither row nor list's name gives one.
	Split string

	// Media are the folders with the files of published lists; nil = the folder of
	// each list. Our own lists name their files themselves.
	Media []string
	// WholeVideos takes files that have the name of the video alone for whole videos,
	// to be cut at the listed times; else they are clips that have been cut.
	WholeVideos bool

	// Classes, Ontology and Families are files: class_labels_indices.csv, ontology.json
	// (AudioSet) and vggsound_stat.csv. "" = looked for beside the list under these
	// names, with a label's own text as its class where there is none.
	Classes, Ontology, Families string
}

// Read lists the clips of files, folders and lists, sorted by key. Nothing is
// decoded.
//
// A folder gives every file below it that is not known to be something else than
// media; the first folder below it is the label, and files directly in it are
// unlabelled. Names that begin with a dot are passed over. A name that ends in
// ".csv", ".json" or ".jsonl" is a list, in one of Formats. Any other file is one
// unlabelled source.
//
// The key of a clip of a published list is the one published with it. Others have
// the path below the folder (or below the list's folder, or the file's base name)
// without its extension, and the start in milliseconds for parts. A source that is
// named twice with the same part is taken once.
//
// In a list of our own form the first wrong row is an error. Of published lists, a
// few of whose rows are always broken, wrong rows are passed over and counted, unless
// they are more than the good ones; and clips without a file keep their entry.
//
// Errors: ErrNoSource, ErrEmpty, ErrManifest.
func Read(args []string, opt Options) (List, error) {
	r := &reader{opt: opt, indexes: make(map[string]*mediaIndex)}
	err := errors.Join(CheckFormat(opt.Format), CheckSplit(opt.Split))
	if err != nil {
		return List{}, fmt.Errorf("manifest: %w: %w", ErrManifest, err)
	}
	if err := r.readClasses(); err != nil {
		return List{}, err
	}
	for _, arg := range args {
		if err := r.read(arg); err != nil {
			return List{}, err
		}
	}
	if len(args) == 0 {
		return List{}, fmt.Errorf("manifest: no sources given: %w", ErrEmpty)
	}
	return r.list()
}

// reader is one call of Read.
type reader struct {
	opt      Options
	all      chunks
	lists    []*listFile
	indexes  map[string]*mediaIndex // by media folders
	known    []Class                // of class lists, in their order
	ontology map[string]Class
	families map[string]string // by label
	leaks    Tally
}

func (r *reader) read(arg string) error {
	st, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("manifest: %q: %w: no file or folder of that name", arg, ErrNoSource)
	}
	if err != nil {
		return fmt.Errorf("manifest: %w: %w", ErrNoSource, err)
	}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	before, what := r.all.len(), "clips"
	switch ext := lowerExt(arg); {
	case st.IsDir():
		what = "media files"
		err = r.readTree(abs)
	case slices.Contains(listExts, ext) || r.opt.Format != Auto && notMedia[ext]:
		err = r.readList(abs)
	default:
		err = r.add(candidate{rel: filepath.Base(abs), Entry: Entry{Path: abs, Split: r.opt.Split}})
	}
	if err == nil && r.all.len() == before {
		err = fmt.Errorf("manifest: %q: %w: no %s in it", arg, ErrEmpty, what)
	}
	return err
}

// readList reads one list, whose form its content shows.
func (r *reader) readList(path string) error {
	f, err := openList(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, detectBytes)
	format := r.opt.Format
	if format == Auto {
		format = detect(in)
	}
	l := &listFile{path: path, lenient: true}
	r.lists = append(r.lists, l)
	switch format {
	case CSV:
		l.lenient = false
		return r.readOwn(l, in, readCSV)
	case JSONL:
		l.lenient = false
		return r.readOwn(l, in, readJSONL)
	}
	if l.split = splitOfName(path); l.split == "" {
		l.split = r.opt.Split
	}
	if l.known, err = r.classesBeside(format, filepath.Dir(path)); err != nil {
		return err
	}
	if l.media, err = r.mediaOf(filepath.Dir(path)); err != nil {
		return err
	}
	switch format {
	case VGGSound:
		return r.readVGGSound(l, in)
	case AudioSet:
		return r.readAudioSet(l, in)
	}
	return r.readCAVMAE(l, in)
}

// mediaOf returns the index of the media of a list in dir.
func (r *reader) mediaOf(dir string) (*mediaIndex, error) {
	folders := []string{dir}
	if len(r.opt.Media) > 0 {
		folders = nil
		for _, m := range r.opt.Media {
			st, err := os.Stat(m)
			if err == nil && !st.IsDir() {
				err = fmt.Errorf("%q is not a folder", m)
			}
			if err != nil {
				return nil, fmt.Errorf("manifest: media: %w: %w", ErrNoSource, err)
			}
			abs, err := filepath.Abs(m)
			if err != nil {
				return nil, fmt.Errorf("manifest: %w", err)
			}
			folders = append(folders, abs)
		}
	}
	name := strings.Join(folders, "\x00")
	if m, ok := r.indexes[name]; ok {
		return m, nil
	}
	m, err := indexMedia(folders, r.opt.AllowOutside)
	r.indexes[name] = m
	return m, err
}

// add takes up candidates.
func (r *reader) add(found ...candidate) error {
	if r.all.len()+len(found) > MaxClips {
		return fmt.Errorf("manifest: %w: %w", ErrManifest, errTooMany)
	}
	r.all.add(found)
	return nil
}

func (r *reader) list() (List, error) {
	entries, err := r.assign()
	if err != nil {
		return List{}, err
	}
	l := List{Entries: entries, Classes: r.classes(entries), Leaks: r.leaks}
	for _, f := range r.lists {
		l.Bad.Count += f.bad.Count
		more := min(len(f.bad.Examples), maxExamples-len(l.Bad.Examples))
		l.Bad.Examples = append(l.Bad.Examples, f.bad.Examples[:more]...)
	}
	if len(entries) == 0 {
		return List{}, fmt.Errorf("manifest: %w: every clip contradicts another", ErrEmpty)
	}
	return l, nil
}
