// Which fast paths are taken, and the test of all of them when an engine opens. There
// is no call of CUDA here: the tests run this on the CPU.
#if defined(AVJEPA_CUDA) || defined(AVJEPA_EMULATE)

#include "avjepa_cuda.h"
#include "cuda_kernels.hpp"

#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <functional>
#include <memory>
#include <mutex>

namespace avj::cu {

static const std::string untested = "not tested";

State *states() {
    static State all[kPaths] = {
        {"dropout kernel", false, untested},
        {"kernel behind products", false, untested},
        {"GELU slope kernel", false, untested},
        {"bias gradient kernel", false, untested},
        {"LayerNorm kernel", false, untested},
        {"LayerNorm backward kernel", false, untested},
        {"patches kernel", false, untested},
        {"tokens kernel", false, untested},
        {"SIGReg kernels", false, untested},
        {"AdamW kernel", false, untested},
        {"gradient norm kernel", false, untested},
        {"bf16 products to float32", false, untested},
        {"bf16 products added to float32", false, untested},
        {"fused attention", false, untested},
    };
    return all;
}

namespace {

// Trial makes operands on the engine's device and compares a path with the plain one.
class Trial {
  public:
    explicit Trial(avj_engine &e) : e_(e) {}

    avj_tensor f32(std::initializer_list<int64_t> dims) { return make(dims, at::kFloat); }
    avj_tensor bf16(std::initializer_list<int64_t> dims) { return make(dims, at::kBFloat16); }
    avj_tensor bytes(std::initializer_list<int64_t> dims) { return make(dims, at::kByte); }

    // compare runs an operation without a path and with it. The outputs must agree
    // within tolerance times the largest element of the plain one.
    void compare(Path path, const std::function<char *()> &op,
                 std::initializer_list<avj_tensor> outputs, double tolerance) {
        State &s = states()[path];
        if (!s.on && s.why != untested) return; // it failed before
        try {
            std::vector<at::Tensor> before, plain;
            for (const auto &t : outputs) before.push_back(t.buffer->data.clone());
            s.on = false;
            run(op);
            s.on = true;
            size_t i = 0;
            for (const auto &t : outputs) {
                plain.push_back(t.buffer->data.clone());
                t.buffer->data.copy_(before[i++]);
            }
            int64_t former = launches;
            run(op);
            if (path < kWideProducts && launches == former)
                throw std::runtime_error("it does not have a case that it should");
            i = 0;
            for (const auto &t : outputs) {
                at::Tensor want = plain[i++].to(at::kFloat), got = t.buffer->data.to(at::kFloat);
                double diff = (got - want).abs().max().item<double>();
                double top = want.abs().max().item<double>();
                if (!(diff <= tolerance * top) || !(top > 0))
                    throw std::runtime_error("output " + std::to_string(i) + " differs by " +
                                             std::to_string(diff) + " of " + std::to_string(top));
            }
            s.why.clear();
        } catch (const std::exception &x) {
            s.on = false;
            s.why = std::string(x.what()).substr(0, 300);
            s.why = s.why.substr(0, s.why.find('\n'));
        }
    }

  private:
    avj_engine &e_;
    std::vector<std::unique_ptr<avj_buffer>> buffers_;

    avj_tensor make(std::initializer_list<int64_t> dims, at::ScalarType type) {
        int64_t n = 1;
        for (int64_t d : dims) n *= d;
        auto options = at::TensorOptions().device(e_.device);
        at::Tensor x = type == at::kByte ? at::randint(0, 256, {n}, options.dtype(at::kLong))
                                         : at::randn({n}, options.dtype(at::kFloat));
        buffers_.push_back(std::make_unique<avj_buffer>(avj_buffer{x.to(type)}));
        avj_tensor t{};
        t.buffer = buffers_.back().get();
        t.rank = int64_t(dims.size());
        std::copy(dims.begin(), dims.end(), t.dims);
        t.stride = t.dims[t.rank - 1];
        return t;
    }

