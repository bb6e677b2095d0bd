// Dropout masks: package rng's, bit for bit.
#pragma once

#include "avjepa.h"

#include <cstdint>
#if defined(__CUDACC__)
#define AVJ_BOTH __host__ __device__
#else
#define AVJ_BOTH
#endif

namespace avj {

AVJ_BOTH inline uint64_t mix64(uint64_t x) {
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBu;
    x ^= x >> 31;
    return x;
}

AVJ_BOTH inline uint32_t mix32(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    x ^= x >> 16;
    return x;
}

// row_words returns the two words of a row of a mask: rng.Key.Row, the first word in
// the lower half.
AVJ_BOTH inline uint64_t row_words(uint64_t key, int64_t row) {
    return mix64(key ^ uint64_t(row) * 0x9E3779B97F4A7C15u);
}

// row_bits returns the bits of a column: rng.RowBits.
AVJ_BOTH inline uint32_t row_bits(uint64_t words, uint32_t column) {
    return mix32(mix32(column * 0x9E3779B9u + uint32_t(words)) ^ uint32_t(words >> 32));
}

// mask_threshold is the bound below which bits mean "dropped": rng.Threshold.
AVJ_BOTH inline uint32_t mask_threshold(double p) { return uint32_t(p * 4294967296.0); }

// mask_tokens returns the tokens of a sequence of the mask, for a tensor with n:
// rng.MaskRows.Of.
AVJ_BOTH inline int64_t mask_tokens(const avj_mask &m, int64_t n) {
    return m.tokens > 0 ? m.tokens : n;
}

// mask_start returns the first row of sequence s of the tensor: rng.MaskRows.Start.
AVJ_BOTH inline int64_t mask_start(const avj_mask &m, int64_t s, int64_t rows) {
    if (m.run > 0) s = s / m.run * m.row_stride + s % m.run;
    return (m.first + s) * rows;
}

} // namespace avj
