// The shim where every operation takes the way it takes on a GPU, on the CPU: for tests.
// emulate.cpp runs the kernels.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

// A GPU sums products of bf16 in float32 and rounds the result. libtorch does so on a CPU
// with AVX-512 alone; on others it rounds every partial sum.
namespace at {

static Tensor summed(const Tensor &a, const Tensor &b) {
    return at::mm(a.to(kFloat), b.to(kFloat));
}
static Tensor summed_mm(const Tensor &a, const Tensor &b) {
    return a.scalar_type() == kBFloat16 ? summed(a, b).to(kBFloat16) : at::mm(a, b);
}
static Tensor &summed_mm_out(Tensor &y, const Tensor &a, const Tensor &b) {
    return a.scalar_type() == kBFloat16 ? y.copy_(summed(a, b)) : at::mm_out(y, a, b);
}
static Tensor &summed_addmm_out(Tensor &y, const Tensor &bias, const Tensor &a, const Tensor &b) {
    if (a.scalar_type() != kBFloat16) return at::addmm_out(y, bias, a, b);
    return y.copy_(summed(a, b).add_(bias));
}

} // namespace at

#define AVJEPA_EMULATE
#define is_cuda is_cpu

#include "attention.cpp"
#include "cuda_objective.cpp"
#include "cuda_paths.cpp"
#include "cuda_rows.cpp"
#include "elementwise.cpp"
#define mm summed_mm
#define mm_out summed_mm_out
#define addmm_out summed_addmm_out
#include "linear.cpp"
#undef mm
#undef mm_out
#undef addmm_out
#include "memory.cpp"
#include "norm.cpp"
#include "objective.cpp"
#include "optim.cpp"
#include "tokens.cpp"

namespace avj::cu {

void load() {}

const unsigned long long *parameter(const unsigned long long *, int) { return nullptr; }

std::string attention_lines() { return ""; }
void test_attention(avj_engine &) {}

} // namespace avj::cu

namespace avj {

std::string cuda_open(avj_engine &e) {
    e.portable = true; // as little as on a GPU is done by loops of our own
    cu::test(e);
    return "an emulated GPU";
}
int cuda_enter(int) { return -1; }
void cuda_leave(int) {}
void cuda_sync() {}
void cuda_upload(const at::Tensor &dst, const void *host) {
    std::memcpy(dst.data_ptr(), host, size_t(dst.nbytes()));
}
void cuda_used(const avj_tensor &) {}
void cuda_forget(const avj_buffer *) {}
at::Tensor cuda_product(const at::Tensor &a, const at::Tensor &b) {
    return at::mm(f32(a), f32(b));
}
bool cuda_add_product(const at::Tensor &, const at::Tensor &, const at::Tensor &) {
    return false;
}
bool cuda_attention(const avj_attention_args &) { return false; }
bool cuda_attention_backward(const avj_attention_backward_args &) { return false; }

} // namespace avj
