// Processes that train together: c10d's store, and its sums over gloo and NCCL.
#include "core.hpp"

#include "avjepa_group.h"

#if defined(AVJEPA_GLOO) || defined(AVJEPA_NCCL)

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#ifdef AVJEPA_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef AVJEPA_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif
#if AVJ_TORCH >= 2000
#include <torch/csrc/distributed/c10d/Backend.hpp>
#endif
#include <torch/csrc/distributed/c10d/Work.hpp>

#include <chrono>
#include <cstdlib>
#include <memory>

#if AVJ_TORCH >= 2000
using Backend = c10d::Backend;
#else
using Backend = c10d::ProcessGroup;
#endif

struct avj_store {
    c10::intrusive_ptr<c10d::Store> shared;
};

struct avj_group {
    c10::intrusive_ptr<c10d::Store> store;
    c10::intrusive_ptr<Backend> gloo, nccl; // nccl is made when first needed
    int rank, ranks;
    std::chrono::milliseconds timeout;
};

struct avj_work {
    c10::intrusive_ptr<c10d::Work> work;
};

namespace {

using std::chrono::milliseconds;

// attempt turns what f throws into a message, and refuses arguments of another size.
// It is outside InferenceMode, as gloo's threads are, which write what is made here.
template <class A, class F> char *attempt(const A *a, int64_t size, F f) {
    if (size != int64_t(sizeof(A)))
        return avj::message("ABI", ("arguments of " + std::to_string(size) + " bytes, want " +
                                    std::to_string(sizeof(A)))
                                       .c_str());
    try {
        c10::AutoGradMode record(false);
        f(*a);
        return nullptr;
    } catch (...) {
        return avj::explain();
    }
}

at::Tensor bytes_at(const void *p, int64_t n) {
    return at::from_blob(const_cast<void *>(p), {n}, at::TensorOptions().dtype(at::kByte));
}

at::Tensor operand(const avj_group_sum_args &a) {
    if (a.engine != nullptr) return avj::flat(a.tensor);
    return at::from_blob(a.host, {a.elems}, at::TensorOptions().dtype(at::kFloat));
}

// backend returns what moves x between processes. Memory of a GPU goes over NCCL;
// a shim without it lets gloo copy it through the host.
Backend &backend(avj_group &g, const at::Tensor &x) {
#ifdef AVJEPA_NCCL
    if (x.is_cuda()) {
        if (!g.nccl) {
            auto o = c10d::ProcessGroupNCCL::Options::create();
            o->timeout = g.timeout;
            g.nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(
                c10::make_intrusive<c10d::PrefixStore>("nccl", g.store), g.rank, g.ranks, o);
        }
        return *g.nccl;
    }
#endif
    if (!g.gloo)
        throw std::runtime_error("this libtorch came without gloo's headers, so processes can "
                                 "train together on GPUs only");
    return *g.gloo;
}

// gather sets all to every process's mine, in the order of ranks.
void gather(Backend &b, at::Tensor mine, at::Tensor all) {
    std::vector<at::Tensor> from{mine};
    std::vector<std::vector<at::Tensor>> to{all.chunk(b.getSize())};
    b.allgather(to, from, {})->wait();
}

// here runs f on the engine's device, if there is one.
template <class F> void here(avj_engine *e, F f) {
    if (e == nullptr) {
        f();
        return;
    }
    avj::Place place(e);
    f();
}

c10::intrusive_ptr<c10d::Store> open_store(const char *host, c10d::TCPStoreOptions o) {
#if AVJ_TORCH >= 2004
    try {
        return c10::make_intrusive<c10d::TCPStore>(host, o);
    } catch (const std::exception &e) {
        if (std::strstr(e.what(), "libuv") == nullptr) throw;
        o.useLibUV = false; // the default, though some builds lack it
    }
#endif
    return c10::make_intrusive<c10d::TCPStore>(host, o);
}

} // namespace

