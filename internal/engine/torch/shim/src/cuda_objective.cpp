// Patches, tokens, objective and optimiser by kernels of our own. There is no call of
// CUDA here: the tests run these on the CPU.
#if defined(AVJEPA_CUDA) || defined(AVJEPA_EMULATE)

#include "cuda.hpp"

#include "cuda_kernels.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace avj {

using namespace cu;

static void *data(const avj_tensor &t) {
    if (!has(t)) return nullptr;
    const at::Tensor &x = t.buffer->data;
    return static_cast<char *>(x.data_ptr()) + t.offset * int64_t(x.element_size());
}
static float *floats(const avj_tensor &t) { return static_cast<float *>(data(t)); }
static bool is_f32(const avj_tensor &t) {
    return t.buffer->data.scalar_type() == at::kFloat;
}
static int64_t blocks(int64_t n) { return (n + 255) / 256; }

bool cuda_patchify(const avj_patchify_video_args &args) {
    if (!use(kPatchify) || !contiguous(args.x) || !contiguous(args.y)) return false;
    const int64_t *d = args.x.dims;
    bool bytes = args.x.buffer->data.scalar_type() == at::kByte;
    if (!bytes && !is_f32(args.x)) return false;
    if (elems(args.y) == 0) return true;
    VideoArgs a{};
    a.y = data(args.y);
    a.x = data(args.x);
    a.c = int(bytes ? d[4] : d[1]);
    a.t = int(bytes ? d[1] : d[2]);
    a.h = int(bytes ? d[2] : d[3]);
    a.w = int(bytes ? d[3] : d[4]);
    a.pt = int(args.patch_t);
    a.p = int(args.p);
    if (a.c > 3) return false;
    for (int i = 0; i < 3; i++) {
        a.mean[i] = float(args.mean[i]);
        a.std[i] = float(args.std[i]);
    }
    const char *name = is_bf16(args.y) ? (bytes ? "video_hb" : "video_hf")
                                       : (bytes ? "video_fb" : "video_ff");
    launch(name, rows(args.y), 1, 256, a);
    if (bytes) cuda_used(args.x);
    return true;
}

bool cuda_patchify_audio(const avj_patchify_audio_args &args) {
    if (!use(kPatchify) || !contiguous(args.x) || !contiguous(args.y) || !is_f32(args.x))
        return false;
    if (elems(args.y) == 0) return true;
    AudioArgs a{};
    a.y = data(args.y);
    a.x = floats(args.x);
    a.bands = int(args.x.dims[1]);
    a.frames = int(args.x.dims[2]);
    a.pf = int(args.pf);
    a.pt = int(args.pt);
    launch(is_bf16(args.y) ? "audio_h" : "audio_f", rows(args.y), 1, 256, a);
    return true;
}

// present reports whether a modality has tokens in the sequence.
static bool present(const avj_modality &m, bool drop) {
    return has(m.first) && !(drop && !has(m.tokens));
}

// tokens_type returns the letter of the type of both modalities' products, 0 when
// they differ or are not contiguous.
static char tokens_type(const avj_assemble_args &a) {
    char letter = 'f';
    const avj_tensor *seen = nullptr;
    for (const avj_tensor *t : {&a.video.tokens, &a.audio.tokens}) {
        if (!has(*t)) continue;
        if (!contiguous(*t) || (seen && is_bf16(*seen) != is_bf16(*t))) return 0;
        seen = t;
        letter = is_bf16(*t) ? 'h' : 'f';
    }
    return letter;
}

bool cuda_assemble(const avj_assemble_args &args) {
    char type = tokens_type(args);
    if (!use(kAssemble) || !type || !contiguous(args.y) || !is_f32(args.y)) return false;
    AssembleArgs a{};
    a.y = floats(args.y);
    a.cls = floats(args.cls);
    a.batch = args.y.dims[0];
    a.n = int(args.y.dims[1]);
    a.d = int(args.y.dims[2]);
    if (a.batch * a.n == 0) return true;
    int start = 1, k = 0;
    for (const avj_modality *m : {&args.video, &args.audio}) {
        if (!present(*m, args.drop)) continue;
        Modality &to = a.m[k++];
        to.x = data(m->tokens);
        to.bias = floats(m->bias);
        to.type = floats(m->kind);
        to.first = floats(m->first);
        to.second = floats(m->second);
        to.start = start;
        to.n1 = int(rows(m->first));
        to.n2 = int(rows(m->second));
        start += to.n1 * to.n2;
    }
    launch(type == 'h' ? "assemble_h" : "assemble_f", a.batch * a.n, 1, 256, a);
    return true;
}

