// cuda.hpp without a GPU: no kernel of our own exists.
#if !defined(AVJEPA_CUDA) && !defined(AVJEPA_EMULATE)

#include "avjepa_cuda.h"
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
void cuda_used(const avj_tensor &) {}
void cuda_forget(const avj_buffer *) {}

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
at::Tensor cuda_product(const at::Tensor &, const at::Tensor &) { return at::Tensor(); }
bool cuda_add_product(const at::Tensor &, const at::Tensor &, const at::Tensor &) {
    return false;
}
bool cuda_column_sum(const at::Tensor &, const at::Tensor &) { return false; }
bool cuda_patchify_audio(const struct avj_patchify_audio_args &) { return false; }
bool cuda_assemble(const struct avj_assemble_args &) { return false; }
bool cuda_assemble_backward(const struct avj_assemble_args &) { return false; }
bool cuda_sigreg(const struct avj_sigreg_args &) { return false; }
bool cuda_squared_norm(const struct avj_reduce_args &) { return false; }
bool cuda_patchify(const struct avj_patchify_video_args &) { return false; }
bool cuda_ecf(const struct avj_ecf_args &) { return false; }
bool cuda_ecf_backward(const struct avj_ecf_backward_args &) { return false; }
bool cuda_adamw(const struct avj_adamw_args &) { return false; }

} // namespace avj

using avj::message;

static char *cpu_only() { return message("CUDA", "the engine is not on a GPU"); }

extern "C" {

char *avj_paths(avj_engine *e, const struct avj_paths_args *a, int64_t size) {
    return avj::run(e, a, size, [](avj_engine &, const auto &a) { a.text[0] = 0; });
}

char *avj_force(avj_engine *, const struct avj_force_args *, int64_t) { return cpu_only(); }

char *avj_device_memory(avj_engine *e, const struct avj_device_memory_args *a, int64_t size) {
    return avj::run(e, a, size,
                    [](avj_engine &, const auto &a) { *a.free = *a.total = *a.peak = 0; });
}

char *avj_record_begin(avj_engine *, const struct avj_record_args *, int64_t) {
    return cpu_only();
}
char *avj_record_end(avj_engine *, const struct avj_record_args *, int64_t) {
    return cpu_only();
}
char *avj_record_replay(avj_engine *, const struct avj_record_args *, int64_t) {
    return cpu_only();
}
char *avj_record_free(avj_engine *, avj_recording *) { return cpu_only(); }

} // extern "C"

#endif
