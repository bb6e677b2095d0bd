//go:build (linux || darwin) && !static

package torch

import "github.com/ebitengine/purego"

// dlopen loads a library with all it needs. What it defines is seen by libraries
// loaded later: libtorch loads some by itself.
func dlopen(path string) (uintptr, error) {
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
}

// symbol returns the address of a function of the library.
func (l *library) symbol(name string) (function, error) {
	f, err := purego.Dlsym(l.handle, name)
	return function(f), err
}

// call calls f with up to three arguments.
//
//go:uintptrescapes
func (f function) call(a, b, c uintptr) uintptr {
	r, _, _ := purego.SyscallN(uintptr(f), a, b, c)
	return r
}

// callWith is call without making a list of the arguments, which is allocated. What
// they point to must be held by the caller, on the heap.
func (f function) callWith(list []uintptr) uintptr {
	r, _, _ := purego.SyscallN(uintptr(f), list...)
	return r
}
