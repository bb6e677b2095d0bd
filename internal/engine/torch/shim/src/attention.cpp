// Attention and its backward.
//
// What runs everywhere is composed of products and a softmax, for one sequence and
// some queries at a time, so that scratch memory is bounded. libtorch 2's fused
// operations take over where they have the case.
#include "core.hpp"

#include "cuda.hpp"
#include "mask.hpp"
#include "portable_mask.hpp"

#include <ATen/ops/bmm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#if AVJ_TORCH >= 2002
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#endif

#include <algorithm>
#include <cmath>
#include <initializer_list>

namespace avj {

// heads_of returns a (B, N, D) tensor as (B, A, N, D/A).
static at::Tensor heads_of(const avj_tensor &t, int64_t heads) {
    int64_t b = t.dims[0], n = t.dims[1], size = t.dims[2] / heads;
    return strided(t, {b, heads, n, size}, {n * t.stride, size, t.stride, 1});
}

// queries_at_once bounds the scores of a block to 8 MiB on a CPU, most of which stay in
// its caches between the passes over them, and to 64 MiB on a GPU, where more passes
// cost more.
static int64_t queries_at_once(const avj_engine &e, int64_t heads, int64_t nq, int64_t nk) {
    int64_t most = int64_t(1) << (e.device.is_cuda() ? 24 : 21);
    return std::clamp<int64_t>(most / std::max<int64_t>(1, heads * nk), 1, nq);
}

// drop zeroes what the mask drops of s (A, n, Nk), float32 and contiguous: queries
// i0 … of sequence b, of nq queries a sequence. The rest is to be divided by 1−p.
static void drop(const avj_engine &e, const at::Tensor &s, const avj_mask &m, int64_t b,
                 int64_t i0, int64_t nq) {
    int64_t heads = s.size(0), n = s.size(1), nk = s.size(2), tokens = mask_tokens(m, nq);
    int64_t start = mask_start(m, b, heads * tokens) + i0;
    if (!loops(e)) {
        if (s.is_cuda() && cuda_mask(s, m, b, i0, tokens)) return;
        auto whole = s.options().dtype(at::kLong);
        at::Tensor rows = (at::arange(heads, whole) * tokens + start).unsqueeze(1) +
                          at::arange(n, whole);
        s.masked_fill_(portable_kept(m, rows, nk).logical_not_(), 0);
        return;
    }
    const uint32_t bound = mask_threshold(m.p);
    float *data = s.data_ptr<float>();
    at::parallel_for(0, heads * n, std::max<int64_t>(1, 16384 / nk), [&](int64_t lo, int64_t hi) {
        for (int64_t r = lo; r < hi; r++) {
            uint64_t words = row_words(m.key, start + r / n * tokens + r % n);
            float *row = data + r * nk;
            for (int64_t j = 0; j < nk; j++)
                row[j] = row_bits(words, uint32_t(j)) >= bound ? row[j] : 0.0f;
        }
    });
}

// scores returns q·kᵀ·scale, (A, n, Nk), of q (A, n, d) and k (A, Nk, d).
static at::Tensor scores(const at::Tensor &q, const at::Tensor &k) {
    return at::bmm(q, k.transpose(1, 2)).mul_(1 / std::sqrt(double(q.size(2))));
}

#if AVJ_TORCH >= 2002
// fusible reports whether libtorch 2's fused operation for CPUs is right for these
// operands: a NaN in a score becomes 0 there. One pass over them is little beside the
// products.
static bool fusible(std::initializer_list<at::Tensor> operands) {
    double sum = 0;
    for (const at::Tensor &x : operands) {
        if (x.numel() == 0) return false;
        sum += x.sum().item<double>();
    }
    return std::isfinite(sum);
}
#endif

// fused is attention by that operation. It computes in float32: of bf16 operands it
// would round the scores.
static bool fused(const avj_attention_args &a) {
#if AVJ_TORCH >= 2002
    if (a.mask.p > 0) return false;
    at::Tensor q = f32(heads_of(a.q, a.heads)), k = f32(heads_of(a.k, a.heads));
    at::Tensor v = f32(heads_of(a.v, a.heads));
    if (!fusible({q, k, v})) return false;
    auto r = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v);
    heads_of(a.out, a.heads).copy_(std::get<0>(r));
    if (has(a.lse)) flat(a.lse).view({q.size(0), a.heads, q.size(2)}).copy_(std::get<1>(r));
    return true;
#else
    return false;
#endif
}

static void attention(avj_engine &e, const avj_attention_args &a) {
    if (elems(a.out) == 0) return;
    if (e.device.is_cuda() ? cuda_attention(a) : loops(e) && fused(a)) return;
    at::Tensor q4 = heads_of(a.q, a.heads), k4 = heads_of(a.k, a.heads);
    at::Tensor v4 = heads_of(a.v, a.heads), out4 = heads_of(a.out, a.heads), lse3;
    int64_t nq = q4.size(2), nk = k4.size(2), block = queries_at_once(e, a.heads, nq, nk);
    if (has(a.lse)) lse3 = flat(a.lse).view({q4.size(0), a.heads, nq});
    for (int64_t b = 0; b < q4.size(0); b++) {
        at::Tensor q = f32(q4.select(0, b)), k = f32(k4.select(0, b)), v = f32(v4.select(0, b));
        for (int64_t i = 0; i < nq; i += block) {
            int64_t n = std::min(block, nq - i);
            at::Tensor s = scores(q.narrow(1, i, n), k);
            at::Tensor top = s.amax({-1}, true);
            s.sub_(top).exp_();
            at::Tensor sum = s.sum({-1}, true);
            if (a.mask.p > 0) drop(e, s, a.mask, b, i, nq);
            at::Tensor out = at::bmm(s, v).div_(sum * (1 - a.mask.p));
            out4.select(0, b).narrow(1, i, n).copy_(out);
            if (lse3.defined())
                lse3.select(0, b).narrow(1, i, n).copy_(sum.log_().add_(top).squeeze(-1));
        }
    }
}

