// Attention on a GPU: which of libtorch's fused operations, and what lies between them
// and our tensors.
//
// Their dropout masks are their own, not package rng's: the generator is seeded from
// the mask's key and rows before each forward, so that a forward run again has the
// same mask; what backward needs of it is kept by the address of LSE. A batch cut in
// another way has other masks.
#ifdef AVJEPA_CUDA

#include "cuda_attention.hpp"

#include "avjepa_cuda.h"
#include "cuda.hpp"
#include "cuda_kernels.hpp"

#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <unordered_map>

namespace avj {

// saved is by the address of LSE.
static std::unordered_map<const void *, Saved> saved;

// Shape is what decides which operation is the fastest. Choice is that one.
struct Shape {
    int64_t nq, nk, heads, size;
    bool half, dropped, trained;
    bool operator<(const Shape &o) const {
        return std::tie(nq, nk, heads, size, half, dropped, trained) <
               std::tie(o.nq, o.nk, o.heads, o.size, o.half, o.dropped, o.trained);
    }
};
struct Choice {
    Kind kind = kComposed;
    std::string text;
};
static std::map<Shape, Choice> choices;
static std::string forced = "auto";

// Fitness of a fused operation, by the test when the engine opens.
struct Fitness {
    bool half = false, single = false, dropout = false; // bf16, float32, bf16 with dropout
    std::string why;                                    // not
};
static std::array<Fitness, kKinds> fitness;

static bool fit(int kind, const Shape &s) {
    const Fitness &f = fitness[size_t(kind)];
    return s.half ? (s.dropped ? f.dropout : f.half) : f.single;
}

static at::Tensor heads_of(const avj_tensor &t, int64_t heads) {
    int64_t b = t.dims[0], n = t.dims[1], size = t.dims[2] / heads;
    return strided(t, {b, heads, n, size}, {n * t.stride, size, t.stride, 1});
}

// to_ours copies libtorch's LSE, (B, A, Nq) or (B, A, ≥ Nq) or (B, A, Nq, 1), to ours.
static void to_ours(const at::Tensor &ours, const at::Tensor &theirs) {
    at::Tensor x = theirs.dim() == 4 ? theirs.squeeze(-1) : theirs;
    ours.copy_(x.narrow(2, 0, ours.size(2)));
}

// to_theirs is the way back. What lies behind Nq is infinite: exp(s − ∞) is 0.
static at::Tensor to_theirs(const at::Tensor &ours, const std::vector<int64_t> &shape) {
    if (shape.size() == 4) return ours.unsqueeze(-1);
    if (shape.at(2) == ours.size(2)) return ours;
    at::Tensor x = at::empty(shape, ours.options());
    x.narrow(2, ours.size(2), shape[2] - ours.size(2)).fill_(INFINITY);
    x.narrow(2, 0, ours.size(2)).copy_(ours);
    return x;
}

// put copies a gradient (B, A, N, d) to t (B, N, D), whose rows lie apart: by the kernel
// behind products, which moves four elements at a time, where its heads lie side by side.
static void put(const avj_tensor &t, int64_t heads, const at::Tensor &gradient) {
    at::Tensor x = gradient.transpose(1, 2), none;
    if (!x.is_contiguous() ||
        !cuda_epilogue(matrix(t), x.view({rows(t), columns(t)}), none, none, none, false))
        heads_of(t, heads).copy_(gradient);
}

static at::Tensor lse_of(const avj_tensor &t, const at::Tensor &q) {
    return flat(t).view({q.size(0), q.size(1), q.size(2)});
}

// milliseconds returns the time that f takes on the current stream, in the mean of
// three runs after one.
static double milliseconds(const std::function<void()> &f);

// measure chooses for a shape: the fastest in forward and, when it is trained, backward.
static Choice measure(const Shape &shape, const at::Tensor &q, const at::Tensor &k,
                      const at::Tensor &v, const avj_mask &mask) {
    Choice best;
    double least = INFINITY;
    std::string tried;
    for (int i = 0; i < kKinds; i++) {
        auto kind = Kind(i);
        if (!fit(i, shape)) continue;
        try {
            Forward f = forward(kind, q, k, v, mask, shape.trained);
            double a = milliseconds([&] { forward(kind, q, k, v, mask, shape.trained); }), b = 0;
            if (shape.trained)
                b = milliseconds([&] {
                    backward(f.rest, f.out, q, k, v, f.out, f.lse, mask.p);
                });
            char text[80];
            std::snprintf(text, sizeof text, " %s %.3f + %.3f ms", kind_names[i], a, b);
            tried += text;
            if (a + b < least) least = a + b, best.kind = kind;
        } catch (const std::exception &) {
            tried += std::string(" ") + kind_names[i] + " fails";
        }
    }
    char text[160];
    std::snprintf(text, sizeof text, "attention of %lld queries, %lld keys, %lld heads of %lld%s%s: ",
                  (long long)shape.nq, (long long)shape.nk, (long long)shape.heads,
                  (long long)shape.size, shape.half ? ", bf16" : "",
                  shape.dropped ? ", dropout" : "");
    best.text = text + std::string(kind_names[best.kind]) + " (" + std::to_string(q.size(0)) +
                " sequences:" + tried + ")";
    return best;
}

static Kind choose(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                   const avj_mask &mask, bool trained) {
    for (int i = 0; i <= kComposed; i++)
        if (forced == kind_names[i]) return Kind(i);
    if (!cu::use(cu::kAttention)) return kComposed;
    bool half = q.scalar_type() == at::kBFloat16;
    // The masks of float32 are those of package rng, which only our own code makes.
    if (!half && mask.p > 0) return kComposed;
    Shape shape{q.size(2), k.size(2), q.size(1), q.size(3), half, mask.p > 0, trained};
    auto found = choices.find(shape);
    if (found == choices.end()) {
        if (cu::recording())
            throw std::runtime_error("attention of a new shape cannot be recorded");
        found = choices.emplace(shape, measure(shape, q, k, v, mask)).first;
    }
    return found->second.kind;
}

// lock guards what is above: engines of one process may run on threads of their own.
static std::mutex lock;

bool cuda_attention(const avj_attention_args &a) {
    std::lock_guard<std::mutex> hold(lock);
    at::Tensor q = heads_of(a.q, a.heads), k = heads_of(a.k, a.heads);
    at::Tensor v = heads_of(a.v, a.heads);
    auto type = q.scalar_type();
    if (k.scalar_type() != type || v.scalar_type() != type || k.size(2) == 0) return false;
    Kind kind = choose(q, k, v, a.mask, has(a.lse));
    if (has(a.lse)) saved.erase(lse_of(a.lse, q).data_ptr());
    if (kind == kComposed) return false;
    Forward f = forward(kind, q, k, v, a.mask, has(a.lse));
    heads_of(a.out, a.heads).copy_(f.out);
    if (has(a.lse)) {
        at::Tensor lse = lse_of(a.lse, q);
        to_ours(lse, f.lse);
        saved[lse.data_ptr()] = f.rest;
    }
    return true;
}

bool cuda_attention_backward(const avj_attention_backward_args &a) {
    std::lock_guard<std::mutex> hold(lock);
    at::Tensor q = heads_of(a.q, a.heads), lse = lse_of(a.lse, q);
    auto found = saved.find(lse.data_ptr());
    if (found == saved.end()) return false; // forward was composed
    at::Tensor dout = heads_of(a.dout, a.heads), out = heads_of(a.out, a.heads);
    auto type = q.scalar_type();
    auto r = backward(found->second, dout.to(type), q, heads_of(a.k, a.heads),
                      heads_of(a.v, a.heads), out.to(type),
                      to_theirs(lse, found->second.lse), a.mask.p);
    put(a.dq, a.heads, r.at(0).toTensor());
    put(a.dk, a.heads, r.at(1).toTensor());
    put(a.dv, a.heads, r.at(2).toTensor());
    return true;
}

static double milliseconds(const std::function<void()> &f) {
    cudaEvent_t from, to;
    auto check = [](cudaError_t r) {
        if (r != cudaSuccess) throw std::runtime_error(cudaGetErrorString(r));
    };
    check(cudaEventCreate(&from));
    check(cudaEventCreate(&to));
    auto stream = c10::cuda::getCurrentCUDAStream().stream();
    f();
    check(cudaEventRecord(from, stream));
    for (int i = 0; i < 3; i++) f();
    check(cudaEventRecord(to, stream));
    check(cudaEventSynchronize(to));
    float ms = 0;
    check(cudaEventElapsedTime(&ms, from, to));
    cudaEventDestroy(from);
    cudaEventDestroy(to);
    return ms / 3;
}

// same throws unless a is b within tolerance times the largest of b.
static void same(const char *what, const at::Tensor &a, const at::Tensor &b, double tolerance) {
    at::Tensor x = a.to(at::kFloat), y = b.to(at::kFloat);
    double diff = (x - y).abs().max().item<double>(), top = y.abs().max().item<double>();
    if (!(diff <= tolerance * top))
        throw std::runtime_error(std::string(what) + " differs by " + std::to_string(diff) +
                                 " of " + std::to_string(top));
}

// try_kind holds an operation to the plain formulas, on the strided thirds of a packed
// tensor of 2 sequences, 70 tokens, 2 heads of 64. With dropout p the formulas are not
// known, but Σ out·out = Σ dv·v when out is its own gradient and both masks are one.
static void try_kind(Kind kind, at::Device device, at::ScalarType type, double p) {
    const int64_t b = 2, n = 70, heads = 2, size = 64;
    at::Tensor packed = at::randn({b, n, 3, heads, size}, at::TensorOptions().device(device));
    packed = packed.to(type);
    auto part = [&](int64_t i) { return packed.select(2, i).transpose(1, 2); };
    at::Tensor q = part(0), k = part(1), v = part(2);
    avj_mask mask{1234567, p, 0, 0, 0, n};
    Forward f = forward(kind, q, k, v, mask, true);
    at::Tensor ours = at::empty({b, heads, n}, q.options().dtype(at::kFloat));
    to_ours(ours, f.lse);
    at::Tensor out = at::empty({b, n, heads, size}, q.options()).transpose(1, 2);
    out.copy_(f.out);
    auto r = backward(f.rest, out, q, k, v, out, to_theirs(ours, f.rest.lse), p);
    at::Tensor dq = r.at(0).toTensor(), dk = r.at(1).toTensor(), dv = r.at(2).toTensor();
    if (p > 0) {
        Forward again = forward(kind, q, k, v, mask, true);
        same("a forward run again", again.out, f.out, 0);
        mask.key++;
        Forward other = forward(kind, q, k, v, mask, true);
        if (other.out.equal(f.out)) throw std::runtime_error("two masks are the same");
        double x = out.to(at::kFloat).square().sum().item<double>();
        double y = (dv.to(at::kFloat) * v.to(at::kFloat)).sum().item<double>();
        if (!(std::abs(x - y) <= 2e-2 * x))
            throw std::runtime_error("backward has another mask: " + std::to_string(y) + " for " +
                                     std::to_string(x));
        return;
    }
    double tolerance = type == at::kFloat ? 2e-4 : 3e-2, scale = 1 / std::sqrt(double(size));
    at::Tensor fq = q.to(at::kFloat), fk = k.to(at::kFloat), fv = v.to(at::kFloat);
    at::Tensor s = at::matmul(fq, fk.transpose(2, 3)) * scale, lse = s.logsumexp({3});
    at::Tensor w = (s - lse.unsqueeze(3)).exp(), want = at::matmul(w, fv);
    same("out", f.out, want, tolerance);
    same("LSE", ours, lse, tolerance);
    at::Tensor g = out.to(at::kFloat), delta = (g * g).sum({3}, true);
    at::Tensor ds = w * (at::matmul(g, fv.transpose(2, 3)) - delta) * scale;
    same("dq", dq, at::matmul(ds, fk), tolerance);
    same("dk", dk, at::matmul(ds.transpose(2, 3), fq), tolerance);
    same("dv", dv, at::matmul(w.transpose(2, 3), g), tolerance);
}

// passes reports whether an operation passes, and adds to why if not.
static bool passes(Kind kind, at::Device device, at::ScalarType type, double p,
                   std::string &why) {
    try {
        try_kind(kind, device, type, p);
        cuda_sync();
        return true;
    } catch (const std::exception &x) {
        std::string text = x.what();
        text = text.substr(0, std::min<size_t>(text.find('\n'), 200));
        why += (why.empty() ? "" : "; ") +
               std::string(type == at::kFloat ? "float32: " : p > 0 ? "dropout: " : "") + text;
        return false;
    }
}

} // namespace avj

