// Package cpu is the engine people run: pure Go on the kernels of package
// kernel, with AVX2 or AVX-512 where the machine has it.
//
// An operation is cut in parts whose number depends on its shapes alone, and a
// pool of persistent workers does the parts as they come. Sums over parts go
// through one partial result per part, added in order: the bits of a result
// depend neither on scheduling nor on the number of threads, apart from
// products and attention, whose kernels promise the same for a fixed number.
//
// Tensors lie outside the Go heap, on huge pages where the system gives them.
// Operations allocate nothing once their scratch has grown to the largest shape
// met. Types are F32 and, for frames, U8.
//
//	e, err := cpu.New(cpu.Config{}) // all cores
//	buf, err := e.NewBuffer(engine.F32, 6)
//	x := engine.NewTensor(buf, 0, tensor.Of(2, 3))
//	e.Fill(x, 1)
package cpu