static bool fused_backward(const avj_attention_backward_args &a) {
#if AVJ_TORCH >= 2002
    if (a.mask.p > 0) return false;
    auto of = [&](const avj_tensor &t) { return f32(heads_of(t, a.heads)); };
    at::Tensor q = of(a.q), k = of(a.k), v = of(a.v), out = of(a.out), dout = of(a.dout);
    if (!fusible({q, k, v, out, dout})) return false;
    auto r = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        dout, q, k, v, out, flat(a.lse).view({q.size(0), a.heads, q.size(2)}), 0.0, false);
    heads_of(a.dq, a.heads).copy_(std::get<0>(r));
    heads_of(a.dk, a.heads).copy_(std::get<1>(r));
    heads_of(a.dv, a.heads).copy_(std::get<2>(r));
    return true;
#else
    return false;
#endif
}

static void attention_backward(avj_engine &e, const avj_attention_backward_args &a) {
    if (e.device.is_cuda() ? cuda_attention_backward(a) : loops(e) && fused_backward(a)) return;
    auto of = [&](const avj_tensor &t) { return heads_of(t, a.heads); };
    at::Tensor q4 = of(a.q), k4 = of(a.k), v4 = of(a.v), out4 = of(a.out), dout4 = of(a.dout);
    at::Tensor dq4 = of(a.dq), dk4 = of(a.dk), dv4 = of(a.dv);
    int64_t nq = q4.size(2), nk = k4.size(2), block = queries_at_once(e, a.heads, nq, nk);
    double scale = 1 / std::sqrt(double(q4.size(3)));
    at::Tensor lse3 = flat(a.lse).view({q4.size(0), a.heads, nq});
    for (int64_t b = 0; b < q4.size(0); b++) {
        at::Tensor q = f32(q4.select(0, b)), k = f32(k4.select(0, b)), v = f32(v4.select(0, b));
        at::Tensor out = f32(out4.select(0, b)), dout = f32(dout4.select(0, b));
        at::Tensor dk = at::zeros(k.sizes(), k.options()), dv = at::zeros(v.sizes(), v.options());
        for (int64_t i = 0; i < nq; i += block) {
            int64_t n = std::min(block, nq - i);
            at::Tensor qi = q.narrow(1, i, n), doi = dout.narrow(1, i, n);
            at::Tensor lse = lse3.select(0, b).narrow(1, i, n).unsqueeze(-1);
            at::Tensor delta = (doi * out.narrow(1, i, n)).sum({-1}, true);
            at::Tensor p = scores(qi, k).sub_(lse).exp_();
            at::Tensor dp = at::bmm(doi, v.transpose(1, 2));
            if (a.mask.p > 0) {
                double keep = 1 / (1 - a.mask.p);
                at::Tensor kept = p.clone(at::MemoryFormat::Contiguous);
                drop(e, kept, a.mask, b, i, nq);
                dv.add_(at::bmm(kept.transpose(1, 2), doi), keep);
                drop(e, dp, a.mask, b, i, nq);
                dp.mul_(keep);
            } else {
                dv.add_(at::bmm(p.transpose(1, 2), doi));
            }
            at::Tensor ds = dp.sub_(delta).mul_(p).mul_(scale);
            dq4.select(0, b).narrow(1, i, n).copy_(at::bmm(ds, k));
            dk.add_(at::bmm(ds.transpose(1, 2), qi));
        }
        dk4.select(0, b).copy_(dk);
        dv4.select(0, b).copy_(dv);
    }
}

static void attention_weights(avj_engine &, const avj_attention_weights_args &a) {
    if (elems(a.w) == 0) return;
    at::Tensor q4 = heads_of(a.q, a.heads), k4 = heads_of(a.k, a.heads), w = view(a.w);
    for (int64_t b = 0; b < q4.size(0); b++) {
        at::Tensor s = scores(f32(q4.select(0, b)), f32(k4.select(0, b)));
        w.select(0, b).copy_(at::softmax(s, -1));
    }
}

} // namespace avj

extern "C" {

char *avj_attention(avj_engine *e, const struct avj_attention_args *a, int64_t size) {
    return avj::run(e, a, size, avj::attention);
}

char *avj_attention_backward(avj_engine *e, const struct avj_attention_backward_args *a,
                             int64_t size) {
    return avj::run(e, a, size, avj::attention_backward);
}

char *avj_attention_weights(avj_engine *e, const struct avj_attention_weights_args *a,
                            int64_t size) {
    return avj::run(e, a, size, avj::attention_weights);
}

} // extern "C"
