// Operations on elements: GELU, dropout, sums.
#include "core.hpp"

#include "cuda.hpp"
#include "mask.hpp"
#include "portable_mask.hpp"

#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>

#include <algorithm>

namespace avj {

// exact reports whether libtorch computes with x as with float32: on a CPU it rounds
// what lies between to bf16.
static bool exact(const at::Tensor &x) {
    return x.device().type() == at::kCUDA || x.scalar_type() == at::kFloat;
}

static void gelu(avj_engine &, const avj_pair_args &a) {
    if (elems(a.dst) == 0) return;
    at::Tensor y = matrix(a.dst), x = matrix(a.src);
    if (y.scalar_type() == x.scalar_type() && exact(x))
        at::gelu_out(y, x);
    else
        y.copy_(at::gelu(f32(x)));
}

static void gelu_backward(avj_engine &e, const avj_gelu_backward_args &a) {
    if (elems(a.dx) == 0) return;
    at::Tensor dx = matrix(a.dx), dy = matrix(a.dy), x = matrix(a.x);
    bool alike = dx.scalar_type() == dy.scalar_type() && dx.scalar_type() == x.scalar_type();
    if (alike && exact(x))
        at::gelu_backward_out(dx, dy, x);
    else if (!(e.device.is_cuda() && cuda_gelu_product(dx, dy, x, at::Tensor(), false)))
        dx.copy_(at::gelu_backward(f32(dy), f32(x)));
}

static void add_to(avj_engine &, const avj_pair_args &a) {
    if (elems(a.dst) == 0) return;
    at::Tensor dst = matrix(a.dst), x = matrix(a.src);
    if (exact(dst))
        dst.add_(x, a.alpha);
    else
        dst.copy_(f32(dst).add_(x, a.alpha));
}

static void scale(avj_engine &, const avj_scalar_args &a) { matrix(a.x).mul_(a.value); }

template <class Y, class X>
static void drop_rows(Y *y, const X *x, int64_t rows, int64_t cols, int64_t n,
                      const avj_mask &m) {
    const uint32_t bound = mask_threshold(m.p);
    const float keep = float(1 / (1 - m.p));
    const int64_t tokens = mask_tokens(m, n);
    at::parallel_for(0, rows, std::max<int64_t>(1, 16384 / cols), [&](int64_t lo, int64_t hi) {
        for (int64_t r = lo; r < hi; r++) {
            uint64_t words = row_words(m.key, mask_start(m, r / n, tokens) + r % n);
            for (int64_t c = 0; c < cols; c++) {
                float v = float(x[r * cols + c]) * keep;
                y[r * cols + c] = Y(row_bits(words, uint32_t(c)) >= bound ? v : 0.0f);
            }
        }
    });
}

static void dropout(avj_engine &e, const avj_dropout_args &a) {
    if (elems(a.y) == 0) return;
    at::Tensor y = matrix(a.y), x = matrix(a.x);
    int64_t n = 1; // tokens of a sequence
    for (int64_t i = 1; i < a.x.rank - 1; i++) n *= a.x.dims[i];
    if (!loops(e)) {
        if (x.is_cuda() && cuda_dropout(y, x, a.mask, n)) return;
        at::Tensor kept = portable_kept(a.mask, portable_rows(a.mask, x.size(0), n, x.options()),
                                        x.size(1));
        y.copy_((f32(x) * (1 / (1 - a.mask.p))).masked_fill_(kept.logical_not(), 0));
        return;
    }
    int64_t r = x.size(0), c = x.size(1);
    bool yl = is_bf16(a.y), xl = is_bf16(a.x);
    if (!yl && !xl)
        drop_rows(y.data_ptr<float>(), x.data_ptr<float>(), r, c, n, a.mask);
    else if (!yl)
        drop_rows(y.data_ptr<float>(), x.data_ptr<at::BFloat16>(), r, c, n, a.mask);
    else if (!xl)
        drop_rows(y.data_ptr<at::BFloat16>(), x.data_ptr<float>(), r, c, n, a.mask);
    else
        drop_rows(y.data_ptr<at::BFloat16>(), x.data_ptr<at::BFloat16>(), r, c, n, a.mask);
}

} // namespace avj

extern "C" {

char *avj_gelu(avj_engine *e, const struct avj_pair_args *a, int64_t size) {
    return avj::run(e, a, size, avj::gelu);
}

char *avj_gelu_backward(avj_engine *e, const struct avj_gelu_backward_args *a, int64_t size) {
    return avj::run(e, a, size, avj::gelu_backward);
}

char *avj_add_to(avj_engine *e, const struct avj_pair_args *a, int64_t size) {
    return avj::run(e, a, size, avj::add_to);
}

char *avj_scale(avj_engine *e, const struct avj_scalar_args *a, int64_t size) {
    return avj::run(e, a, size, avj::scale);
}

char *avj_dropout(avj_engine *e, const struct avj_dropout_args *a, int64_t size) {
    return avj::run(e, a, size, avj::dropout);
}

} // extern "C"
