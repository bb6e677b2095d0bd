// Package shim finds libtorch on this machine and builds the library through which
// engine/torch calls it.
//
// The library is C++ behind a C ABI; its source is in the program, in src. Nobody
// needs a compiler or libtorch to build or to start the program: who wants the
// engine builds the library once, into a folder of their cache.
//
//	found := shim.Find(ctx, shim.Options{})
//	best, err := shim.Best(found)
//	lib, err := shim.Build(ctx, shim.BuildConfig{Torch: best, Cache: dir, Compiler: "/usr/bin/c++"})
//	// engine/torch opens lib.Path
//
// The words: a Torch is a libtorch as it was found, a Library the shim built for
// one. Nothing here reads the environment: folders and programs are given.
package shim
