// Package torch is the engine that computes with libtorch: on a CPU, and on NVIDIA's
// GPUs, where it has BF16.
//
// Between Go and libtorch lies a shim, a C library that package torch/shim builds
// from the C++ source in its folder src and that is loaded when an Engine is made.
// Nothing is linked: a program with this package needs neither a C compiler nor
// libtorch, and starts without them.
//
//	e, err := torch.New(torch.Config{Library: path, Device: "cuda"})
//	if errors.Is(err, torch.ErrNoLibrary) {
//		// avjepa engine build
//	}
//
// # Faults
//
// An operation that fails on the device returns nothing to its caller. The engine
// keeps the first fault and does nothing until Sync has returned it; meanwhile
// Download gives NaN.
//
// # Threads
//
// On a CPU libtorch keeps a set of workers for every thread of the system that
// calls it. A goroutine that computes for long should therefore hold its thread:
// runtime.LockOSThread.
package torch
