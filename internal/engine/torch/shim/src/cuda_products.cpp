// Products of bf16 matrices whose result is float32, which newer versions of libtorch
// have.
#ifdef AVJEPA_CUDA

#include "cuda.hpp"
#include "cuda_kernels.hpp"

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>

namespace avj {

// operation returns an operation of libtorch's if there is one of that name.
static std::optional<c10::OperatorHandle> operation(const char *name, const char *overload) {
    return c10::Dispatcher::singleton().findSchema({name, overload});
}

at::Tensor cuda_product(const at::Tensor &a, const at::Tensor &b) {
    static const auto op = operation("aten::mm", "dtype");
    if (!op || !cu::use(cu::kWideProducts)) return at::Tensor();
    return op->typed<at::Tensor(const at::Tensor &, const at::Tensor &, at::ScalarType)>().call(
        a, b, at::kFloat);
}

bool cuda_add_product(const at::Tensor &dw, const at::Tensor &a, const at::Tensor &b) {
    static const auto op = operation("aten::addmm", "dtype_out");
    if (!op || !cu::use(cu::kWideSums)) return false;
    at::Tensor out = dw;
    op->typed<at::Tensor &(const at::Tensor &, const at::Tensor &, const at::Tensor &,
                           at::ScalarType, const at::Scalar &, const at::Scalar &,
                           at::Tensor &)>()
        .call(dw, a, b, at::kFloat, 1, 1, out);
    return true;
}

} // namespace avj

#endif
