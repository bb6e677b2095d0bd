// LayerNorm by rows, BatchNorm and statistics by columns.
#include "core.hpp"

#include "cuda.hpp"

#include <ATen/ops/gelu.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sum.h>

namespace avj {

static void layer_norm(avj_engine &e, const avj_layer_norm_args &a) {
    if (elems(a.x) == 0) return;
    at::Tensor y = matrix(a.y), x = matrix(a.x), gain = flat(a.gain), bias = flat(a.bias);
    at::Tensor mean, rstd;
    if (has(a.mean)) mean = flat(a.mean), rstd = flat(a.rstd);
    if (e.device.is_cuda() && cuda_layer_norm(y, mean, rstd, x, gain, bias, a.eps)) return;
    auto out = at::native_layer_norm(f32(x).contiguous(), {x.size(1)}, gain, bias, a.eps);
    y.copy_(std::get<0>(out));
    if (mean.defined()) {
        mean.copy_(std::get<1>(out).view({-1}));
        rstd.copy_(std::get<2>(out).view({-1}));
    }
}

static void layer_norm_backward(avj_engine &e, const avj_layer_norm_backward_args &a) {
    if (elems(a.x) == 0) return;
    if (e.device.is_cuda() && cuda_layer_norm_backward(a)) return;
    at::Tensor dx = matrix(a.dx), x = f32(matrix(a.x)), dy = f32(matrix(a.dy)), gain = flat(a.gain);
    int64_t n = x.size(0);
    // The bias' values do not matter to its gradient.
    auto out = at::native_layer_norm_backward(dy, x, {x.size(1)}, flat(a.mean).view({n, 1}),
                                              flat(a.rstd).view({n, 1}), gain, gain,
                                              {true, true, true});
    if (a.add)
        dx.add_(std::get<0>(out));
    else
        dx.copy_(std::get<0>(out));
    flat(a.dgain).add_(std::get<1>(out));
    flat(a.dbias).add_(std::get<2>(out));
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
