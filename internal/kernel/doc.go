// Package kernel holds the loops that the CPU engine spends its time in: matrix
// products, attention, and row and column operations. They work on float32
// slices in plain Go, and in assembly where the CPU has AVX2 and FMA or
// AVX-512; SetISA chooses among them for tests. The build tag noasm leaves the
// assembly out.
//
// On arm64 the products, and so attention, have assembly for NEON; rows and
// columns are plain Go. It is tested in an emulator. Nobody has measured its
// speed on such a machine.
//
//   - Pool deals the numbered parts of a Task to persistent workers.
//   - Gemm multiplies matrices, with what follows a linear layer: bias, GELU,
//     residual. Its micro-kernel multiplies tiles of A (mr rows) with packed
//     panels of B (nr columns).
//   - Int8Gemm multiplies by weights in bytes, for embeddings: AVX-512 VNNI.
//   - Attention computes softmax attention forward and backward by tiles of
//     queries, on the same micro-kernel.
//   - Everything else works on one row, or a block of columns, on one goroutine.
//
// For example, y = x·Wᵀ for x (rows, in) and W (out, in):
//
//	pool := kernel.NewPool(runtime.NumCPU())
//	defer pool.Close()
//	kernel.NewGemm(pool).Do(&kernel.GemmArgs{
//		M: rows, N: out, K: in,
//		A: x, LDA: in, B: w, LDB: in, TransB: true, C: y, LDC: out,
//	})
//
// The module in gen writes the assembly for amd64; `go generate` runs it.
package kernel
