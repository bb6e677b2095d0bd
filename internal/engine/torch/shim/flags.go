package shim

import (
	"fmt"
	"path/filepath"
)

// flags are the arguments of the compiler and of the linker, without file names.
type flags struct{ compile, link []string }

// flags returns the arguments for a libtorch. Its headers count as the system's,
// so that their warnings are not shown.
func (t *Torch) flags() flags {
	standard, abi := "-std=c++20", 0
	if t.Major < 2 {
		standard = "-std=c++17" // its headers do not compile as C++20
	}
	if t.CXX11ABI {
		abi = 1
	}
	f := flags{
		compile: []string{standard, "-O2", "-fPIC", fmt.Sprintf("-D_GLIBCXX_USE_CXX11_ABI=%d", abi)},
		// Kernels register themselves when a library is loaded: it must be, also when
		// the shim calls none of its functions.
		link: []string{"-shared", "-L" + t.Lib, "-Wl,-rpath," + t.Lib, "-Wl,--no-as-needed",
			"-ltorch", "-ltorch_cpu", "-lc10"},
	}
	includes := []string{t.apiInclude(), t.Include}
	if t.CUDA != "" {
		f.compile = append(f.compile, "-DAVJEPA_CUDA")
		includes = append(includes, t.CUDAIncludes...)
		f.link = append(f.link, "-ltorch_cuda", "-lc10_cuda")
	}
	if t.Gloo || t.NCCL {
		f.compile = append(f.compile, "-DUSE_DISTRIBUTED")
	}
	if t.Gloo {
		f.compile = append(f.compile, "-DAVJEPA_GLOO", "-DUSE_C10D_GLOO")
		includes = append(includes, t.GlooInclude)
	}
	if t.NCCL {
		f.compile = append(f.compile, "-DAVJEPA_NCCL", "-DUSE_C10D_NCCL")
		includes = append(includes, t.NCCLInclude)
	}
	seen := map[string]bool{"/usr/include": true} // searched anyway, and last
	for _, dir := range includes {
		if dir = filepath.Clean(dir); !seen[dir] {
			seen[dir] = true
			f.compile = append(f.compile, "-isystem", dir)
		}
	}
	return f
}
