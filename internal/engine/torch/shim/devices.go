package shim

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// headerFolders are the folders beside libtorch's own where headers may lie.
type headerFolders struct {
	cuda [][]string // sets of folders that belong together, best first
	gloo []string
	nccl []string
}

// cudaHeaders are those that libtorch's own headers include, one of every package
// that CUDA's are dealt to.
var cudaHeaders = []string{"cuda_runtime_api.h", "crt/host_defines.h", "cublas_v2.h", "cusparse.h",
	"cusolverDn.h"}

// oldestCUDA is the oldest version whose recordings of steps leave other threads alone.
var oldestCUDA = [2]int{2, 1}

// findCUDA sets CUDA and CUDAIncludes when libtorch has CUDA and the headers of its
// major version are there.
func (t *Torch) findCUDA(extra headerFolders) {
	library := filepath.Join(t.Lib, "libtorch_cuda.so")
	if !isFile(library) {
		t.without("CUDA: this libtorch has none (no libtorch_cuda.so)")
		return
	}
	if v := [2]int{t.Major, t.Minor}; slices.Compare(v[:], oldestCUDA[:]) < 0 {
		t.without("CUDA: the engine takes it from libtorch %d.%d on", oldestCUDA[0], oldestCUDA[1])
		return
	}
	want, err := cudaMajor(t.Lib)
	if err != nil {
		t.without("CUDA: %v", err)
		return
	}
	var seen []string
	for _, folders := range extra.cuda {
		version, missing := cudaVersion(folders)
		if missing != "" {
			if missing != cudaHeaders[0] {
				seen = append(seen, fmt.Sprintf("%s lacks %s", folders[0], missing))
			}
			continue
		}
		if major, _, _ := strings.Cut(version, "."); major != strconv.Itoa(want) {
			seen = append(seen, fmt.Sprintf("%s is CUDA %s", folders[0], version))
			continue
		}
		t.CUDA, t.CUDAIncludes = version, folders
		return
	}
	why := "no " + cudaHeaders[0] + " found"
	if len(seen) > 0 {
		why = strings.Join(seen, ", ")
	}
	t.without("CUDA: the headers of CUDA %d are missing (%s); set CUDA_HOME", want, why)
}

// cudaMajor returns the major version of CUDA that the libraries in lib were
// linked with.
func cudaMajor(lib string) (int, error) {
	runtime := regexp.MustCompile(`^libcudart.*\.so\.(\d+)`)
	for _, name := range []string{"libc10_cuda.so", "libtorch_cuda.so"} {
		f, err := elf.Open(filepath.Join(lib, name))
		if err != nil {
			return 0, err
		}
		needed, err := f.ImportedLibraries()
		f.Close()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Join(lib, name), err)
		}
		for _, n := range needed {
			if m := runtime.FindStringSubmatch(n); m != nil {
				return strconv.Atoi(m[1])
			}
		}
	}
	return 0, fmt.Errorf("the libraries in %s do not say which CUDA runtime they need", lib)
}

// cudaVersion returns the version of CUDA's headers in a set of folders, or the
// first header that none of them has.
func cudaVersion(folders []string) (version, missing string) {
	for _, name := range cudaHeaders {
		if folderOf(folders, name) == "" {
			return "", name
		}
	}
	path := filepath.Join(folderOf(folders, cudaHeaders[0]), cudaHeaders[0])
	text, err := os.ReadFile(path)
	if err != nil {
		return "", cudaHeaders[0]
	}
	m := regexp.MustCompile(`(?m)^#define\s+CUDART_VERSION\s+(\d+)`).FindSubmatch(text)
	if m == nil {
		return "", "CUDART_VERSION in " + path
	}
	n, _ := strconv.Atoi(string(m[1])) // 12040 for 12.4
	return fmt.Sprintf("%d.%d", n/1000, n%1000/10), ""
}

// findGloo sets Gloo when libtorch has gloo inside and its headers are there.
func (t *Torch) findGloo(extra headerFolders) {
	if !exports(filepath.Join(t.Lib, "libtorch_cpu.so"), "ProcessGroupGloo") {
		t.without("gloo, for many processes on CPUs: this libtorch was built without it")
		return
	}
	folders := extra.gloo
	if t.From != "system" {
		// Headers of another gloo than the one inside would describe other objects.
		folders = nil
	}
	folders = append([]string{t.Include}, folders...)
	t.GlooInclude = folderOf(folders, filepath.Join("gloo", "config.h"))
	if t.Gloo = t.GlooInclude != ""; t.Gloo {
		return
	}
	if t.From == "system" {
		t.without("gloo, for many processes on CPUs: no gloo/config.h in %s; install libgloo-dev",
			strings.Join(folders, ", "))
	} else {
		t.without("gloo, for many processes on CPUs: this libtorch came without gloo's headers")
	}
}

// findNCCL sets NCCL when the shim has CUDA, libtorch has NCCL and its header is
// there.
func (t *Torch) findNCCL(extra headerFolders) {
	if t.CUDA == "" {
		return
	}
	if !exports(filepath.Join(t.Lib, "libtorch_cuda.so"), "ProcessGroupNCCL") {
		t.without("NCCL, for many GPUs: this libtorch was built without it")
		return
	}
	folders := slices.Concat(t.CUDAIncludes, extra.nccl)
	t.NCCLInclude = folderOf(folders, "nccl.h")
	if t.NCCL = t.NCCLInclude != ""; !t.NCCL {
		t.without("NCCL, for many GPUs: no nccl.h in %s; install libnccl-dev",
			strings.Join(folders, ", "))
	}
}

func (t *Torch) without(format string, args ...any) {
	t.Without = append(t.Without, fmt.Sprintf(format, args...))
}

// folderOf returns the first folder that has the file, or "".
func folderOf(folders []string, file string) string {
	for _, f := range folders {
		if isFile(f, file) {
			return f
		}
	}
	return ""
}
