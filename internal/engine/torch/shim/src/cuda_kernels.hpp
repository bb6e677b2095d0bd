// Kernels of our own: the paths they are for, and how one is started.
#pragma once

#include "core.hpp"

#include "cuda_args.hpp"

#include <string>
#include <vector>

namespace avj::cu {

// Path is something that a GPU does in a faster way than the composition of
// libtorch's operations that a CPU takes.
enum Path {
    kDropout,
    kEpilogue,
    kSlope,
    kColumnSum,
    kLayerNorm,
    kLayerNormBackward,
    kPatchify,
    kAssemble,
    kObjective,
    kAdamW,
    kNorm,
    kWideProducts,
    kWideSums,
    kAttention,
    kPaths
};

// State says whether a path is taken and why, for one line each of avj_selftest.
struct State {
    const char *name;
    bool on;
    std::string why;
};
State *states(); // kPaths of them

// use reports whether a path is taken.
inline bool use(Path p) { return states()[p].on; }

// launch queues a kernel with its one argument of size bytes on the current stream.
// It throws when the kernel cannot be started.
void launch(const char *name, int64_t gx, int64_t gy, int block, const void *args, size_t size);

template <class A>
void launch(const std::string &name, int64_t gx, int64_t gy, int block, const A &args) {
    launch(name.c_str(), gx, gy, block, &args, sizeof(A));
}

// load compiles the kernels, once a process, for the current device. It throws when
// that cannot be done.
void load();

// test holds every path of the engine to the composition of libtorch's operations, on
// small operands, and turns off those that fail or differ.
void test(avj_engine &e);

// attention_lines says what attention uses, a line for each shape.
std::string attention_lines();

// launches counts the kernels that were started.
extern int64_t launches;

// parameter returns where a kernel finds a value in device memory that changes from
// step to step, when a step is being recorded, else null: then the value in its
// arguments counts. It holds n numbers of 64 bits.
const unsigned long long *parameter(const unsigned long long *values, int n);

// recording reports whether operations are being recorded instead of run.
bool recording();
// record_use notes that the recorded operations use a buffer of bytes, and returns
// false when nothing is being recorded; used says that the queued ones do.
bool record_use(const void *memory);
void used(const void *memory);

// force chooses the kernels of attention by name: "auto" or one of them.
void force(const std::string &name);

// test_attention is test's part for attention.
void test_attention(avj_engine &e);

// source returns the text of all kernels.
std::string source();

} // namespace avj::cu
