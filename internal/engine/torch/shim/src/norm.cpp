// LayerNorm by rows, BatchNorm and statistics by columns.
#include "core.hpp"

#include "cuda.hpp"

#include <ATen/ops/gelu.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

namespace avj {

// typed calls f with a pointer to the elements of a floating-point tensor.
template <class F> static void typed(const avj_tensor &t, F f) {
    if (is_bf16(t))
        f(matrix(t).data_ptr<at::BFloat16>());
    else
        f(matrix(t).data_ptr<float>());
}

// lanes is the number of partial sums of a row, which a compiler keeps in registers.
constexpr int64_t lanes = 16;

template <class F> static float sum_over(int64_t n, F f) {
    float part[lanes] = {};
    int64_t j = 0;
    for (; j + lanes <= n; j += lanes)
        for (int64_t l = 0; l < lanes; l++) part[l] += f(j + l);
    for (; j < n; j++) part[j % lanes] += f(j);
    for (int64_t half = lanes / 2; half > 0; half /= 2)
        for (int64_t l = 0; l < half; l++) part[l] += part[l + half];
    return part[0];
}

// layer_norm_rows is LayerNorm on a CPU. libtorch's own subtracts mean·rstd·gain from
// x·rstd·gain, which cancel when a row's mean is large beside its deviation.
template <class Y, class X>
static void layer_norm_rows(const avj_layer_norm_args &a, Y *y, const X *x) {
    const int64_t n = columns(a.x);
    const float *gain = flat(a.gain).data_ptr<float>(), *bias = flat(a.bias).data_ptr<float>();
    float *means = has(a.mean) ? flat(a.mean).data_ptr<float>() : nullptr;
    float *rstds = has(a.rstd) ? flat(a.rstd).data_ptr<float>() : nullptr;
    at::parallel_for(0, rows(a.x), std::max<int64_t>(1, 8192 / n), [&](int64_t lo, int64_t hi) {
        for (int64_t r = lo; r < hi; r++) {
            const X *from = x + r * a.x.stride;
            Y *to = y + r * a.y.stride;
            float mean = sum_over(n, [&](int64_t j) { return float(from[j]); }) / float(n);
            float squares = sum_over(n, [&](int64_t j) {
                float d = float(from[j]) - mean;
                return d * d;
            });
            float rstd = 1 / std::sqrt(squares / float(n) + float(a.eps));
            for (int64_t j = 0; j < n; j++)
                to[j] = Y((float(from[j]) - mean) * rstd * gain[j] + bias[j]);
            if (means != nullptr) means[r] = mean, rstds[r] = rstd;
        }
    });
}

static void layer_norm(avj_engine &e, const avj_layer_norm_args &a) {
    if (elems(a.x) == 0) return;
    if (loops(e))
        return typed(a.y, [&](auto *y) {
            typed(a.x, [&](auto *x) { layer_norm_rows(a, y, x); });
        });
    at::Tensor y = matrix(a.y), x = matrix(a.x), gain = flat(a.gain), bias = flat(a.bias);
    at::Tensor mean, rstd;
    if (has(a.mean)) mean = flat(a.mean), rstd = flat(a.rstd);
    if (e.device.is_cuda() && cuda_layer_norm(y, mean, rstd, x, gain, bias, a.eps)) return;
    x = f32(x);
    at::Tensor m = at::mean(x, {1}, true), d = x - m;
    at::Tensor r = at::mean(d * d, {1}, true).add_(a.eps).rsqrt_();
    y.copy_(d.mul_(r).mul_(gain).add_(bias));
    if (mean.defined()) {
        mean.copy_(m.view({-1}));
        rstd.copy_(r.view({-1}));
    }
}

// layer_norm_backward_rows is LayerNormBackward on a CPU: with x̂ = (x − mean)·rstd and
// g = dy·gain, dx = rstd·(g − mean(g) − x̂·mean(g·x̂)). The sums over rows are of
// stretches of rows first, whose length does not depend on the number of threads.
template <class DX, class DY, class X>
static void layer_norm_backward_rows(const avj_layer_norm_backward_args &a, DX *dx, const DY *dy,
                                     const X *x) {
    const int64_t n = columns(a.x), all = rows(a.x);
    const int64_t stretch = std::max<int64_t>(16, (all + 63) / 64);
    const int64_t count = (all + stretch - 1) / stretch;
    const float *gain = flat(a.gain).data_ptr<float>();
    const float *means = flat(a.mean).data_ptr<float>(), *rstds = flat(a.rstd).data_ptr<float>();
    at::Tensor sums = at::zeros({2, count, n}, a.gain.buffer->data.options());
    float *partial = sums.data_ptr<float>();
    at::parallel_for(0, count, 1, [&](int64_t lo, int64_t hi) {
        for (int64_t s = lo; s < hi; s++) {
            float *dgain = partial + s * n, *dbias = partial + (count + s) * n;
            for (int64_t r = s * stretch; r < std::min(all, (s + 1) * stretch); r++) {
                const X *xr = x + r * n;
                const DY *dyr = dy + r * n;
                DX *to = dx + r * n;
                const float mean = means[r], rstd = rstds[r];
                auto xhat = [&](int64_t j) { return (float(xr[j]) - mean) * rstd; };
                auto g = [&](int64_t j) { return float(dyr[j]) * gain[j]; };
                float mean_g = sum_over(n, g) / float(n);
                float mean_gx = sum_over(n, [&](int64_t j) { return g(j) * xhat(j); }) / float(n);
                for (int64_t j = 0; j < n; j++) {
                    float h = xhat(j), d = float(dyr[j]);
                    dgain[j] += d * h;
                    dbias[j] += d;
                    d = rstd * (d * gain[j] - mean_g - h * mean_gx);
                    to[j] = DX(a.add ? float(to[j]) + d : d);
                }
            }
        }
    });
    flat(a.dgain).add_(sums.select(0, 0).sum({0}));
    flat(a.dbias).add_(sums.select(0, 1).sum({0}));
}

static void layer_norm_backward(avj_engine &e, const avj_layer_norm_backward_args &a) {
    if (elems(a.x) == 0) return;
    if (loops(e))
        return typed(a.dx, [&](auto *dx) {
            typed(a.dy, [&](auto *dy) {
                typed(a.x, [&](auto *x) { layer_norm_backward_rows(a, dx, dy, x); });
            });
        });
    if (e.device.is_cuda() && cuda_layer_norm_backward(a)) return;
    at::Tensor dx = matrix(a.dx), x = f32(matrix(a.x)), dy = f32(matrix(a.dy)), gain = flat(a.gain);
    at::Tensor rstd = flat(a.rstd).unsqueeze(1);
    at::Tensor xhat = (x - flat(a.mean).unsqueeze(1)).mul_(rstd), g = dy * gain;
    at::Tensor mean_gx = at::mean(g * xhat, {1}, true);
    flat(a.dgain).add_(at::sum(dy * xhat, {0}));
    flat(a.dbias).add_(at::sum(dy, {0}));
    g.sub_(at::mean(g, {1}, true)).sub_(xhat.mul_(mean_gx)).mul_(rstd);
    if (a.add)
        dx.add_(g);
    else
        dx.copy_(g);
}

static void batch_norm(avj_engine &, const avj_batch_norm_args &a) {
    at::Tensor x = matrix(a.x), run_mean = flat(a.run_mean), run_var = flat(a.run_var);
    at::Tensor mean = run_mean, rstd;
    if (a.train) mean = flat(a.mean), rstd = flat(a.rstd);
    if (a.stages & AVJ_BN_MEAN) at::mean_out(mean, x, {0});
    if (a.stages & AVJ_BN_SQUARES) {
        at::Tensor d = x - mean;
        at::mean_out(rstd, d.mul_(d), {0});
    }
    if (!(a.stages & AVJ_BN_APPLY)) return;
    if (a.train) {
        run_mean.mul_(1 - a.momentum).add_(mean, a.momentum);
        run_var.mul_(1 - a.momentum).add_(rstd, a.momentum * a.total / (a.total - 1));
        rstd.add_(a.eps).rsqrt_();
    } else {
        rstd = at::rsqrt(run_var + a.eps);
    }
    if (x.numel() == 0) return;
    at::Tensor y = matrix(a.y);
    at::Tensor pre = has(a.pre) ? matrix(a.pre) : y;
    at::Tensor t = (x - mean).mul_(flat(a.gain) * rstd).add_(flat(a.bias));
    if (a.gelu) {
        if (has(a.pre)) pre.copy_(t);
        t = at::gelu(t);
    }
    y.copy_(t);
}

static void batch_norm_backward(avj_engine &, const avj_batch_norm_backward_args &a) {
    at::Tensor x = matrix(a.x), dy = matrix(a.dy), dx = matrix(a.dx);
    at::Tensor mean = flat(a.mean), rstd = flat(a.rstd);
    at::Tensor xhat = (x - mean).mul_(rstd), mean_dy, mean_dyx;
    double n = double(x.size(0));
    if (has(a.means)) {
        at::Tensor means = matrix(a.means);
        mean_dy = means.select(0, 0);
        mean_dyx = means.select(0, 1);
    }
    if (a.stages & AVJ_BN_SUMS) {
        at::Tensor sum = at::sum(dy, {0}), sumx = at::sum(dy * xhat, {0});
        flat(a.dbias).add_(sum);
        flat(a.dgain).add_(sumx);
        if (has(a.means)) {
            mean_dy.copy_(sum.div_(n));
            mean_dyx.copy_(sumx.div_(n));
        } else {
            mean_dy = sum.div_(n);
            mean_dyx = sumx.div_(n);
        }
    }
    if (a.stages & AVJ_BN_DX) {
        at::Tensor t = dy - mean_dy;
        t.sub_(xhat.mul_(mean_dyx)).mul_(flat(a.gain) * rstd);
        dx.copy_(t);
    }
}

static void column_stats(avj_engine &, const avj_column_stats_args &a) {
    at::Tensor x = matrix(a.x), mean = flat(a.mean), std = flat(a.std);
    at::mean_out(mean, x, {0});
    at::Tensor d = x - mean;
    at::sum_out(std, d.mul_(d), {0});
    std.div_(double(x.size(0) - 1)).sqrt_();
}

} // namespace avj

extern "C" {

char *avj_layer_norm(avj_engine *e, const struct avj_layer_norm_args *a, int64_t size) {
    return avj::run(e, a, size, avj::layer_norm);
}

char *avj_layer_norm_backward(avj_engine *e, const struct avj_layer_norm_backward_args *a,
                              int64_t size) {
    return avj::run(e, a, size, avj::layer_norm_backward);
}

char *avj_batch_norm(avj_engine *e, const struct avj_batch_norm_args *a, int64_t size) {
    return avj::run(e, a, size, avj::batch_norm);
}

char *avj_batch_norm_backward(avj_engine *e, const struct avj_batch_norm_backward_args *a,
                              int64_t size) {
    return avj::run(e, a, size, avj::batch_norm_backward);
}

char *avj_column_stats(avj_engine *e, const struct avj_column_stats_args *a, int64_t size) {
    return avj::run(e, a, size, avj::column_stats);
}

} // extern "C"