bool cuda_assemble_backward(const avj_assemble_args &args) {
    char type = tokens_type(args);
    if (!use(kAssemble) || !type || !contiguous(args.y) || !is_f32(args.y)) return false;
    AssembleBackwardArgs a{};
    a.dy = floats(args.y);
    a.dcls = floats(args.cls);
    a.batch = args.y.dims[0];
    a.n = int(args.y.dims[1]);
    a.d = int(args.y.dims[2]);
    int64_t inner = 0, positions = 0;
    for (const avj_modality *m : {&args.video, &args.audio}) {
        if (!present(*m, args.drop)) continue;
        inner += rows(m->first);
        positions = std::max(positions, rows(m->first) + rows(m->second));
    }
    auto options = args.y.buffer->data.options();
    at::Tensor scratch = at::empty({(a.n + inner) * a.d}, options);
    a.sums = static_cast<float *>(scratch.data_ptr());
    float *next = a.sums + int64_t(a.n) * a.d;
    int start = 1, k = 0;
    for (const avj_modality *m : {&args.video, &args.audio}) {
        if (!present(*m, args.drop)) continue;
        ModalityGradient &to = a.m[k++];
        to.dx = data(m->tokens);
        to.dbias = floats(m->bias);
        to.dtype = floats(m->kind);
        to.dfirst = floats(m->first);
        to.dsecond = floats(m->second);
        to.inner = next;
        to.start = start;
        to.n1 = int(rows(m->first));
        to.n2 = int(rows(m->second));
        start += to.n1 * to.n2;
        next += int64_t(to.n1) * a.d;
    }
    launch(type == 'h' ? "assemble_sums_h" : "assemble_sums_f", a.n, 1, 256, a);
    if (positions > 0) launch("assemble_positions", positions, 2, 256, a);
    launch("assemble_vectors", blocks(a.d), 3, 256, a);
    return true;
}

// knots fills in lo and step of a kernel's arguments.
template <class A> static void knots(A &a, const avj_knots &k) {
    a.knots = int(k.count);
    a.lo = k.half ? 0 : -k.max;
    a.step = (k.half ? k.max : 2 * k.max) / double(k.count - 1);
}

static EcfArgs ecf_args(const avj_tensor &p, const avj_knots &k) {
    EcfArgs a{};
    a.p = floats(p);
    a.views = p.dims[0];
    a.rows = p.dims[1];
    a.dirs = p.dims[2];
    knots(a, k);
    return a;
}

bool cuda_ecf(const avj_ecf_args &args) {
    if (!use(kObjective)) return false;
    if (elems(args.e) == 0) return true;
    EcfArgs a = ecf_args(args.p, args.knots);
    a.e = floats(args.e);
    launch("ecf", (a.dirs + 31) / 32, a.views, 256, a);
    return true;
}

bool cuda_ecf_backward(const avj_ecf_backward_args &args) {
    if (!use(kObjective)) return false;
    if (elems(args.p) == 0) return true;
    EcfArgs a = ecf_args(args.p, args.knots);
    a.dp = floats(args.dp);
    a.de = floats(args.de);
    launch("ecf_backward", blocks(elems(args.p)), 1, 256, a);
    return true;
}

bool cuda_sigreg(const avj_sigreg_args &args) {
    if (!use(kObjective) || args.e.dims[0] == 0) return false;
    SigregArgs a{};
    a.loss = floats(args.loss);
    a.de = floats(args.de);
    a.e = floats(args.e);
    a.views = args.e.dims[0];
    a.dirs = args.e.dims[1];
    knots(a, args.knots);
    a.interval = 2 * args.knots.max / double(args.knots.count - 1);
    a.scale = args.n / double(a.dirs);
    a.weight = args.weight / double(a.views);
    launch("sigreg", a.views, 1, 256, a);
    return true;
}

bool cuda_adamw(const avj_adamw_args &args) {
    if (!use(kAdamW)) return false;
    AdamArgs a{};
    a.p = floats(args.param);
    a.m = floats(args.m);
    a.v = floats(args.v);
    a.g = floats(args.grad);
    a.scale = floats(args.scale);
    a.n = elems(args.param);
    if (a.n == 0) return true;
    a.beta1 = float(args.beta1);
    a.beta2 = float(args.beta2);
    a.rest1 = float(1 - args.beta1);
    a.rest2 = float(1 - args.beta2);
    a.eps = float(args.eps);
    a.rate = float(args.lr / (1 - std::pow(args.beta1, double(args.step))));
    a.unbias2 = float(1 / (1 - std::pow(args.beta2, double(args.step))));
    a.keep = float(1 - args.lr * args.weight_decay);
    float changing[4] = {a.rate, a.unbias2, a.keep, 0};
    unsigned long long packed[2];
    std::memcpy(packed, changing, sizeof packed);
    a.step_at = reinterpret_cast<const float *>(parameter(packed, 2));
    launch("adam", std::min<int64_t>(blocks(a.n), 132 * 32), 1, 256, a);
    return true;
}

bool cuda_squared_norm(const avj_reduce_args &args) {
    const avj_tensor &out = args.out, &x = args.x;
    if (!use(kNorm) || !contiguous(x) || !is_f32(x)) return false;
    NormArgs a{};
    a.out = floats(out);
    a.x = floats(x);
    a.n = elems(x);
    a.vec = a.n % 4 == 0 && reinterpret_cast<uintptr_t>(a.x) % 16 == 0;
    a.parts = int(std::max<int64_t>(1, std::min<int64_t>(blocks(a.n), 132 * 8)));
    at::Tensor partial = at::empty({a.parts}, x.buffer->data.options().dtype(at::kDouble));
    a.partial = static_cast<double *>(partial.data_ptr());
    launch("squares", a.parts, 1, 256, a);
    launch("squares_total", 1, 1, 256, a);
    return true;
}

} // namespace avj

#endif