    static void run(const std::function<char *()> &op) {
        char *m = op();
        if (m == nullptr) return;
        std::string text = m;
        avj_free(m);
        throw std::runtime_error(text);
    }
};

constexpr double kFine = 1e-4, kCoarse = 2e-2; // of float32 and of bf16 results

template <class A>
std::function<char *()> call(avj_engine &e, char *(*f)(avj_engine *, const A *, int64_t),
                             const A &a) {
    return [&e, f, a] { return f(&e, &a, sizeof(A)); };
}

void rows(avj_engine &e) {
    Trial t(e);
    avj_dropout_args drop{};
    drop.mask = {1234567, 0.25, 3, 1, 4, 9};
    drop.x = t.f32({2, 7, 96});
    for (avj_tensor y : {t.f32({2, 7, 96}), t.bf16({2, 7, 96})}) {
        drop.y = y;
        t.compare(kDropout, call(e, avj_dropout, drop), {y}, y.buffer->data.element_size() == 2
                                                                 ? kCoarse : kFine);
    }
    avj_linear_weight_args weight{};
    weight.dy = t.bf16({70, 132}), weight.x = t.bf16({70, 64});
    weight.dw = t.f32({132, 64}), weight.dbias = t.f32({132});
    t.compare(kWideProducts, call(e, avj_linear_weight, weight), {weight.dw}, kCoarse);
    t.compare(kWideSums, call(e, avj_linear_weight, weight), {weight.dw}, kCoarse);
    t.compare(kColumnSum, call(e, avj_linear_weight, weight), {weight.dbias}, kFine);
    avj_linear_args up{};
    up.x = t.bf16({10, 64}), up.w = t.f32({132, 64}), up.bias = t.f32({132});
    up.y = t.bf16({10, 132}), up.pre = t.bf16({10, 132}), up.gelu = 1;
    t.compare(kEpilogue, call(e, avj_linear, up), {up.y, up.pre}, kCoarse);
    avj_linear_args down{};
    down.x = up.x, down.w = up.w, down.bias = up.bias;
    down.y = t.f32({10, 132}), down.residual = t.f32({10, 132});
    t.compare(kEpilogue, call(e, avj_linear, down), {down.y}, kFine);
    avj_linear_input_args slope{};
    slope.dy = t.bf16({10, 64}), slope.w = t.f32({64, 132}), slope.dx = t.bf16({10, 132});
    slope.pre = t.bf16({10, 132}), slope.act = t.bf16({10, 132});
    t.compare(kSlope, call(e, avj_linear_input, slope), {slope.dx, slope.act}, kCoarse);
    for (int64_t d : {192, 384, 768, 1024}) {
        avj_layer_norm_args norm{};
        norm.x = t.f32({9, d}), norm.gain = t.f32({d}), norm.bias = t.f32({d});
        norm.mean = t.f32({9}), norm.rstd = t.f32({9}), norm.eps = 1e-5, norm.y = t.bf16({9, d});
        t.compare(kLayerNorm, call(e, avj_layer_norm, norm), {norm.y}, kCoarse);
        t.compare(kLayerNorm, call(e, avj_layer_norm, norm), {norm.mean, norm.rstd}, kFine);
        avj_layer_norm_backward_args back{};
        back.x = norm.x, back.gain = norm.gain, back.mean = norm.mean, back.rstd = norm.rstd;
        back.dgain = t.f32({d}), back.dbias = t.f32({d}), back.dx = t.f32({9, d}), back.add = 1;
        back.dy = t.bf16({9, d});
        t.compare(kLayerNormBackward, call(e, avj_layer_norm_backward, back),
                  {back.dx, back.dgain, back.dbias}, kFine);
    }
}

void tokens(avj_engine &e) {
    Trial t(e);
    avj_patchify_video_args video{};
    video.x = t.bytes({2, 4, 32, 48, 3}), video.y = t.bf16({2 * 2 * 2 * 3, 3 * 2 * 16 * 16});
    video.patch_t = 2, video.p = 16;
    for (int i = 0; i < 3; i++) video.mean[i] = 0.4 + 0.05 * i, video.std[i] = 0.2 + 0.02 * i;
    t.compare(kPatchify, call(e, avj_patchify_video, video), {video.y}, kCoarse);
    video.y = t.f32({2 * 2 * 2 * 3, 3 * 2 * 16 * 16});
    t.compare(kPatchify, call(e, avj_patchify_video, video), {video.y}, kFine);
    avj_patchify_audio_args audio{};
    audio.x = t.f32({2, 32, 50}), audio.y = t.bf16({2 * 2 * 3, 16 * 16});
    audio.pf = 16, audio.pt = 16;
    t.compare(kPatchify, call(e, avj_patchify_audio, audio), {audio.y}, kCoarse);
    avj_assemble_args a{};
    int64_t d = 64;
    a.y = t.f32({2, 1 + 12 + 6, d}), a.cls = t.f32({d});
    a.video = {t.bf16({2 * 12, d}), t.f32({d}), t.f32({d}), t.f32({3, d}), t.f32({4, d})};
    a.audio = {t.bf16({2 * 6, d}), t.f32({d}), t.f32({d}), t.f32({2, d}), t.f32({3, d})};
    t.compare(kAssemble, call(e, avj_assemble, a), {a.y}, kFine);
    t.compare(kAssemble, call(e, avj_assemble_backward, a),
              {a.cls, a.video.tokens, a.video.bias, a.video.kind, a.video.first, a.video.second,
               a.audio.tokens, a.audio.bias, a.audio.kind, a.audio.first, a.audio.second},
              kFine);
}

void step(avj_engine &e) {
    Trial t(e);
    avj_ecf_args ecf{};
    ecf.p = t.f32({2, 9, 40}), ecf.e = t.f32({2, 40, 17, 2}), ecf.knots = {5, 17, 0};
    t.compare(kObjective, call(e, avj_ecf, ecf), {ecf.e}, kFine);
    avj_sigreg_args reg{};
    reg.e = ecf.e, reg.loss = t.f32({2}), reg.de = t.f32({2, 40, 17, 2}), reg.knots = ecf.knots;
    reg.n = 9, reg.weight = 0.05;
    t.compare(kObjective, call(e, avj_sigreg, reg), {reg.loss, reg.de}, kFine);
    avj_ecf_backward_args back{};
    back.p = ecf.p, back.de = reg.de, back.dp = t.f32({2, 9, 40}), back.knots = ecf.knots;
    t.compare(kObjective, call(e, avj_ecf_backward, back), {back.dp}, kFine);
    avj_adamw_args adam{};
    adam.param = t.f32({1001}), adam.grad = t.f32({1001}), adam.m = t.f32({1001});
    adam.v = t.f32({1001}), adam.scale = t.f32({1});
    adam.v.buffer->data.abs_();
    adam.lr = 1e-2, adam.beta1 = 0.9, adam.beta2 = 0.999, adam.eps = 1e-8;
    adam.weight_decay = 0.05, adam.step = 3;
    t.compare(kAdamW, call(e, avj_adamw, adam), {adam.param, adam.m, adam.v}, kFine);
    avj_reduce_args norm{};
    norm.x = t.f32({100003}), norm.out = t.f32({1});
    t.compare(kNorm, call(e, avj_squared_norm, norm), {norm.out}, kFine);
}

} // namespace

void test(avj_engine &e) {
    static std::mutex lock;
    std::lock_guard<std::mutex> hold(lock);
    static bool tested = false; // by the process' first engine, for all
    if (tested) {
        try {
            load(); // on another device, perhaps
        } catch (const std::exception &x) {
            for (int i = 0; i < kWideProducts; i++) states()[i] = {states()[i].name, false, x.what()};
        }
        return;
    }
    tested = true;
    // A path is on from its first test on, so that what fails is what is being tested.
    for (int i = 0; i < kPaths; i++) states()[i] = {states()[i].name, false, untested};
    try {
        load();
    } catch (const std::exception &x) {
        for (int i = 0; i < kWideProducts; i++) states()[i].why = x.what();
    }
    rows(e);
    tokens(e);
    step(e);
    test_attention(e);
}

} // namespace avj::cu

extern "C" char *avj_paths(avj_engine *e, const struct avj_paths_args *a, int64_t size) {
    return avj::run(e, a, size, [](avj_engine &e, const avj_paths_args &a) {
        std::string text;
        for (int i = 0; e.device.is_cuda() && i < avj::cu::kPaths; i++) {
            const auto &s = avj::cu::states()[i];
            text += std::string(s.name) + (s.on ? ": used" : ": not used: " + s.why) + "\n";
        }
        if (e.device.is_cuda()) text += avj::cu::attention_lines();
        size_t n = std::min(text.size(), size_t(a.text_size) - 1);
        std::memcpy(a.text, text.data(), n);
        a.text[n] = 0;
    });
}

#endif
