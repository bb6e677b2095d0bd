package shim

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// write writes a file and the folders above it.
func write(t *testing.T, text string, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// library returns the bytes of a shared library that has nothing but a table of the
// symbols it defines and one of the libraries it needs.
func library(symbols, needed []string) string {
	names := []byte{0}
	name := func(s string) uint64 {
		at := len(names)
		names = append(append(names, s...), 0)
		return uint64(at)
	}
	var table, dynamic bytes.Buffer
	binary.Write(&table, binary.LittleEndian, elf.Sym64{})
	for _, s := range symbols {
		binary.Write(&table, binary.LittleEndian, elf.Sym64{Name: uint32(name(s)), Info: 0x12,
			Shndx: 1})
	}
	for _, s := range needed {
		binary.Write(&dynamic, binary.LittleEndian, elf.Dyn64{Tag: int64(elf.DT_NEEDED),
			Val: name(s)})
	}
	binary.Write(&dynamic, binary.LittleEndian, elf.Dyn64{})
	// After the header: the names, the symbols, the dynamic section, the sections.
	at := uint64(binary.Size(elf.Header64{}))
	parts := [][]byte{names, table.Bytes(), dynamic.Bytes()}
	sections := []elf.Section64{{}}
	for i, kind := range []elf.SectionType{elf.SHT_STRTAB, elf.SHT_DYNSYM, elf.SHT_DYNAMIC} {
		sections = append(sections, elf.Section64{Type: uint32(kind), Off: at,
			Size: uint64(len(parts[i])), Link: 1, Entsize: []uint64{0, 24, 16}[i]})
		at += uint64(len(parts[i]))
	}
	head := elf.Header64{Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1,
		Ehsize: 64, Shoff: at, Shentsize: 64, Shnum: uint16(len(sections)), Shstrndx: 1}
	copy(head.Ident[:], "\x7fELF\x02\x01\x01")
	var out bytes.Buffer
	binary.Write(&out, binary.LittleEndian, head)
	for _, p := range parts {
		out.Write(p)
	}
	binary.Write(&out, binary.LittleEndian, sections)
	return out.String()
}

const (
	newString = "_ZN3c105ErrorC1ENSt7__cxx1112basic_stringE"
	oldString = "_ZN3c105ErrorC1ESs"
	glooGroup = "_ZN4c10d16ProcessGroupGlooE"
	ncclGroup = "_ZN4c10d16ProcessGroupNCCLE"
)

// plant makes a libtorch of a version with headers in include and libraries in lib.
func plant(t *testing.T, include, lib string, version [2]int, abi string, cpu ...string) {
	t.Helper()
	write(t, fmt.Sprintf("#pragma once\n#define TORCH_VERSION_MAJOR %d\n"+
		"#define TORCH_VERSION_MINOR %d\n#define TORCH_VERSION_PATCH 3\n", version[0], version[1]),
		include, "torch/csrc/api/include/torch/version.h")
	write(t, library([]string{abi}, nil), lib, "libc10.so")
	write(t, library(cpu, nil), lib, "libtorch_cpu.so")
}

// plantCUDA adds CUDA of a major version, with NCCL inside.
func plantCUDA(t *testing.T, lib string, major int) {
	t.Helper()
	write(t, library(nil, []string{fmt.Sprintf("libcudart-0a1b.so.%d", major)}), lib, "libc10_cuda.so")
	write(t, library([]string{ncclGroup}, nil), lib, "libtorch_cuda.so")
}

// plantCUDAHeaders adds CUDA's headers, of a version such as 12040, to a folder.
func plantCUDAHeaders(t *testing.T, version int, folder func(header string) string) {
	t.Helper()
	for _, name := range cudaHeaders {
		write(t, fmt.Sprintf("#define CUDART_VERSION  %d\n", version), folder(name), name)
	}
}

// one is the only thing that was found.
func one(t *testing.T, found []*Torch) *Torch {
	t.Helper()
	if len(found) != 1 {
		t.Fatalf("%d found: %v", len(found), found)
	}
	return found[0]
}

// A system like Debian's: headers and libraries far apart, gloo in a package of its
// own.
func TestFindSystem(t *testing.T) {
	dir := t.TempDir()
	o := Options{System: dir}
	f := one(t, Find(t.Context(), o))
	if f.Usable() || !strings.Contains(f.Fault, "no libtorch") {
		t.Errorf("in an empty system: %v", f)
	}
	triplet := triplets[runtime.GOARCH]
	if triplet == "" {
		t.Skip("no name of Debian's for " + runtime.GOARCH)
	}
	include, lib := filepath.Join(dir, "usr/include"), filepath.Join(dir, "usr/lib", triplet)
	plant(t, include, lib, [2]int{1, 13}, newString, glooGroup)
	f = one(t, Find(t.Context(), o))
	if !f.Usable() || f.Version != "1.13.3" || f.Lib != lib || f.Include != include ||
		!f.CXX11ABI || f.CUDA != "" || f.NCCL {
		t.Errorf("%+v", f)
	}
	if f.Gloo || !strings.Contains(strings.Join(f.Without, "\n"), "libgloo-dev") {
		t.Errorf("gloo without its headers: %v", f.Without)
	}
	write(t, "", include, "gloo/config.h")
	if f = one(t, Find(t.Context(), o)); !f.Gloo || f.GlooInclude != include {
		t.Errorf("gloo with its headers: %+v", f)
	}
}

// A torch as pip installs it: CUDA's headers in packages beside it.
func TestFindPython(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "site-packages/torch")
	lib := filepath.Join(root, "lib")
	plant(t, filepath.Join(root, "include"), lib, [2]int{2, 6}, oldString, glooGroup)
	plantCUDA(t, lib, 12)
	write(t, "", dir, "usr/include/gloo/config.h") // of the system's gloo, not the one inside
	python := write(t, "#!/bin/sh\necho "+root+"\n", dir, "bin/python")
	o := Options{Pythons: []string{python}, OnlyPythons: true, System: dir}

	f := one(t, Find(t.Context(), o))
	why := strings.Join(f.Without, "\n")
	if !f.Usable() || f.CXX11ABI || f.CUDA != "" || f.Gloo || f.NCCL ||
		!strings.Contains(why, "headers of CUDA 12") || !strings.Contains(why, "gloo's headers") {
		t.Errorf("without headers: %+v", f)
	}
	plantCUDAHeaders(t, 11080, func(string) string { return filepath.Join(dir, "cuda-11/include") })
	o.CUDAHome = filepath.Join(dir, "cuda-11")
	f = one(t, Find(t.Context(), o))
	if why := strings.Join(f.Without, "\n"); f.CUDA != "" || !strings.Contains(why, "is CUDA 11.8") {
		t.Errorf("with headers of CUDA 11.8: %+v", f)
	}
	nvidia := filepath.Join(dir, "site-packages/nvidia")
	plantCUDAHeaders(t, 12040, func(header string) string {
		return filepath.Join(nvidia, filepath.Base(header)+"-package", "include")
	})
	f = one(t, Find(t.Context(), o))
	if f.CUDA != "12.4" || len(f.CUDAIncludes) != len(cudaHeaders) || f.NCCL {
		t.Errorf("with headers of CUDA 12.4: %+v", f)
	}
	write(t, "", nvidia, "nccl/include/nccl.h")
	if f = one(t, Find(t.Context(), o)); !f.NCCL {
		t.Errorf("with nccl.h: %+v", f)
	}
	text := strings.Join(f.flags().compile, " ")
	for _, want := range []string{"-std=c++20", "_GLIBCXX_USE_CXX11_ABI=0", "-DAVJEPA_CUDA",
		"-DAVJEPA_NCCL", "-isystem " + filepath.Join(nvidia, "cusparse.h-package/include"),
		"-isystem " + filepath.Join(root, "include")} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(text, "GLOO") || !slices.Contains(f.flags().link, "-lc10_cuda") {
		t.Errorf("flags %+v", f.flags())
	}

	// An old one has no CUDA that is of use.
	plant(t, filepath.Join(root, "include"), lib, [2]int{2, 0}, oldString, glooGroup)
	f = one(t, Find(t.Context(), o))
	if why := strings.Join(f.Without, "\n"); f.CUDA != "" || !strings.Contains(why, "2.1 on") {
		t.Errorf("of libtorch 2.0: CUDA %q, without %s", f.CUDA, why)
	}

	// What a Python answers otherwise.
	for script, want := range map[string]string{
		"echo": "has no torch", "exit 3": "cannot say", "echo /nowhere": "no libtorch_cpu.so",
	} {
		write(t, "#!/bin/sh\n"+script+"\n", python)
		if f := one(t, Find(t.Context(), o)); !strings.Contains(f.Fault, want) {
			t.Errorf("%s: %q lacks %q", script, f.Fault, want)
		}
	}
}

