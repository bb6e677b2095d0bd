// From frames and log-mels to patches, and from patches to token sequences.
#include "core.hpp"

#include "cuda.hpp"

#include <ATen/ops/add.h>
#include <ATen/ops/sum.h>

namespace avj {

static void patchify_video(avj_engine &e, const avj_patchify_video_args &a) {
    if (elems(a.y) == 0) return;
    if (e.device.is_cuda() && cuda_patchify(a)) return;
    at::Tensor x = view(a.x), y = flat(a.y);
    int64_t pt = a.patch_t, p = a.p;
    if (x.scalar_type() != at::kByte) { // (B, C, T, H, W)
        int64_t b = x.size(0), c = x.size(1), t = x.size(2) / pt, h = x.size(3) / p,
                w = x.size(4) / p;
        y.view({b, t, h, w, c, pt, p, p})
            .copy_(x.view({b, c, t, pt, h, p, w, p}).permute({0, 2, 4, 6, 1, 3, 5, 7}));
        return;
    }
    int64_t b = x.size(0), t = x.size(1) / pt, h = x.size(2) / p, w = x.size(3) / p, c = x.size(4);
    at::Tensor from = x.view({b, t, pt, h, p, w, p, c}).permute({0, 1, 3, 5, 7, 2, 4, 6});
    at::Tensor to = y.view({b, t, h, w, c, pt, p, p});
    for (int64_t i = 0; i < c; i++)
        to.select(4, i).copy_(from.select(4, i)
                                  .to(at::kFloat)
                                  .mul_(1 / (255 * a.std[i]))
                                  .sub_(a.mean[i] / a.std[i]));
    if (e.device.is_cuda()) cuda_used(a.x);
}

static void patchify_audio(avj_engine &e, const avj_patchify_audio_args &a) {
    if (elems(a.y) == 0) return;
    if (e.device.is_cuda() && cuda_patchify_audio(a)) return;
    at::Tensor x = view(a.x);
    int64_t b = x.size(0), f = x.size(1) / a.pf, t = x.size(2) / a.pt;
    at::Tensor whole = x.narrow(2, 0, t * a.pt); // frames behind the last patch are unused
    flat(a.y)
        .view({b, f, t, a.pf, a.pt})
        .copy_(whole.unflatten(2, {t, a.pt}).unflatten(1, {f, a.pf}).permute({0, 1, 3, 2, 4}));
}

// part returns the tokens of a modality from start on, (B, n1, n2, D), of y (B, N, D),
// and moves start behind them. It is undefined when y has none.
static at::Tensor part(const at::Tensor &y, const avj_modality &m, bool drop, int64_t *start) {
    if (!has(m.first) || (drop && !has(m.tokens))) return at::Tensor();
    int64_t n1 = rows(m.first), n2 = rows(m.second);
    at::Tensor x = y.narrow(1, *start, n1 * n2).unflatten(1, {n1, n2});
    *start += n1 * n2;
    return x;
}

static void assemble(avj_engine &e, const avj_assemble_args &a) {
    if (elems(a.y) == 0) return;
    if (e.device.is_cuda() && cuda_assemble(a)) return;
    at::Tensor y = view(a.y);
    y.select(1, 0).copy_(flat(a.cls));
    int64_t start = 1;
    for (const avj_modality *m : {&a.video, &a.audio}) {
        at::Tensor to = part(y, *m, a.drop, &start);
        if (!to.defined() || to.numel() == 0) continue;
        at::Tensor rest = matrix(m->first).unsqueeze(1) + matrix(m->second); // (n1, n2, D)
        rest.add_(flat(m->bias));
        if (has(m->kind)) rest.add_(flat(m->kind));
        if (!has(m->tokens))
            to.copy_(rest);
        else if (to.scalar_type() == at::kFloat)
            at::add_out(to, flat(m->tokens).view(to.sizes()), rest);
        else
            to.copy_(flat(m->tokens).view(to.sizes()) + rest);
    }
}

static void assemble_backward(avj_engine &e, const avj_assemble_args &a) {
    if (elems(a.y) == 0) return;
    if (e.device.is_cuda() && cuda_assemble_backward(a)) return;
    at::Tensor dy = view(a.y);
    flat(a.cls).add_(at::sum(dy.select(1, 0), {0}, false, at::kFloat));
    int64_t start = 1;
    for (const avj_modality *m : {&a.video, &a.audio}) {
        at::Tensor from = part(dy, *m, a.drop, &start);
        if (!from.defined() || from.numel() == 0) continue;
        if (has(m->tokens)) flat(m->tokens).view(from.sizes()).copy_(from);
        at::Tensor sum = at::sum(from, {0}, false, at::kFloat); // (n1, n2, D)
        at::Tensor first = at::sum(sum, {1}), all = at::sum(first, {0});
        matrix(m->first).add_(first);
        matrix(m->second).add_(at::sum(sum, {0}));
        flat(m->bias).add_(all);
        if (has(m->kind)) flat(m->kind).add_(all);
    }
}

} // namespace avj

extern "C" {

char *avj_patchify_video(avj_engine *e, const struct avj_patchify_video_args *a, int64_t size) {
    return avj::run(e, a, size, avj::patchify_video);
}

char *avj_patchify_audio(avj_engine *e, const struct avj_patchify_audio_args *a, int64_t size) {
    return avj::run(e, a, size, avj::patchify_audio);
}

char *avj_assemble(avj_engine *e, const struct avj_assemble_args *a, int64_t size) {
    return avj::run(e, a, size, avj::assemble);
}

char *avj_assemble_backward(avj_engine *e, const struct avj_assemble_args *a, int64_t size) {
    return avj::run(e, a, size, avj::assemble_backward);
}

} // extern "C"
