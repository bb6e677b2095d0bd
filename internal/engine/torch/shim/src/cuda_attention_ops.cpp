// libtorch's fused operations of attention: flash, cuDNN, memory-efficient.
//
// They are called by name, with their arguments by name, because their C++ signatures
// change between versions of libtorch; one that cannot be called is not used.
#ifdef AVJEPA_CUDA

#include "cuda_attention.hpp"

#include "cuda_kernels.hpp"
#include "mask.hpp"

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <map>
#include <mutex>

namespace avj {

using c10::IValue;
using Named = std::vector<std::pair<const char *, IValue>>;

// call calls an operation of libtorch with the arguments that it has among those given,
// and the defaults of the others.
static std::vector<IValue> call(const char *name, const Named &given) {
    static std::map<std::string, c10::OperatorHandle> known;
    auto found = known.find(name);
    if (found == known.end())
        found = known.emplace(name, c10::Dispatcher::singleton().findSchemaOrThrow(name, ""))
                    .first;
    std::vector<IValue> stack;
    for (const auto &argument : found->second.schema().arguments()) {
        const IValue *value = nullptr;
        for (const auto &g : given)
            if (argument.name() == g.first) value = &g.second;
        if (value != nullptr)
            stack.push_back(*value);
        else if (argument.default_value())
            stack.push_back(*argument.default_value());
        else
            throw std::runtime_error(std::string(name) + " wants " + argument.name());
    }
    found->second.callBoxed(stack);
    return stack;
}

// seed gives libtorch's generator a state that depends on a mask alone.
static void seed(const avj_mask &m, at::Device device) {
    if (m.p <= 0) return;
    if (cu::recording()) throw std::runtime_error("dropout of attention cannot be recorded");
    uint64_t s = m.key;
    for (int64_t word : {m.first, m.run, m.row_stride, m.tokens})
        s = mix64(s ^ uint64_t(word) * 0x9E3779B97F4A7C15u);
    at::Generator g = at::globalContext().defaultGenerator(device);
    std::lock_guard<std::mutex> hold(g.mutex());
    g.set_current_seed(s >> 1);
}

Forward forward(Kind kind, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                const avj_mask &mask, bool lse) {
    seed(mask, q.device());
    Named given = {{"query", q},        {"key", k},
                   {"value", v},        {"dropout_p", mask.p > 0 ? mask.p : 0.0},
                   {"is_causal", false}, {"return_debug_mask", false},
                   {"attn_bias", IValue()}};
    given.emplace_back("compute_log_sumexp", lse);
    static const char *const ops[] = {"aten::_scaled_dot_product_flash_attention",
                                      "aten::_scaled_dot_product_cudnn_attention",
                                      "aten::_scaled_dot_product_efficient_attention"};
    auto r = call(ops[kind], given);
    Forward f;
    f.out = r.at(0).toTensor();
    f.lse = r.at(1).toTensor();
    f.rest.kind = kind;
    if (kind == kEfficient) {
        f.rest.seed = r.at(2), f.rest.offset = r.at(3);
    } else {
        f.rest.cum_q = r.at(2), f.rest.cum_k = r.at(3);
        f.rest.max_q = r.at(4), f.rest.max_k = r.at(5);
        f.rest.seed = r.at(6), f.rest.offset = r.at(7);
    }
    if (lse) f.rest.lse = f.lse.sizes().vec();
    return f;
}

// tensor_of returns a tensor of what forward gave, an undefined one of nothing.
static at::Tensor tensor_of(const IValue &v) { return v.isTensor() ? v.toTensor() : at::Tensor(); }

std::vector<IValue> backward(const Saved &s, const at::Tensor &dout, const at::Tensor &q,
                                    const at::Tensor &k, const at::Tensor &v,
                                    const at::Tensor &out, const at::Tensor &lse, double p) {
    Named given = {{"grad_out", dout},
                   {"grad_out_", dout},
                   {"query", q},
                   {"key", k},
                   {"value", v},
                   {"out", out},
                   {"logsumexp", lse},
                   {"attn_bias", at::Tensor()},
                   {"cum_seq_q", tensor_of(s.cum_q)},
                   {"cum_seq_k", tensor_of(s.cum_k)},
                   {"max_q", s.max_q},
                   {"max_k", s.max_k},
                   {"dropout_p", p > 0 ? p : 0.0},
                   {"is_causal", false},
                   {"philox_seed", tensor_of(s.seed)},
                   {"philox_offset", tensor_of(s.offset)},
                   {"rng_state", tensor_of(s.seed)},
                   {"unused", tensor_of(s.offset)}};
    c10::List<bool> wanted;
    for (bool w : {true, true, true, false}) wanted.push_back(w);
    given.emplace_back("grad_input_mask", wanted);
    static const char *const ops[] = {"aten::_scaled_dot_product_flash_attention_backward",
                                      "aten::_scaled_dot_product_cudnn_attention_backward",
                                      "aten::_scaled_dot_product_efficient_attention_backward"};
    return call(ops[s.kind], given);
}

} // namespace avj

#endif
