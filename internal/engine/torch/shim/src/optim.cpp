// Norm of the gradient, its clipping, and AdamW.
#include "core.hpp"

#include "cuda.hpp"

#include <ATen/ops/sum.h>

#include <algorithm>
#include <cmath>

namespace avj {

// block bounds the scratch memory of operations on all parameters.
constexpr int64_t block = int64_t(1) << 24;

static void squared_norm(avj_engine &e, const avj_reduce_args &a) {
    if (e.device.is_cuda() && cuda_squared_norm(a)) return;
    at::Tensor out = flat(a.out), x = flat(a.x), sum;
    for (int64_t i = 0; i < x.numel(); i += block) {
        at::Tensor part = x.narrow(0, i, std::min(block, x.numel() - i));
        at::Tensor s = at::sum(part * part, {0}, true);
        sum = sum.defined() ? sum.add_(s) : s;
    }
    if (sum.defined())
        out.copy_(sum);
    else
        out.zero_();
}

static void clip_scale(avj_engine &, const avj_reduce_args &a) {
    at::Tensor out = flat(a.out), sq = flat(a.x);
    if (a.max_norm > 0)
        out.copy_(sq.sqrt().add_(1e-6).reciprocal_().mul_(a.max_norm).clamp_max_(1));
    else
        out.fill_(1);
}

// adamw_loop is AdamW on a CPU, in one pass over memory.
static void adamw_loop(const avj_adamw_args &a, double unbias1, double unbias2) {
    float *p = flat(a.param).data_ptr<float>(), *m = flat(a.m).data_ptr<float>();
    float *v = flat(a.v).data_ptr<float>();
    const float *grad = flat(a.grad).data_ptr<float>();
    const float scale = has(a.scale) ? *flat(a.scale).data_ptr<float>() : 1.0f;
    const float b1 = float(a.beta1), b2 = float(a.beta2), c1 = float(1 - a.beta1),
                c2 = float(1 - a.beta2), keep = float(1 - a.lr * a.weight_decay),
                lr = float(a.lr / unbias1), root = float(1 / std::sqrt(unbias2)),
                eps = float(a.eps);
    at::parallel_for(0, elems(a.param), 32768, [&](int64_t lo, int64_t hi) {
        for (int64_t i = lo; i < hi; i++) {
            float g = scale * grad[i];
            m[i] = b1 * m[i] + c1 * g;
            v[i] = b2 * v[i] + c2 * g * g;
            p[i] = p[i] * keep - lr * m[i] / (std::sqrt(v[i]) * root + eps);
        }
    });
}

static void adamw(avj_engine &e, const avj_adamw_args &a) {
    double unbias1 = 1 - std::pow(a.beta1, double(a.step));
    double unbias2 = 1 - std::pow(a.beta2, double(a.step));
    if (loops(e)) return adamw_loop(a, unbias1, unbias2);
    if (e.device.is_cuda() && cuda_adamw(a)) return;
    at::Tensor param = flat(a.param), grad = flat(a.grad), m1 = flat(a.m), m2 = flat(a.v);
    for (int64_t i = 0; i < param.numel(); i += block) {
        int64_t n = std::min(block, param.numel() - i);
        at::Tensor p = param.narrow(0, i, n), m = m1.narrow(0, i, n), v = m2.narrow(0, i, n);
        at::Tensor g = grad.narrow(0, i, n);
        if (has(a.scale)) g = g * flat(a.scale);
        m.mul_(a.beta1).add_(g, 1 - a.beta1);
        v.mul_(a.beta2).addcmul_(g, g, 1 - a.beta2);
        at::Tensor d = v.sqrt().mul_(1 / std::sqrt(unbias2)).add_(a.eps);
        p.mul_(1 - a.lr * a.weight_decay).addcdiv_(m, d, -a.lr / unbias1);
    }
}

} // namespace avj

extern "C" {

char *avj_squared_norm(avj_engine *e, const struct avj_reduce_args *a, int64_t size) {
    return avj::run(e, a, size, avj::squared_norm);
}

char *avj_clip_scale(avj_engine *e, const struct avj_reduce_args *a, int64_t size) {
    return avj::run(e, a, size, avj::clip_scale);
}

char *avj_adamw(avj_engine *e, const struct avj_adamw_args *a, int64_t size) {
    return avj::run(e, a, size, avj::adamw);
}

} // extern "C"
