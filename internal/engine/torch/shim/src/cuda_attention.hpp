// The fused operations of attention.
#pragma once

#include "core.hpp"

#include <ATen/core/ivalue.h>

#include <vector>

namespace avj {

enum Kind { kFlash, kCudnn, kEfficient, kKinds, kComposed = kKinds };
inline constexpr const char *kind_names[] = {"flash", "cudnn", "efficient", "composed"};

// Saved is what the backward of a fused operation needs beside our tensors.
struct Saved {
    Kind kind = kComposed;
    c10::IValue seed, offset, cum_q, cum_k, max_q, max_k;
    std::vector<int64_t> lse; // its shape
};

// Forward is the results of one: out (B, A, Nq, d), and LSE in a shape of its own.
struct Forward {
    at::Tensor out, lse;
    Saved rest;
};

// forward runs one, for q (B, A, Nq, d), k and v (B, A, Nk, d), strided.
Forward forward(Kind kind, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                const avj_mask &mask, bool lse);

// backward returns the gradients of q, k and v. p is the mask's.
std::vector<c10::IValue> backward(const Saved &s, const at::Tensor &dout, const at::Tensor &q,
                                  const at::Tensor &k, const at::Tensor &v,
                                  const at::Tensor &out, const at::Tensor &lse, double p);

} // namespace avj
