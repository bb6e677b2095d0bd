// A step recorded once as a CUDA graph and run again with other numbers.
//
// What changes from step to step lies in a block of words in device memory, which is
// written before each run. The operations must be the same otherwise: same buffers,
// shapes and order. Package engine/torch sees to that.
#ifdef AVJEPA_CUDA

#include "avjepa_cuda.h"
#include "cuda_kernels.hpp"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include <memory>

struct avj_recording {
    at::cuda::CUDAGraph graph;
    at::Tensor words;                // on the device
    int64_t count = 0;               // of words in use
    std::vector<const void *> bytes; // buffers of bytes that are used
};

namespace avj::cu {

// One thread records at a time: a recording is what an engine's caller does.
static thread_local std::unique_ptr<avj_recording> current;

constexpr int64_t kWords = 1 << 14;

bool recording() { return current != nullptr; }

bool record_use(const void *memory) {
    if (!current) return false;
    current->bytes.push_back(memory);
    return true;
}

const unsigned long long *parameter(const unsigned long long *, int n) {
    if (!current) return nullptr;
    if (current->count + n > kWords)
        throw std::runtime_error("a recording of more than " + std::to_string(kWords) + " words");
    auto *at = static_cast<const unsigned long long *>(current->words.data_ptr()) + current->count;
    current->count += n;
    return at;
}

// pool is where the temporary memory of all recordings lies. They run one after the
// other on one stream, so they may share it.
static auto pool() { // the name of its type differs between versions
    static const auto id = at::cuda::graph_pool_handle();
    return id;
}

// leave ends a recording's hold on the allocator, which one that failed leaves behind:
// then it could not give memory back any more.
static void leave([[maybe_unused]] int device) {
#if AVJ_TORCH >= 2006 // which names it so
    try {
        c10::cuda::CUDACachingAllocator::endAllocateToPool(c10::DeviceIndex(device), pool());
    } catch (const std::exception &) {
        // It has none.
    }
#endif
}

} // namespace avj::cu

using avj::cu::current;
using avj::cu::leave;

extern "C" {

char *avj_record_begin(avj_engine *e, const struct avj_record_args *a, int64_t size) {
    return avj::run(e, a, size, [](avj_engine &e, const avj_record_args &) {
        if (!e.device.is_cuda()) throw std::runtime_error("only a GPU's operations are recorded");
        if (current) throw std::runtime_error("a recording has begun already");
        auto r = std::make_unique<avj_recording>();
        r->words = at::empty({avj::cu::kWords},
                             at::TensorOptions().device(e.device).dtype(at::kLong));
        // What former steps have left is of no use to this one, whose temporary memory
        // is its own, and cannot be given back while it is recorded.
        c10::cuda::CUDACachingAllocator::emptyCache();
        r->graph.capture_begin(avj::cu::pool(), cudaStreamCaptureModeThreadLocal);
        current = std::move(r);
    });
}

char *avj_record_end(avj_engine *e, const struct avj_record_args *a, int64_t size) {
    return avj::run(e, a, size, [](avj_engine &e, const avj_record_args &a) {
        if (!current) throw std::runtime_error("no recording has begun");
        auto r = std::move(current);
        try {
            r->graph.capture_end();
        } catch (...) {
            leave(e.device.index());
            throw;
        }
        *a.recorded = r->count;
        *a.recording = r.release();
    });
}

char *avj_record_replay(avj_engine *e, const struct avj_record_args *a, int64_t size) {
    return avj::run(e, a, size, [](avj_engine &, const avj_record_args &a) {
        avj_recording &r = **a.recording;
        if (a.count != r.count)
            throw std::invalid_argument(std::to_string(a.count) + " words for a recording of " +
                                        std::to_string(r.count));
        if (r.count > 0) {
            at::Tensor host = at::empty(
                {r.count}, at::TensorOptions().dtype(at::kLong).pinned_memory(true));
            std::memcpy(host.data_ptr(), a.words, size_t(r.count) * sizeof(uint64_t));
            r.words.narrow(0, 0, r.count).copy_(host, /*non_blocking=*/true);
        }
        r.graph.replay();
        for (const void *memory : r.bytes) avj::cu::used(memory);
    });
}

char *avj_record_free(avj_engine *e, avj_recording *r) {
    return avj::guarded(e, [&] { delete r; });
}

} // extern "C"

#endif