namespace avj::cu {

void force(const std::string &name) {
    bool known = name == "auto";
    for (const char *n : kind_names) known = known || name == n;
    if (!known)
        throw std::invalid_argument("attention " + name +
                                    ": want auto, flash, cudnn, efficient or composed");
    forced = name;
}

void test_attention(avj_engine &e) {
    State &s = states()[kAttention];
    s.on = false;
    for (int i = 0; i < kKinds; i++) {
        Fitness f;
        auto kind = Kind(i);
        f.half = passes(kind, e.device, at::kBFloat16, 0, f.why);
        if (f.half) f.dropout = passes(kind, e.device, at::kBFloat16, 0.5, f.why);
        if (f.half && kind == kEfficient) f.single = passes(kind, e.device, at::kFloat, 0, f.why);
        s.on = s.on || f.half;
        fitness[size_t(i)] = f;
    }
    s.why = s.on ? "" : "none of its operations works";
}

std::string attention_lines() {
    std::string text;
    for (int i = 0; i < kKinds; i++)
        text += std::string(kind_names[i]) + " attention:" + (fitness[i].half ? " bf16" : "") +
                (fitness[i].dropout ? ", with dropout" : "") +
                (fitness[i].single ? " float32" : "") +
                (fitness[i].why.empty() ? "" : " not used: " + fitness[i].why) + "\n";
    for (const auto &c : choices) text += c.second.text + "\n";
    return text;
}

} // namespace avj::cu

extern "C" char *avj_force(avj_engine *e, const struct avj_force_args *a, int64_t size) {
    return avj::run(e, a, size,
                    [](avj_engine &, const avj_force_args &a) { avj::cu::force(a.attention); });
}

#endif
