package shim

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"avjepa/internal/durable"
)

//go:embed src
var source embed.FS

// ErrNotBuilt is behind the error of a cache that has no shim of this program's.
var ErrNotBuilt = errors.New("the torch engine has not been built")

// Names in the folder of a built shim, and beside them.
const (
	libraryName = "libavjepa_torch.so"
	recordName  = "built.json"
	chosenName  = "chosen" // of the folder that Choose chose
	lockName    = ".lock"
)

// Library is a built shim: what it was built from, as its built.json has it.
type Library struct {
	Path     string    `json:"path"`
	Source   string    `json:"source"` // hash of src
	Torch    Torch     `json:"torch"`
	Compiler string    `json:"compiler"`
	Compile  []string  `json:"compile"` // flags
	Link     []string  `json:"link"`
	Seconds  float64   `json:"seconds"` // the build took
	Time     time.Time `json:"time"`    // when it was
}

// folder is where the shims of a cache lie.
func folder(cache string) string { return filepath.Join(cache, "avjepa", "torch") }

// sourceHash names the source of the shim in this program.
func sourceHash() string {
	h := sha256.New()
	err := fs.WalkDir(source, "src", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := source.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", path, len(text))
		h.Write(text)
		return err
	})
	if err != nil {
		panic("shim: reading what the program embeds: " + err.Error())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Fault says why a shim cannot be used any more, "" when it can.
func (l *Library) Fault() string {
	switch {
	case l.Source != sourceHash():
		return "it was built by another version of avjepa"
	case !isFile(l.Torch.Lib, "libtorch_cpu.so"):
		return "its libtorch is gone from " + l.Torch.Lib
	}
	now := l.Torch
	if isFile(now.versionFile()) {
		if err := now.readVersion(); err != nil || now.Version != l.Torch.Version {
			return fmt.Sprintf("it was built for libtorch %s, and %s now has %s", l.Torch.Version,
				now.Root, now.Version)
		}
	}
	return ""
}

// Built returns the shims of a cache, those that cannot be used any more among
// them, the newest first.
func Built(cache string) []*Library {
	paths, _ := filepath.Glob(filepath.Join(folder(cache), "*", recordName))
	var all []*Library
	for _, path := range paths {
		if l, err := readLibrary(filepath.Dir(path)); err == nil {
			all = append(all, l)
		}
	}
	slices.SortStableFunc(all, func(a, b *Library) int { return b.Time.Compare(a.Time) })
	return all
}

// maxRecordBytes is far more than a record takes: paths, flags and a version.
const maxRecordBytes = 1 << 20

// readLibrary reads the record of a built shim.
func readLibrary(dir string) (*Library, error) {
	path := filepath.Join(dir, recordName)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecordBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxRecordBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxRecordBytes)
	}
	l := &Library{}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l.Path = filepath.Join(dir, libraryName) // the cache may have moved
	if !isFile(l.Path) {
		return nil, fmt.Errorf("%s is missing", l.Path)
	}
	return l, nil
}

// Current returns the shim to load from a cache: the one that Choose chose, else
// the newest; of those that can be used. The error is ErrNotBuilt.
func Current(cache string) (*Library, error) {
	all := Built(cache)
	chosen, _ := os.ReadFile(filepath.Join(folder(cache), chosenName))
	name := strings.TrimSpace(string(chosen))
	slices.SortStableFunc(all, func(a, b *Library) int {
		return boolInt(b.name() == name) - boolInt(a.name() == name)
	})
	why := ""
	for i, l := range all {
		fault := l.Fault()
		if fault == "" {
			return l, nil
		}
		if i == 0 {
			why = fmt.Sprintf(", or no longer fits (%s: %s)", l.Path, fault)
		}
	}
	return nil, fmt.Errorf("%w%s: avjepa engine build does that", ErrNotBuilt, why)
}

// Choose makes Current return l. The cache is the one l lies in.
func Choose(l *Library) error {
	return durable.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(l.Path)), chosenName),
		func(w io.Writer) error {
			_, err := fmt.Fprintln(w, l.name())
			return err
		})
}

// name is the folder of a shim within its cache.
func (l *Library) name() string { return filepath.Base(filepath.Dir(l.Path)) }

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
