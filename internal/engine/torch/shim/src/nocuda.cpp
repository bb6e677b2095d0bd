// cuda.hpp without a GPU: no kernel of our own exists.
#ifndef AVJEPA_CUDA

#include "cuda.hpp"

namespace avj {

[[noreturn]] static void absent() {
    throw std::runtime_error("this shim was built without CUDA: run `avjepa engine build` where "
                             "libtorch has it");
}

std::string cuda_open(avj_engine &) { absent(); }
int cuda_enter(int) { absent(); }
void cuda_leave(int) {}
void cuda_sync() { absent(); }
void cuda_upload(const at::Tensor &, const void *) { absent(); }

bool cuda_dropout(const at::Tensor &, const at::Tensor &, const avj_mask &, int64_t) {
    return false;
}
bool cuda_mask(const at::Tensor &, const avj_mask &, int64_t, int64_t, int64_t) { return false; }
bool cuda_epilogue(const at::Tensor &, const at::Tensor &, const at::Tensor &,
                   const at::Tensor &, const at::Tensor &, bool) {
    return false;
}
bool cuda_gelu_product(const at::Tensor &, const at::Tensor &, const at::Tensor &,
                       const at::Tensor &, bool) {
    return false;
}
bool cuda_layer_norm(const at::Tensor &, const at::Tensor &, const at::Tensor &,
                     const at::Tensor &, const at::Tensor &, const at::Tensor &, double) {
    return false;
}
bool cuda_layer_norm_backward(const struct avj_layer_norm_backward_args &) { return false; }
bool cuda_attention(const struct avj_attention_args &) { return false; }
bool cuda_attention_backward(const struct avj_attention_backward_args &) { return false; }
bool cuda_patchify(const struct avj_patchify_video_args &) { return false; }
bool cuda_ecf(const struct avj_ecf_args &) { return false; }
bool cuda_ecf_backward(const struct avj_ecf_backward_args &) { return false; }
bool cuda_adamw(const struct avj_adamw_args &) { return false; }

} // namespace avj

#endif
