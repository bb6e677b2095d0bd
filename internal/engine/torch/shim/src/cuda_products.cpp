// Products of bf16 matrices whose result is float32, which newer versions of libtorch
// have.
#ifdef AVJEPA_CUDA

#include "cuda.hpp"
#include "cuda_kernels.hpp"

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <stdexcept>

namespace avj {

// operation returns an operation of libtorch's if there is one of that name.
static std::optional<c10::OperatorHandle> operation(const char *name, const char *overload) {
    return c10::Dispatcher::singleton().findSchema({name, overload});
}

// need throws when there is no such operation: the test of a path is the first to ask,
// and turns it off.
static void need(const std::optional<c10::OperatorHandle> &op) {
    if (!op) throw std::runtime_error("this libtorch has no such operation");
}

at::Tensor cuda_product(const at::Tensor &a, const at::Tensor &b) {
    if (!cu::use(cu::kWideProducts)) return at::Tensor();
    static const auto op = operation("aten::mm", "dtype");
    need(op);
    return op->typed<at::Tensor(const at::Tensor &, const at::Tensor &, at::ScalarType)>().call(
        a, b, at::kFloat);
}

bool cuda_add_product(const at::Tensor &dw, const at::Tensor &a, const at::Tensor &b) {
    if (!cu::use(cu::kWideSums)) return false;
    static const auto op = operation("aten::addmm", "dtype_out");
    need(op);
    at::Tensor out = dw;
    op->typed<at::Tensor &(const at::Tensor &, const at::Tensor &, const at::Tensor &,
                           at::ScalarType, const at::Scalar &, const at::Scalar &,
                           at::Tensor &)>()
        .call(dw, a, b, at::kFloat, 1, 1, out);
    return true;
}

} // namespace avj

#endif
