// What all files of the shim share: engine, buffer, views of it, and the guard
// around every operation.
#pragma once

#include "avjepa.h"

// Only the headers of the operations that a file names: there is less to compile.
#define AT_PER_OPERATOR_HEADERS
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <torch/version.h>

#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>

// AVJ_TORCH is 1013 for libtorch 1.13, 2006 for 2.6.
#define AVJ_TORCH (TORCH_VERSION_MAJOR * 1000 + TORCH_VERSION_MINOR)

// The knots of a characteristic function on the device, (Q) each.
struct avj_knot_table {
    at::Tensor at, target, weight;
};

struct avj_engine {
    at::Device device = at::Device(at::kCPU);
    int threads = 1;
    bool portable = false; // whether a CPU does without loops of our own, as in tests
    std::map<std::tuple<double, int64_t, int64_t>, avj_knot_table> knots;
};

struct avj_buffer {
    at::Tensor data; // (n), on the engine's device
};

namespace avj {

// loops reports whether loops of our own, for CPUs alone, are to be used.
inline bool loops(const avj_engine &e) { return e.device.is_cpu() && !e.portable; }

inline bool has(const avj_tensor &t) { return t.buffer != nullptr; }

// strided returns a view of a buffer without asking the dispatcher.
inline at::Tensor strided(const avj_tensor &t, at::IntArrayRef sizes, at::IntArrayRef strides) {
    const at::Tensor &base = t.buffer->data;
    auto x = at::detail::make_tensor<c10::TensorImpl>(
        c10::TensorImpl::VIEW, c10::Storage(base.storage()), base.key_set(), base.dtype());
    auto *impl = x.unsafeGetTensorImpl();
    impl->set_storage_offset(t.offset);
    impl->set_sizes_and_strides(sizes, strides);
    return x;
}

inline int64_t columns(const avj_tensor &t) { return t.rank == 0 ? 1 : t.dims[t.rank - 1]; }

inline int64_t rows(const avj_tensor &t) {
    int64_t n = 1;
    for (int64_t i = 0; i < t.rank - 1; i++) n *= t.dims[i];
    return n;
}

inline int64_t elems(const avj_tensor &t) { return rows(t) * columns(t); }

inline bool contiguous(const avj_tensor &t) { return t.stride == columns(t) || rows(t) <= 1; }

// view returns the tensor in its own shape.
inline at::Tensor view(const avj_tensor &t) {
    int64_t strides[6] = {1, 1, 1, 1, 1, 1};
    int64_t step = t.stride;
    for (int64_t i = t.rank - 2; i >= 0; i--) {
        strides[i] = step;
        step *= t.dims[i];
    }
    return strided(t, {t.dims, size_t(t.rank)}, {strides, size_t(t.rank)});
}

// matrix returns the tensor as Rows() × Cols().
inline at::Tensor matrix(const avj_tensor &t) {
    int64_t n = rows(t), c = columns(t);
    return strided(t, {n, c}, {n <= 1 ? c : t.stride, 1});
}

// flat returns a contiguous tensor as (n).
inline at::Tensor flat(const avj_tensor &t) { return strided(t, {elems(t)}, {1}); }

// f32 returns x, or a copy of it in float32.
inline at::Tensor f32(const at::Tensor &x) {
    return x.scalar_type() == at::kFloat ? x : x.to(at::kFloat);
}

inline bool is_bf16(const avj_tensor &t) {
    return has(t) && t.buffer->data.scalar_type() == at::kBFloat16;
}

// same reports whether two views are the very same elements.
inline bool same(const avj_tensor &a, const avj_tensor &b) {
    return a.buffer == b.buffer && a.offset == b.offset && (a.stride == b.stride || rows(a) <= 1);
}

// message returns "kind: text" for the caller to free, its first line only.
char *message(const char *kind, const char *text);

// explain returns the message of the exception that is being handled.
char *explain();

// use_threads sets the threads of this OS thread.
void use_threads(int n);

// A Place makes an engine's device the current one while it lives.
class Place {
  public:
    explicit Place(const avj_engine *e);
    ~Place();

  private:
    int former_ = -1;
};

// guarded runs f where libtorch is set up as the engine wants it, and turns what
// it throws into a message.
template <class F> char *guarded(avj_engine *e, F f) {
    try {
        c10::InferenceMode mode(true);
        use_threads(e->threads);
        Place place(e);
        f();
        return nullptr;
    } catch (...) {
        return explain();
    }
}

// run is guarded for an operation: it refuses arguments of another size.
template <class A, class F> char *run(avj_engine *e, const A *a, int64_t size, F f) {
    if (size != int64_t(sizeof(A)))
        return message("ABI", ("arguments of " + std::to_string(size) + " bytes, want " +
                               std::to_string(sizeof(A)))
                                  .c_str());
    return guarded(e, [&] { f(*e, *a); });
}

} // namespace avj