func TestFindFolder(t *testing.T) {
	dir := t.TempDir()
	include, lib := filepath.Join(dir, "include"), filepath.Join(dir, "lib")
	find := func() *Torch { return one(t, Find(t.Context(), Options{Folder: dir, System: dir})) }
	if f := find(); !strings.Contains(f.Fault, lib) {
		t.Errorf("an empty folder: %q", f.Fault)
	}
	plant(t, include, lib, [2]int{1, 12}, newString)
	if f := find(); !strings.Contains(f.Fault, "1.12.3 is too old") {
		t.Errorf("1.12: %q", f.Fault)
	}
	plant(t, include, lib, [2]int{1, 13}, newString)
	if f := find(); !f.Usable() || !slices.Contains(f.flags().compile, "-std=c++17") {
		t.Errorf("1.13: %v, %v", f, f.flags())
	}
	write(t, "no library", lib, "libc10.so")
	if f := find(); f.Usable() {
		t.Errorf("a libc10.so that is none: %v", f)
	}
	if err := os.RemoveAll(include); err != nil {
		t.Fatal(err)
	}
	if f := find(); !strings.Contains(f.Fault, "no headers") {
		t.Errorf("without headers: %q", f.Fault)
	}
}

func TestBest(t *testing.T) {
	bad := &Torch{Root: "/a", Fault: "broken"}
	old, recent := &Torch{Major: 1, Minor: 13}, &Torch{Major: 2, Minor: 10}
	gloo, cuda := &Torch{Major: 2, Minor: 10, Gloo: true}, &Torch{Major: 2, Minor: 6, CUDA: "12.4"}
	for want, found := range map[*Torch][]*Torch{
		old: {bad, old}, recent: {old, recent, bad}, gloo: {recent, gloo, old},
		cuda: {gloo, recent, cuda},
	} {
		if got, err := Best(found); got != want || err != nil {
			t.Errorf("best of %v is %v, %v", found, got, err)
		}
	}
	if _, err := Best([]*Torch{bad}); !errors.Is(err, ErrNoTorch) ||
		!strings.Contains(err.Error(), "broken") || !strings.Contains(err.Error(), "libtorch-dev") {
		t.Errorf("error %v", err)
	}
}
