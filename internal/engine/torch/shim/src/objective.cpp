// The losses: prediction, SIGReg, cross-entropy.
#include "core.hpp"

#include "cuda.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <limits>
#include <vector>

namespace avj {

static double knot_at(const avj_knots &k, int64_t q) {
    double last = double(k.count - 1);
    return k.half ? k.max * double(q) / last : -k.max + 2 * k.max * double(q) / last;
}

// knot_table returns the knots on the device. They go there once.
static const avj_knot_table &knot_table(avj_engine &e, const avj_knots &k) {
    auto &table = e.knots[{k.max, k.count, k.half}];
    if (table.at.defined()) return table;
    std::vector<float> at, target, weight;
    for (int64_t q = 0; q < k.count; q++) {
        double t = knot_at(k, q), w = 2 * k.max / double(k.count - 1);
        if (q == 0 || q == k.count - 1) w /= 2;
        at.push_back(float(t));
        target.push_back(float(std::exp(-t * t / 2)));
        weight.push_back(float(w * std::exp(-t * t / 2)));
    }
    table.target = at::tensor(target).to(e.device);
    table.weight = at::tensor(weight).to(e.device);
    table.at = at::tensor(at).to(e.device);
    return table;
}

static void center(avj_engine &, const avj_center_args &a) {
    if (elems(a.c) == 0) return;
    at::Tensor c = flat(a.c), z = flat(a.z).view({a.z.dims[0], c.numel()});
    at::mean_out(c, z.narrow(0, 0, a.g), {0});
}

static void prediction_loss(avj_engine &, const avj_prediction_loss_args &a) {
    at::Tensor z = flat(a.z).view({a.z.dims[0], elems(a.c)});
    at::Tensor r = flat(a.c) - z; // c − z_v
    double s = 1 / double(rows(a.z));
    if (!a.sum) s /= double(columns(a.z));
    flat(a.loss).copy_(at::sum(r * r).mul_(s));
    if (!has(a.dz)) return;
    double g = 2 * s * a.weight;
    at::Tensor dz = flat(a.dz).view(z.sizes()), total = at::sum(r, {0});
    dz.sub_(r, g);
    dz.narrow(0, 0, a.g).add_(total, g / double(a.g));
}

static void ecf(avj_engine &e, const avj_ecf_args &a) {
    if (e.device.is_cuda() && cuda_ecf(a)) return;
    at::Tensor p = view(a.p), out = view(a.e); // (V, B, M), (V, M, Q, 2)
    for (int64_t q = 0; q < a.knots.count; q++) {
        at::Tensor x = p * knot_at(a.knots, q), to = out.select(2, q);
        to.select(2, 0).copy_(at::mean(x.cos(), {1}));
        to.select(2, 1).copy_(at::mean(x.sin_(), {1}));
    }
}

static void ecf_backward(avj_engine &e, const avj_ecf_backward_args &a) {
    if (e.device.is_cuda() && cuda_ecf_backward(a)) return;
    at::Tensor p = view(a.p), de = view(a.de), dp = view(a.dp);
    dp.zero_();
    double n = double(p.size(1));
    for (int64_t q = 0; q < a.knots.count; q++) {
        double t = knot_at(a.knots, q);
        at::Tensor x = p * t, d = de.select(2, q); // (V, M, 2)
        dp.addcmul_(x.cos(), d.select(2, 1).unsqueeze(1), t / n);
        dp.addcmul_(x.sin_(), d.select(2, 0).unsqueeze(1), -t / n);
    }
}

static void sigreg(avj_engine &e, const avj_sigreg_args &a) {
    if (e.device.is_cuda() && cuda_sigreg(a)) return;
    at::Tensor ecf = view(a.e); // (V, M, Q, 2)
    const avj_knot_table &k = knot_table(e, a.knots);
    int64_t views = ecf.size(0), dirs = ecf.size(1);
    at::Tensor c = ecf.select(3, 0) - k.target, s = ecf.select(3, 1);
    double scale = a.n / double(dirs);
    flat(a.loss).copy_(at::sum((c * c).add_(s * s).mul_(k.weight), {1, 2}).mul_(scale));
    if (!has(a.de)) return;
    at::Tensor de = view(a.de), w = k.weight * (2 * a.weight * scale / double(views));
    de.select(3, 0).copy_(c.mul_(w));
    de.select(3, 1).copy_(s * w);
}

// cross_entropy compares class numbers with labels instead of indexing by them: so a
// wrong label, which makes NaN, cannot break the device.
static void cross_entropy(avj_engine &, const avj_cross_entropy_args &a) {
    at::Tensor logits = matrix(a.logits), labels = flat(a.labels).unsqueeze(1);
    double n = double(logits.size(0)), classes = double(logits.size(1));
    at::Tensor logp = at::log_softmax(logits, 1);
    at::Tensor hit = at::arange(logits.size(1), logits.options()).eq(labels.trunc());
    at::Tensor wrong = hit.any(1, true).logical_not_();
    at::Tensor rows = at::sum(logp.masked_fill(hit.logical_not(), 0), {1}, true);
    rows.masked_fill_(wrong, std::numeric_limits<double>::quiet_NaN());
    at::Tensor loss = at::sum(rows).mul_(-(1 - a.smoothing) / n);
    if (a.smoothing > 0) loss.sub_(at::sum(logp), a.smoothing / (n * classes));
    flat(a.loss).copy_(loss);
    if (!has(a.dlogits)) return;
    double rest = a.smoothing / classes;
    at::Tensor target = at::full_like(logp, rest).masked_fill_(hit, 1 - a.smoothing + rest);
    at::Tensor d = logp.exp_().sub_(target);
    d.masked_fill_(wrong, std::numeric_limits<double>::quiet_NaN());
    matrix(a.dlogits).copy_(d.mul_(a.weight / n));
}

} // namespace avj

extern "C" {

char *avj_center(avj_engine *e, const struct avj_center_args *a, int64_t size) {
    return avj::run(e, a, size, avj::center);
}

char *avj_prediction_loss(avj_engine *e, const struct avj_prediction_loss_args *a, int64_t size) {
    return avj::run(e, a, size, avj::prediction_loss);
}

char *avj_ecf(avj_engine *e, const struct avj_ecf_args *a, int64_t size) {
    return avj::run(e, a, size, avj::ecf);
}

char *avj_sigreg(avj_engine *e, const struct avj_sigreg_args *a, int64_t size) {
    return avj::run(e, a, size, avj::sigreg);
}

char *avj_ecf_backward(avj_engine *e, const struct avj_ecf_backward_args *a, int64_t size) {
    return avj::run(e, a, size, avj::ecf_backward);
}

char *avj_cross_entropy(avj_engine *e, const struct avj_cross_entropy_args *a, int64_t size) {
    return avj::run(e, a, size, avj::cross_entropy);
}

} // extern "C"
