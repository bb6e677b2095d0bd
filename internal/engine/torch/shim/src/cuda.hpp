// Where a GPU needs other code than a CPU. Without AVJEPA_CUDA the functions that
// only a GPU can reach throw; with it cuda.cpp has them.
//
// The functions that return bool are kernels of our own: they return false when
// they do not have the case, and then the caller's composition of libtorch's
// operations, which is right everywhere, does the work.
#pragma once

#include "core.hpp"

namespace avj {

// cuda_open checks the device of e, which may lack an index, and describes it:
// "NVIDIA H200, CUDA 13.0".
std::string cuda_open(avj_engine &e);
// cuda_enter makes a device current and returns the former one, for cuda_leave.
int cuda_enter(int index);
void cuda_leave(int former);
// cuda_sync waits for all devices' work and throws what went wrong in it.
void cuda_sync();
// cuda_upload copies the host's bytes to dst, contiguous, and returns when the
// host may reuse them. Bytes (U8) go beside the operations that are queued: they
// wait only for the last one that cuda_used was told of.
void cuda_upload(const at::Tensor &dst, const void *host);
// cuda_used says that the operations queued so far may use a buffer of bytes.
void cuda_used(const avj_tensor &t);
// cuda_forget says that a buffer is being freed.
void cuda_forget(const avj_buffer *b);

// cuda_dropout: elementwise.cpp's dropout. x, y (R, C), f32 or bf16 each, R = B·n.
bool cuda_dropout(const at::Tensor &y, const at::Tensor &x, const avj_mask &mask, int64_t n);
// cuda_mask zeroes what the mask drops of s (A, n, Nk), scores of rows i0… of all
// heads of sequence b, of sequences of tokens tokens. It does not scale.
bool cuda_mask(const at::Tensor &s, const avj_mask &mask, int64_t b, int64_t i0, int64_t tokens);
// cuda_linear: the epilogue of linear.cpp. y = act(t + bias) + residual, pre = t + bias;
// bias, residual and pre may be undefined.
bool cuda_epilogue(const at::Tensor &y, const at::Tensor &t, const at::Tensor &bias,
                   const at::Tensor &residual, const at::Tensor &pre, bool gelu);
// cuda_gelu_product: dx = (add ? dx : 0) + t·gelu′(pre); act = gelu(pre) when defined.
bool cuda_gelu_product(const at::Tensor &dx, const at::Tensor &t, const at::Tensor &pre,
                       const at::Tensor &act, bool add);
// cuda_layer_norm and its backward: norm.cpp. Undefined mean and rstd are not wanted.
bool cuda_layer_norm(const at::Tensor &y, const at::Tensor &mean, const at::Tensor &rstd,
                     const at::Tensor &x, const at::Tensor &gain, const at::Tensor &bias,
                     double eps);
bool cuda_layer_norm_backward(const struct avj_layer_norm_backward_args &a);
// cuda_attention and its backward: attention.cpp.
bool cuda_attention(const struct avj_attention_args &a);
bool cuda_attention_backward(const struct avj_attention_backward_args &a);
// cuda_product returns a·b of bf16 matrices in float32, undefined when libtorch has no
// such product.
at::Tensor cuda_product(const at::Tensor &a, const at::Tensor &b);
// cuda_add_product adds that to dw (float32, contiguous).
bool cuda_add_product(const at::Tensor &dw, const at::Tensor &a, const at::Tensor &b);
// cuda_column_sum adds the sums of the columns of x (R, C) to out (C), float32.
bool cuda_column_sum(const at::Tensor &out, const at::Tensor &x);
// cuda_patchify: frames of bytes to normalised patches: tokens.cpp.
bool cuda_patchify(const struct avj_patchify_video_args &a);
bool cuda_patchify_audio(const struct avj_patchify_audio_args &a);
// cuda_assemble and its backward: tokens.cpp.
bool cuda_assemble(const struct avj_assemble_args &a);
bool cuda_assemble_backward(const struct avj_assemble_args &a);
// cuda_ecf and its backward: objective.cpp.
bool cuda_ecf(const struct avj_ecf_args &a);
bool cuda_ecf_backward(const struct avj_ecf_backward_args &a);
bool cuda_sigreg(const struct avj_sigreg_args &a);
// cuda_adamw, cuda_squared_norm: optim.cpp. scale may be undefined.
bool cuda_adamw(const struct avj_adamw_args &a);
bool cuda_squared_norm(const struct avj_reduce_args &a);

} // namespace avj
