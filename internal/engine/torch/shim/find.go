package shim

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Options says where to look for libtorch.
type Options struct {
	Folder  string   // an unpacked libtorch: then nothing else is looked at
	Pythons []string // interpreters that are asked where their torch is
	// OnlyPythons leaves the system's libtorch out.
	OnlyPythons bool
	CUDAHome    string // CUDA's folder; "" for the usual places
	System      string // what counts as /; "" for that
}

// Find looks for libtorch and returns all it saw, those that cannot be used with
// their Fault. It takes up to some seconds for every Python.
func Find(ctx context.Context, o Options) []*Torch {
	if o.Folder != "" {
		return []*Torch{examine("folder", o.Folder, o.layouts(), o.headers(o.Folder))}
	}
	var found []*Torch
	seen := map[string]bool{}
	for _, python := range o.Pythons {
		root, err := torchOf(ctx, python)
		if err != nil {
			found = append(found, &Torch{From: "python", Root: python, Fault: err.Error()})
		} else if !seen[root] {
			seen[root] = true
			found = append(found, examine("python", root, []layout{{"include", "lib"}},
				o.headers(root)))
		}
	}
	if o.OnlyPythons {
		return found
	}
	var layouts []layout
	for _, l := range o.layouts() {
		layouts = append(layouts, layout{"usr/" + l.include, "usr/" + l.lib},
			layout{"usr/local/" + l.include, "usr/local/" + l.lib})
	}
	t := examine("system", o.root(), layouts, o.headers(""))
	if t.Lib == "" {
		t.Fault = "no libtorch among the system's libraries"
	}
	// Debian's torch for Python is links to the system's.
	found = slices.DeleteFunc(found, func(f *Torch) bool { return f.same(t) })
	return append(found, t)
}

// same reports whether two are one library, by links.
func (t *Torch) same(as *Torch) bool {
	if t.Lib == "" || as.Lib == "" {
		return false
	}
	a, errA := filepath.EvalSymlinks(filepath.Join(t.Lib, "libtorch_cpu.so"))
	b, errB := filepath.EvalSymlinks(filepath.Join(as.Lib, "libtorch_cpu.so"))
	return errA == nil && errB == nil && a == b
}

// Best returns the Torch to build for: one with CUDA before one without, then the
// newest, then one with gloo, then the first. The error is ErrNoTorch and says of all what they lack.
func Best(found []*Torch) (*Torch, error) {
	var best *Torch
	for _, t := range found {
		if t.Usable() && (best == nil || t.better(best)) {
			best = t
		}
	}
	if best != nil {
		return best, nil
	}
	lines := []string{"that can be used"}
	for _, t := range found {
		lines = append(lines, "  "+t.String())
	}
	return nil, fmt.Errorf("%w %s\ninstall libtorch-dev (Debian, Ubuntu), or give a folder "+
		"(--torch DIR) or a Python that has torch (--python P)", ErrNoTorch,
		strings.Join(lines, "\n"))
}

func (t *Torch) better(than *Torch) bool {
	if a, b := t.CUDA != "", than.CUDA != ""; a != b {
		return a
	}
	if a, b := t.Major*1000+t.Minor, than.Major*1000+than.Minor; a != b {
		return a > b
	}
	return t.Gloo && !than.Gloo
}

// triplets are the names of Debian's library folders.
var triplets = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

// layouts returns where libtorch lies below a folder: unpacked, or a prefix such
// as /usr.
func (o Options) layouts() []layout {
	all := []layout{{"include", "lib"}, {"include", "lib64"}}
	if name := triplets[runtime.GOARCH]; name != "" {
		all = append(all, layout{"include", "lib/" + name})
	}
	return all
}

func (o Options) root() string {
	if o.System == "" {
		return "/"
	}
	return o.System
}

// cudaTargets are the names of the folders of CUDA's own installer.
var cudaTargets = map[string]string{"amd64": "x86_64-linux", "arm64": "sbsa-linux"}

// headers returns where headers may lie besides libtorch's own. The packages that
// pip installs torch with lie beside it.
func (o Options) headers(torch string) headerFolders {
	var h headerFolders
	cudaHome := func(dir string) {
		h.cuda = append(h.cuda, []string{filepath.Join(dir, "include")},
			[]string{filepath.Join(dir, "targets", cudaTargets[runtime.GOARCH], "include")})
	}
	if o.CUDAHome != "" {
		cudaHome(o.CUDAHome)
	}
	if torch != "" {
		beside, _ := filepath.Glob(filepath.Join(filepath.Dir(torch), "nvidia", "*", "include"))
		if len(beside) > 0 {
			h.cuda = append(h.cuda, beside)
			h.nccl = append(h.nccl, beside...)
		}
		h.cuda = append(h.cuda, []string{filepath.Join(torch, "include")})
	}
	cudaHome(filepath.Join(o.root(), "usr/local/cuda"))
	usr := []string{filepath.Join(o.root(), "usr/include"),
		filepath.Join(o.root(), "usr/local/include")}
	h.cuda = append(h.cuda, usr)
	h.gloo, h.nccl = usr, append(h.nccl, usr...)
	return h
}

// pythonLimit bounds the question to a Python.
const pythonLimit = 20 * time.Second

// askPython prints the folder of torch without importing it, and without looking
// in the current folder.
const askPython = `import sys
sys.path = [p for p in sys.path if p]
import importlib.util
s = importlib.util.find_spec("torch")
print(s.submodule_search_locations[0] if s and s.submodule_search_locations else "")`

// torchOf returns the folder of a Python's torch.
func torchOf(ctx context.Context, python string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, pythonLimit)
	defer stop()
	cmd := exec.CommandContext(ctx, python, "-c", askPython)
	killGroup(cmd)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s cannot say where its torch is: %w", python, err)
	}
	root := strings.TrimSpace(string(out))
	if root == "" {
		return "", fmt.Errorf("%s has no torch", python)
	}
	return root, nil
}