extern "C" {

int64_t avj_group_kinds(void) {
    int64_t kinds = 0;
#ifdef AVJEPA_GLOO
    kinds += AVJ_GROUP_GLOO;
#endif
#ifdef AVJEPA_NCCL
    kinds += AVJ_GROUP_NCCL;
#endif
    return kinds;
}

char *avj_store_open(void *, const avj_store_open_args *args, int64_t size) {
    return attempt(args, size, [](const avj_store_open_args &a) {
        c10d::TCPStoreOptions o;
        o.port = uint16_t(a.port);
        o.isServer = a.serve != 0;
        o.waitWorkers = false;
        o.timeout = milliseconds(a.timeout_ms);
        *a.store = new avj_store{
            c10::make_intrusive<c10d::PrefixStore>(a.prefix, open_store(a.host, o))};
    });
}

char *avj_store_set(avj_store *s, const avj_store_value_args *args, int64_t size) {
    return attempt(args, size, [s](const avj_store_value_args &a) {
        auto p = static_cast<const uint8_t *>(a.value);
        s->shared->set(a.name, std::vector<uint8_t>(p, p + a.bytes));
    });
}

char *avj_store_get(avj_store *s, const avj_store_value_args *args, int64_t size) {
    return attempt(args, size, [s](const avj_store_value_args &a) {
        std::vector<uint8_t> v = s->shared->get(a.name);
        *a.found = static_cast<char *>(std::malloc(v.size() + 1));
        if (*a.found == nullptr) throw std::bad_alloc();
        std::memcpy(*a.found, v.data(), v.size());
        *a.found_bytes = int64_t(v.size());
    });
}

char *avj_store_close(avj_store *s) {
    delete s;
    return nullptr;
}

char *avj_group_open(void *, const avj_group_open_args *args, int64_t size) {
    return attempt(args, size, [](const avj_group_open_args &a) {
        auto g = std::make_unique<avj_group>();
        g->store = a.store->shared;
        g->rank = int(a.rank);
        g->ranks = int(a.ranks);
        g->timeout = milliseconds(a.timeout_ms);
#ifdef AVJEPA_GLOO
        using Gloo = c10d::ProcessGroupGloo;
        auto o = Gloo::Options::create(g->timeout);
        o->devices.push_back(a.interface[0] != 0 ? Gloo::createDeviceForInterface(a.interface)
                                                 : Gloo::createDeviceForHostname(a.address));
        g->gloo = c10::make_intrusive<Gloo>(
            c10::make_intrusive<c10d::PrefixStore>("gloo", g->store), g->rank, g->ranks, o);
#endif
        *a.group = g.release();
    });
}

char *avj_group_close(avj_group *g) {
    try {
#if defined(AVJEPA_NCCL) && AVJ_TORCH >= 2006
        // Its destructor would do the same, but warn that nobody did.
        if (g->nccl) static_cast<c10d::ProcessGroupNCCL &>(*g->nccl).shutdown();
#endif
        delete g;
        return nullptr;
    } catch (...) {
        return avj::explain();
    }
}

char *avj_group_sum(avj_group *g, const avj_group_sum_args *args, int64_t size) {
    return attempt(args, size, [g](const avj_group_sum_args &a) {
        here(a.engine, [&] {
            std::vector<at::Tensor> x{operand(a)};
            *a.work = new avj_work{backend(*g, x[0]).allreduce(x, {})};
        });
    });
}

char *avj_group_wait(avj_engine *e, avj_work *w) {
    std::unique_ptr<avj_work> owned(w);
    try {
        here(e, [&] { owned->work->wait(); });
        return nullptr;
    } catch (...) {
        return avj::explain();
    }
}

char *avj_group_broadcast(avj_group *g, const avj_group_sum_args *args, int64_t size) {
    return attempt(args, size, [g](const avj_group_sum_args &a) {
        here(a.engine, [&] {
            std::vector<at::Tensor> x{operand(a)};
            backend(*g, x[0]).broadcast(x, {})->wait();
        });
    });
}

char *avj_group_gather(avj_group *g, const avj_group_gather_args *args, int64_t size) {
    return attempt(args, size, [g](const avj_group_gather_args &a) {
        at::Tensor mine = bytes_at(a.mine, a.bytes), all = bytes_at(a.all, a.bytes * g->ranks);
        if (g->gloo) {
            gather(*g->gloo, mine, all);
            return;
        }
        here(a.engine, [&] { // without gloo: NCCL, in the memory of a GPU
            if (a.engine == nullptr) backend(*g, mine);
            at::Tensor there = at::empty(all.sizes(), all.options().device(a.engine->device));
            at::Tensor from = mine.to(a.engine->device);
            gather(backend(*g, from), from, there);
            all.copy_(there);
        });
    });
}

} // extern "C"

#else // this libtorch has neither

extern "C" {

static char *absent() {
    return avj::message("built without", "neither gloo nor NCCL: processes cannot train together");
}

int64_t avj_group_kinds(void) { return 0; }
char *avj_store_open(void *, const avj_store_open_args *, int64_t) { return absent(); }
char *avj_store_set(avj_store *, const avj_store_value_args *, int64_t) { return absent(); }
char *avj_store_get(avj_store *, const avj_store_value_args *, int64_t) { return absent(); }
char *avj_store_close(avj_store *) { return absent(); }
char *avj_group_open(void *, const avj_group_open_args *, int64_t) { return absent(); }
char *avj_group_close(avj_group *) { return absent(); }
char *avj_group_sum(avj_group *, const avj_group_sum_args *, int64_t) { return absent(); }
char *avj_group_wait(avj_engine *, avj_work *) { return absent(); }
char *avj_group_broadcast(avj_group *, const avj_group_sum_args *, int64_t) { return absent(); }
char *avj_group_gather(avj_group *, const avj_group_gather_args *, int64_t) { return absent(); }

} // extern "C"

#endif
