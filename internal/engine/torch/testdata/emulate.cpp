// The text of the GPU's kernels run on the CPU: for tests. The host's compiler takes it,
// and the threads of a block are fibers. kernels.inc is that text without its quotes.
#include "cuda_args.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <ucontext.h>

namespace emulated {

using namespace avj::cu;

struct Index {
    unsigned x, y;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};

// A fiber is a thread of the block that runs. A barrier is passed when all fibers
// behind it that still live have reached it.
struct Barrier {
    int live = 0, arrived = 0, epoch = 0;
    void pass() {
        if (++arrived == live) {
            arrived = 0;
            epoch++;
        }
    }
    void leave() {
        live--;
        if (live > 0 && arrived == live) {
            arrived = 0;
            epoch++;
        }
    }
};

constexpr int kThreads = 256, kStack = 64 << 10;
static ucontext_t scheduler, fibers[kThreads];
static std::vector<char> stacks(size_t(kThreads) * kStack);
static bool done[kThreads];
static float slots[kThreads];
static Barrier whole, parts[kThreads / 32]; // the block, its warps
static std::function<void()> body;
static bool fibered; // else the threads run one after the other, without barriers

static void wait(Barrier &b) {
    if (!fibered) std::abort(); // the kernel is missing in meets
    int me = int(threadIdx.x), epoch = b.epoch;
    b.pass();
    while (b.epoch == epoch) swapcontext(&fibers[me], &scheduler);
}

static void fiber() {
    int me = int(threadIdx.x);
    body();
    done[me] = true;
    whole.leave();
    parts[me / 32].leave();
}

static void __syncthreads() { wait(whole); }

static float __shfl_xor_sync(unsigned, float v, int with) {
    int me = int(threadIdx.x);
    slots[me] = v;
    wait(parts[me / 32]);
    float other = slots[me ^ with];
    wait(parts[me / 32]);
    return other;
}

static float __uint_as_float(unsigned u) {
    float f;
    std::memcpy(&f, &u, 4);
    return f;
}
static unsigned __float_as_uint(float f) {
    unsigned u;
    std::memcpy(&u, &f, 4);
    return u;
}

#define __global__
#define __device__ static
#define __shared__ static
#define __launch_bounds__(n)

#include "kernels.inc"

// run_block runs the threads of one block.
static void run_block(int threads) {
    if (!fibered) {
        for (int i = 0; i < threads; i++) {
            threadIdx.x = unsigned(i);
            body();
        }
        return;
    }
    whole = Barrier{threads};
    for (auto &w : parts) w = Barrier{32};
    for (int i = 0; i < threads; i++) {
        done[i] = false;
        getcontext(&fibers[i]);
        fibers[i].uc_stack.ss_sp = &stacks[size_t(i) * kStack];
        fibers[i].uc_stack.ss_size = kStack;
        fibers[i].uc_link = &scheduler;
        makecontext(&fibers[i], fiber, 0);
    }
    for (bool busy = true; busy;) {
        busy = false;
        for (int i = 0; i < threads; i++) {
            if (done[i]) continue;
            busy = true;
            threadIdx.x = unsigned(i);
            swapcontext(&scheduler, &fibers[i]);
        }
    }
}

#define ENTRY(name, args)                                                     \
    {                                                                         \
        #name, [](const void *a) { name(*static_cast<const args *>(a)); }     \
    }
#define NORMS(n)                                                              \
    ENTRY(layernorm_f##n, LayerNormArgs), ENTRY(layernorm_h##n, LayerNormArgs),               \
        ENTRY(layernorm_backward_f##n, LayerNormBackwardArgs),                \
        ENTRY(layernorm_backward_h##n, LayerNormBackwardArgs)
static const std::map<std::string, void (*)(const void *)> kernels = {
    ENTRY(dropout_ff, DropoutArgs), ENTRY(dropout_fh, DropoutArgs),
    ENTRY(dropout_hf, DropoutArgs), ENTRY(dropout_hh, DropoutArgs),
    ENTRY(epilogue_ff, EpilogueArgs), ENTRY(epilogue_fh, EpilogueArgs),
    ENTRY(epilogue_hh, EpilogueArgs), ENTRY(slope_ff, SlopeArgs), ENTRY(slope_fh, SlopeArgs),
    ENTRY(slope_hh, SlopeArgs), ENTRY(column_sum_f, ColumnSumArgs),
    ENTRY(column_sum_h, ColumnSumArgs), ENTRY(fold, FoldArgs), NORMS(1), NORMS(2), NORMS(3),
    NORMS(4), NORMS(6), NORMS(8), ENTRY(video_fb, VideoArgs), ENTRY(video_hb, VideoArgs),
    ENTRY(video_ff, VideoArgs), ENTRY(video_hf, VideoArgs), ENTRY(audio_f, AudioArgs),
    ENTRY(audio_h, AudioArgs), ENTRY(assemble_f, AssembleArgs), ENTRY(assemble_h, AssembleArgs),
    ENTRY(assemble_sums_f, AssembleBackwardArgs), ENTRY(assemble_sums_h, AssembleBackwardArgs),
    ENTRY(assemble_positions, AssembleBackwardArgs),
    ENTRY(assemble_vectors, AssembleBackwardArgs), ENTRY(ecf, EcfArgs),
    ENTRY(ecf_backward, EcfArgs), ENTRY(sigreg, SigregArgs), ENTRY(adam, AdamArgs),
    ENTRY(squares, NormArgs), ENTRY(squares_total, NormArgs)};

// meets reports whether the threads of a kernel meet at barriers.
static bool meets(const std::string &name) {
    for (const char *with : {"column_sum", "fold", "layernorm", "sigreg", "squares"})
        if (name.rfind(with, 0) == 0) return true;
    return false;
}

} // namespace emulated

namespace avj::cu {

int64_t launches = 0;

void launch(const char *name, int64_t gx, int64_t gy, int threads, const void *args,
            size_t size) {
    using namespace emulated;
    static std::mutex lock; // the fibers are one set
    std::lock_guard<std::mutex> hold(lock);
    auto f = kernels.at(name);
    fibered = meets(name);
    std::vector<uint64_t> copy((size + 7) / 8); // as a GPU's constant memory has them
    std::memcpy(copy.data(), args, size);
    body = [&] { f(copy.data()); };
    gridDim = {unsigned(gx), unsigned(gy)};
    blockDim = {unsigned(threads), 1};
    for (unsigned y = 0; y < gridDim.y; y++)
        for (unsigned x = 0; x < gridDim.x; x++) {
            blockIdx = {x, y};
            run_block(threads);
        }
    launches++;
}

} // namespace avj::cu

extern "C" int64_t avj_emulated_launches(void) { return avj::cu::launches; }
