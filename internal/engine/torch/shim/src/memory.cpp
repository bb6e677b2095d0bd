// Engine and buffers: opening, transfer, copies.
#include "core.hpp"

#include "cuda.hpp"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <new>
#include <thread>

namespace avj {

char *message(const char *kind, const char *text) {
    size_t line = std::strcspn(text, "\n");
    size_t head = std::strlen(kind);
    char *m = static_cast<char *>(std::malloc(head + 2 + line + 1));
    if (m == nullptr) std::abort(); // no memory even to say so
    std::memcpy(m, kind, head);
    std::memcpy(m + head, ": ", 2);
    std::memcpy(m + head + 2, text, line);
    m[head + 2 + line] = 0;
    return m;
}

char *explain() {
    try {
        throw;
    } catch (const c10::OutOfMemoryError &e) {
        return message("out of memory", e.what_without_backtrace());
    } catch (const c10::Error &e) {
        const char *text = e.what_without_backtrace();
        bool memory = std::strstr(text, "can't allocate memory") != nullptr ||
                      std::strstr(text, "calculation overflowed") != nullptr;
        return message(memory ? "out of memory" : "libtorch", text);
    } catch (const std::bad_alloc &e) {
        return message("out of memory", e.what());
    } catch (const std::exception &e) {
        return message("C++", e.what());
    } catch (...) {
        return message("C++", "an exception that is none of std::exception's");
    }
}

void use_threads(int n) {
    thread_local int set = 0; // OpenMP keeps the number by OS thread
    if (set != n) {
        at::get_num_threads(); // the first time it takes over what another thread has set
        at::set_num_threads(n);
        set = n;
    }
}

Place::Place(const avj_engine *e) {
    if (e->device.is_cuda()) former_ = cuda_enter(e->device.index());
}

Place::~Place() {
    if (former_ >= 0) cuda_leave(former_);
}

// processor returns the CPU's name where the system tells it.
static std::string processor() {
    std::ifstream f("/proc/cpuinfo");
    for (std::string line; std::getline(f, line);) {
        size_t colon = line.find(": ");
        if (line.rfind("model name", 0) == 0 && colon != std::string::npos)
            return line.substr(colon + 2);
    }
    return "the CPU";
}

static at::ScalarType type_of(int64_t dtype) {
    switch (dtype) {
    case AVJ_F32: return at::kFloat;
    case AVJ_BF16: return at::kBFloat16;
    case AVJ_U8: return at::kByte;
    }
    throw std::invalid_argument("element type " + std::to_string(dtype));
}

} // namespace avj

using namespace avj;

extern "C" {

int64_t avj_abi(void) { return AVJ_ABI; }

void avj_free(void *p) { std::free(p); }

char *avj_open(avj_engine *, const struct avj_open_args *a, int64_t size) {
    if (size != int64_t(sizeof(*a))) return message("ABI", "arguments of avj_open");
    try {
        auto *e = new avj_engine;
        std::string about = "libtorch " TORCH_VERSION;
        try {
            e->device = at::Device(std::string(a->device));
            int cores = int(std::thread::hardware_concurrency());
            e->threads = a->threads > 0 ? int(a->threads) : cores > 0 ? cores : 1;
            if (e->device.is_cuda()) {
                about = cuda_open(*e) + ", " + about;
            } else if (e->device.is_cpu()) {
                about += " on " + processor() + ", " + std::to_string(e->threads) + " threads";
            } else {
                throw std::invalid_argument("want cpu, cuda or cuda:N");
            }
        } catch (...) {
            delete e;
            throw;
        }
        size_t n = std::min(about.size(), size_t(a->about_size) - 1);
        std::memcpy(a->about, about.data(), n);
        a->about[n] = 0;
        *a->threads_used = e->threads;
        *a->on_cuda = e->device.is_cuda();
        *a->engine = e;
        return nullptr;
    } catch (...) {
        return explain();
    }
}

char *avj_portable(avj_engine *e) {
    e->portable = true;
    return nullptr;
}

char *avj_close(avj_engine *e) {
    char *m = guarded(e, [&] { e->knots.clear(); });
    delete e;
    return m;
}

char *avj_sync(avj_engine *e) {
    return guarded(e, [&] {
        if (e->device.is_cuda()) cuda_sync();
    });
}

char *avj_new_buffer(avj_engine *e, const struct avj_new_buffer_args *a, int64_t size) {
    return run(e, a, size, [](avj_engine &e, const auto &a) {
        auto options = at::TensorOptions().device(e.device).dtype(type_of(a.dtype));
        *a.buffer = new avj_buffer{at::zeros({a.elems}, options)};
    });
}

char *avj_free_buffer(avj_engine *e, avj_buffer *b) {
    return guarded(e, [&] {
        if (e->device.is_cuda()) cuda_forget(b);
        delete b;
    });
}

char *avj_upload(avj_engine *e, const struct avj_transfer_args *a, int64_t size) {
    return run(e, a, size, [](avj_engine &, const auto &a) {
        at::Tensor dst = flat(a.tensor);
        if (dst.is_cuda()) return cuda_upload(dst, a.host);
        std::memcpy(dst.data_ptr(), a.host, size_t(dst.nbytes()));
    });
}

char *avj_download(avj_engine *e, const struct avj_transfer_args *a, int64_t size) {
    return run(e, a, size, [](avj_engine &, const auto &a) {
        at::Tensor src = matrix(a.tensor);
        at::from_blob(a.host, src.sizes(), at::TensorOptions().dtype(src.scalar_type()))
            .copy_(src);
    });
}

char *avj_copy(avj_engine *e, const struct avj_pair_args *a, int64_t size) {
    return run(e, a, size, [](avj_engine &, const auto &a) {
        if (elems(a.dst) == 0) return;
        at::Tensor dst = matrix(a.dst);
        dst.copy_(matrix(a.src));
        if (!dst.is_cuda() || dst.scalar_type() != at::kByte) return;
        cuda_used(a.dst);
        cuda_used(a.src);
    });
}

char *avj_fill(avj_engine *e, const struct avj_scalar_args *a, int64_t size) {
    return run(e, a, size, [](avj_engine &, const auto &a) { matrix(a.x).fill_(a.value); });
}

} // extern "C"
