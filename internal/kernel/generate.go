package kernel

// The assembly is written by programs in the module in gen. `make kernels`, or
// `go generate ./internal/kernel`, writes it anew.

//go:generate go -C gen run ./gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg kernel
//go:generate go -C gen run ./attention -out ../attention_amd64.s -stubs ../attention_amd64.go -pkg kernel
//go:generate go -C gen run ./vec -out ../vec_amd64.s -stubs ../vec_amd64.go -pkg kernel
//go:generate go -C gen run ./int8 -out ../int8_amd64.s -stubs ../int8_amd64.go -pkg kernel
//go:generate go -C gen run ./jpeg -out ../../jpeg/vectors_amd64.s -stubs ../../jpeg/vectors_amd64.go -pkg jpeg
//go:generate go -C gen run ./view -out ../../view/vectors_amd64.s -stubs ../../view/vectors_amd64.go -pkg view
