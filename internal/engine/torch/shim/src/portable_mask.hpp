// Dropout masks by libtorch's integer operations: for a GPU without a kernel of ours.
#pragma once

#include "core.hpp"
#include "mask.hpp"

#include <ATen/ops/arange.h>

namespace avj {

// shifted returns the logical right shift of 64-bit words, which are signed here.
inline at::Tensor shifted(const at::Tensor &x, int64_t n) {
    return x.bitwise_right_shift(n).bitwise_and((int64_t(1) << (64 - n)) - 1);
}

inline at::Tensor portable_mix64(at::Tensor x) {
    x = x.bitwise_xor(shifted(x, 30)) * int64_t(0xBF58476D1CE4E5B9u);
    x = x.bitwise_xor(shifted(x, 27)) * int64_t(0x94D049BB133111EBu);
    return x.bitwise_xor(shifted(x, 31));
}

constexpr int64_t low32 = 0xFFFFFFFF;

// portable_mix32 takes and returns words in [0, 2³²).
inline at::Tensor portable_mix32(at::Tensor x) {
    x = x.bitwise_xor(x.bitwise_right_shift(16)).mul_(int64_t(0x7FEB352D)).bitwise_and_(low32);
    x = x.bitwise_xor(x.bitwise_right_shift(15)).mul_(int64_t(0x846CA68B)).bitwise_and_(low32);
    return x.bitwise_xor(x.bitwise_right_shift(16));
}

// portable_kept returns (…, columns) booleans: what the mask keeps of rows (…).
inline at::Tensor portable_kept(const avj_mask &m, const at::Tensor &rows, int64_t columns) {
    at::Tensor words = portable_mix64(
        (rows * int64_t(0x9E3779B97F4A7C15u)).bitwise_xor(int64_t(m.key)));
    at::Tensor k0 = words.bitwise_and(low32).unsqueeze(-1), k1 = shifted(words, 32).unsqueeze(-1);
    at::Tensor col = at::arange(columns, rows.options()).mul_(int64_t(0x9E3779B9));
    at::Tensor x = (col + k0).bitwise_and_(low32);
    return portable_mix32(portable_mix32(x).bitwise_xor_(k1)).ge(int64_t(mask_threshold(m.p)));
}

// portable_rows returns the rows of the mask of a tensor of n tokens a sequence.
inline at::Tensor portable_rows(const avj_mask &m, int64_t rows, int64_t n,
                                const at::TensorOptions &like) {
    at::Tensor r = at::arange(rows, like.dtype(at::kLong));
    at::Tensor s = r.floor_divide(n), i = r.remainder(n);
    if (m.run > 0) s = s.floor_divide(m.run) * m.row_stride + s.remainder(m.run);
    return (s + m.first) * mask_tokens(m, n) + i;
}

} // namespace avj
