package shim

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// ErrNoTorch is behind the error of a machine without a libtorch that can be used.
var ErrNoTorch = errors.New("no libtorch")

// Torch is a libtorch as it was found.
type Torch struct {
	From    string `json:"from"`              // "system", "python" or "folder"
	Root    string `json:"root"`              // the folder that was looked at
	Version string `json:"version,omitempty"` // "2.6.0"
	Major   int    `json:"major,omitempty"`
	Minor   int    `json:"minor,omitempty"`
	Include string `json:"include,omitempty"` // has torch/, ATen/ and c10/
	Lib     string `json:"lib,omitempty"`     // has libtorch_cpu.so
	// CXX11ABI: built with the strings of C++11, as the shim must be then.
	CXX11ABI bool `json:"cxx11_abi"`

	// CUDA is the version of the headers that the shim is built with, "12.4", or ""
	// when it is built for the CPU alone.
	CUDA         string   `json:"cuda,omitempty"`
	CUDAIncludes []string `json:"cuda_includes,omitempty"`
	Gloo         bool     `json:"gloo"` // processes on CPUs
	GlooInclude  string   `json:"gloo_include,omitempty"`
	NCCL         bool     `json:"nccl"` // processes on GPUs
	NCCLInclude  string   `json:"nccl_include,omitempty"`

	// Without says what the shim is built without, and why.
	Without []string `json:"without,omitempty"`
	// Fault says why this libtorch cannot be used, "" when it can.
	Fault string `json:"fault,omitempty"`
}

// Usable reports whether the shim can be built for it.
func (t *Torch) Usable() bool { return t.Fault == "" }

// String is one line for people: version, folder, and what it can do.
func (t *Torch) String() string {
	if !t.Usable() {
		return fmt.Sprintf("%s (%s): %s", t.Root, t.From, t.Fault)
	}
	has := "CPU"
	if t.CUDA != "" {
		has += ", CUDA " + t.CUDA
	}
	if t.Gloo {
		has += ", gloo"
	}
	if t.NCCL {
		has += ", NCCL"
	}
	return fmt.Sprintf("libtorch %s in %s (%s): %s", t.Version, t.Lib, t.From, has)
}

// layout is where a libtorch may lie below a root.
type layout struct{ include, lib string }

// examine looks at a libtorch with headers and libraries in one of the given
// layouts below root.
func examine(from, root string, layouts []layout, extra headerFolders) *Torch {
	t := &Torch{From: from, Root: root}
	for _, l := range layouts {
		lib := filepath.Join(root, l.lib)
		if isFile(lib, "libtorch_cpu.so") && isFile(lib, "libc10.so") {
			t.Lib, t.Include = lib, filepath.Join(root, l.include)
			break
		}
	}
	if t.Lib == "" {
		var tried []string
		for _, l := range layouts {
			tried = append(tried, filepath.Join(root, l.lib))
		}
		t.Fault = "no libtorch_cpu.so and libc10.so in " + strings.Join(tried, ", ")
		return t
	}
	if err := t.readVersion(); err != nil {
		t.Fault = err.Error()
		return t
	}
	var err error
	if t.CXX11ABI, err = cxx11ABI(filepath.Join(t.Lib, "libc10.so")); err != nil {
		t.Fault = err.Error()
		return t
	}
	t.findCUDA(extra)
	t.findGloo(extra)
	t.findNCCL(extra)
	return t
}

// oldest is the oldest version that the source compiles with.
var oldest = [2]int{1, 13}

// readVersion reads torch/version.h.
func (t *Torch) readVersion() error {
	path := t.versionFile()
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("no headers: %w (a package for developers has them, such as "+
			"libtorch-dev)", err)
	}
	var n [3]int
	for i, part := range []string{"MAJOR", "MINOR", "PATCH"} {
		m := regexp.MustCompile(`(?m)^#define TORCH_VERSION_` + part + `\s+(\d+)`).FindSubmatch(text)
		if m == nil {
			return fmt.Errorf("%s does not say TORCH_VERSION_%s", path, part)
		}
		fmt.Sscan(string(m[1]), &n[i])
	}
	t.Major, t.Minor = n[0], n[1]
	t.Version = fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2])
	if t.Major < oldest[0] || t.Major == oldest[0] && t.Minor < oldest[1] {
		return fmt.Errorf("libtorch %s is too old: %d.%d or newer is needed", t.Version,
			oldest[0], oldest[1])
	}
	return nil
}

func (t *Torch) versionFile() string {
	return filepath.Join(t.apiInclude(), "torch", "version.h")
}

// apiInclude is the second folder of headers.
func (t *Torch) apiInclude() string {
	return filepath.Join(t.Include, "torch", "csrc", "api", "include")
}

// cxx11ABI reports whether libc10.so has functions that take strings of C++11.
func cxx11ABI(path string) (bool, error) {
	names, err := exported(path)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "_ZN3c10") && strings.Contains(name, "__cxx11") {
			return true, nil
		}
	}
	return false, nil
}

// exported returns the symbols that a shared library defines.
func exported(path string) ([]string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// exports reports whether a shared library defines a symbol with part in its name.
func exports(path, part string) bool {
	names, err := exported(path)
	if err != nil {
		return false
	}
	for _, name := range names {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// isFile reports whether a file lies at the joined path.
func isFile(parts ...string) bool {
	info, err := os.Stat(filepath.Join(parts...))
	return err == nil && info.Mode().IsRegular()
}
