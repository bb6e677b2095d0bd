// The device: opening it, its stream, uploads, memory. Operations run on one stream
// of the engine's own, uploads of bytes on another.
#ifdef AVJEPA_CUDA

#include "cuda.hpp"

#include "avjepa_cuda.h"
#include "cuda_kernels.hpp"

#include <ATen/Context.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <array>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace avj {

using c10::cuda::CUDAStream;

// Streams of a device. Neither is the default one: a step cannot be recorded there.
struct Streams {
    CUDAStream work, upload;
};

static Streams &streams(int device) {
    static std::mutex guard;
    std::lock_guard<std::mutex> hold(guard);
    static std::array<std::optional<Streams>, 64> all; // by device
    auto &s = all.at(size_t(device));
    if (!s) {
        auto index = c10::DeviceIndex(device);
        s.emplace(Streams{c10::cuda::getStreamFromPool(true, index),
                          c10::cuda::getStreamFromPool(false, index)});
    }
    return *s;
}

std::string cuda_open(avj_engine &e) {
    int count = c10::cuda::device_count();
    if (count == 0)
        throw std::runtime_error("no GPU: libtorch finds none (is the driver there, and does "
                                 "CUDA_VISIBLE_DEVICES hide them?)");
    int index = e.device.has_index() ? e.device.index() : 0;
    if (index >= count)
        throw std::runtime_error("device cuda:" + std::to_string(index) + ": there are " +
                                 std::to_string(count));
    e.device = at::Device(at::kCUDA, c10::DeviceIndex(index));
    const auto *p = at::cuda::getDeviceProperties(c10::DeviceIndex(index));
    // Partial sums of split products stay float32.
    at::globalContext().setAllowBF16ReductionCuBLAS(false);
    c10::InferenceMode mode(true);
    Place place(&e);
    cu::test(e);
    cuda_sync();
    c10::cuda::CUDACachingAllocator::emptyCache();
    c10::cuda::CUDACachingAllocator::resetPeakStats(c10::DeviceIndex(index));
    char text[400];
    std::snprintf(text, sizeof text, "%s, %.0f GiB, sm_%d%d, CUDA %d.%d", p->name,
                  double(p->totalGlobalMem) / (1 << 30), p->major, p->minor,
                  CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
    return text;
}

int cuda_enter(int index) {
    int former = c10::cuda::current_device();
    if (former != index) c10::cuda::set_device(c10::DeviceIndex(index));
    // The driver starts our kernels only in a thread that has the device's context,
    // which libtorch's own calls give to a thread at times of their own.
    static thread_local int bound = -1;
    if (bound != index) {
        if (cudaSetDevice(index) != cudaSuccess)
            throw std::runtime_error("device cuda:" + std::to_string(index) + " does not start");
        bound = index;
    }
    c10::cuda::setCurrentCUDAStream(streams(index).work);
    return former;
}

void cuda_leave(int former) {
    try {
        if (former != c10::cuda::current_device())
            c10::cuda::set_device(c10::DeviceIndex(former));
    } catch (const std::exception &) {
        // It runs while a fault is on its way to the caller: a second one would end
        // the program. A device that is lost says so at the next operation.
    }
}

void cuda_sync() { c10::cuda::device_synchronize(); }

// Last uses of buffers of bytes, by the address of their memory.
static std::unordered_map<const void *, std::shared_ptr<at::cuda::CUDAEvent>> last_use;
static std::mutex lock; // of that

void cu::used(const void *memory) {
    std::lock_guard<std::mutex> hold(lock);
    auto &event = last_use[memory];
    if (!event) event = std::make_shared<at::cuda::CUDAEvent>();
    event->record(c10::cuda::getCurrentCUDAStream());
}

void cuda_used(const avj_tensor &t) {
    const void *memory = t.buffer->data.storage().data();
    if (!cu::record_use(memory)) cu::used(memory);
}

void cuda_forget(const avj_buffer *b) {
    std::lock_guard<std::mutex> hold(lock);
    last_use.erase(b->data.storage().data());
}

void cuda_upload(const at::Tensor &dst, const void *host) {
    if (cu::recording()) throw std::runtime_error("an upload cannot be recorded");
    int64_t n = int64_t(dst.nbytes());
    if (n == 0) return;
    // Page-locked memory, kept by libtorch for the next upload until the copy is done.
    at::Tensor staging = at::empty({n}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
    std::memcpy(staging.data_ptr(), host, size_t(n));
    at::Tensor from = staging.view(dst.scalar_type()).view(dst.sizes());
    if (dst.scalar_type() != at::kByte) {
        dst.copy_(from, /*non_blocking=*/true);
        return;
    }
    auto work = c10::cuda::getCurrentCUDAStream();
    auto upload = streams(work.device_index()).upload;
    std::shared_ptr<at::cuda::CUDAEvent> use;
    {
        std::lock_guard<std::mutex> hold(lock);
        auto found = last_use.find(dst.storage().data());
        if (found != last_use.end()) use = found->second;
    }
    if (!use) { // nothing is known of it: wait for all
        use = std::make_shared<at::cuda::CUDAEvent>();
        use->record(work);
    }
    use->block(upload);
    {
        c10::cuda::CUDAStreamGuard on(upload);
        dst.copy_(from, true);
    }
    at::cuda::CUDAEvent done;
    done.record(upload);
    done.block(work);
}

} // namespace avj

extern "C" char *avj_device_memory(avj_engine *e, const struct avj_device_memory_args *a,
                                   int64_t size) {
    return avj::run(e, a, size, [](avj_engine &e, const avj_device_memory_args &a) {
        *a.free = *a.total = *a.peak = 0;
        if (!e.device.is_cuda()) return;
        size_t free = 0, total = 0;
        if (cudaMemGetInfo(&free, &total) != cudaSuccess)
            throw std::runtime_error("the device does not say how much memory it has");
        *a.free = int64_t(free);
        *a.total = int64_t(total);
        auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(e.device.index());
        *a.peak = stats.allocated_bytes[0].peak; // 0: all pools together
    });
}

#endif
