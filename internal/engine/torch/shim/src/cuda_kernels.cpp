// Kernels of our own, compiled at run time: neither nvcc nor the headers of NVRTC are
// needed to build the shim.
#ifdef AVJEPA_CUDA

#include "cuda_kernels.hpp"

#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAFunctions.h>

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <unordered_map>

namespace avj::cu {

// The functions of NVRTC and of the driver that are called, as their manuals declare
// them; handles are pointers, results 0 for success.
struct Api {
    int (*create)(void **, const char *, const char *, int, const char *const *,
                  const char *const *);
    int (*compile)(void *, int, const char *const *);
    int (*log_size)(void *, size_t *);
    int (*log)(void *, char *);
    int (*cubin_size)(void *, size_t *);
    int (*cubin)(void *, char *);
    int (*ptx_size)(void *, size_t *);
    int (*ptx)(void *, char *);
    int (*destroy)(void **);
    int (*load_module)(void **, const void *);
    int (*function)(void **, void *, const char *);
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                  void *, void **, void **);
    int (*explain)(int, const char **);
};

// symbol returns the first of that name that a library or what it needs defines.
static void *symbol(const std::vector<void *> &libraries, const char *name) {
    for (void *l : libraries)
        if (void *s = dlsym(l, name)) return s;
    throw std::runtime_error(std::string("no library has ") + name);
}

static Api find_api() {
    // libtorch's own library brings the NVRTC and the driver it was built for; the
    // others are for builds that link it statically.
    std::vector<void *> libraries;
    for (const char *name : {"libcaffe2_nvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12",
                             "libnvrtc.so", "/usr/local/cuda/lib64/libnvrtc.so", "libcuda.so.1"})
        if (void *l = dlopen(name, RTLD_LAZY | RTLD_LOCAL)) libraries.push_back(l);
    Api a{};
    auto find = [&](auto &to, const char *name) {
        to = reinterpret_cast<std::decay_t<decltype(to)>>(symbol(libraries, name));
    };
    find(a.create, "nvrtcCreateProgram");
    find(a.compile, "nvrtcCompileProgram");
    find(a.log_size, "nvrtcGetProgramLogSize");
    find(a.log, "nvrtcGetProgramLog");
    find(a.cubin_size, "nvrtcGetCUBINSize");
    find(a.cubin, "nvrtcGetCUBIN");
    find(a.ptx_size, "nvrtcGetPTXSize");
    find(a.ptx, "nvrtcGetPTX");
    find(a.destroy, "nvrtcDestroyProgram");
    find(a.load_module, "cuModuleLoadData");
    find(a.function, "cuModuleGetFunction");
    find(a.launch, "cuLaunchKernel");
    find(a.explain, "cuGetErrorString");
    return a;
}

static const Api &api() {
    static const Api a = find_api();
    return a;
}

// driver throws what a result of the driver's means.
static void driver(int result, const char *what) {
    if (result == 0) return;
    const char *text = nullptr;
    api().explain(result, &text);
    throw std::runtime_error(std::string(what) + ": " + (text ? text : "unknown fault") + " (" +
                             std::to_string(result) + ")");
}

// compile returns the machine code of the kernels for an architecture such as sm_90,
// or what the driver makes some of, for compute_90.
static std::string compile(const std::string &arch) {
    const Api &a = api();
    std::string text = source(), option = "--gpu-architecture=" + arch;
    void *program = nullptr;
    if (int r = a.create(&program, text.c_str(), "avjepa.cu", 0, nullptr, nullptr))
        throw std::runtime_error("NVRTC: fault " + std::to_string(r));
    const char *options[] = {option.c_str(), "--std=c++17"};
    int result = a.compile(program, 2, options);
    std::string out;
    size_t n = 0;
    if (result == 0) {
        bool machine = arch[0] == 's';
        (machine ? a.cubin_size : a.ptx_size)(program, &n);
        out.resize(n);
        (machine ? a.cubin : a.ptx)(program, out.data());
    } else if (a.log_size(program, &n) == 0) {
        out.resize(n);
        a.log(program, out.data());
    }
    a.destroy(&program);
    if (result != 0)
        throw std::runtime_error("NVRTC, " + arch + ": fault " + std::to_string(result) + ": " +
                                 out.substr(0, 300));
    return out;
}

// Module is the kernels on one device.
struct Module {
    void *handle = nullptr;
    std::unordered_map<std::string, void *> functions;
};

static std::mutex lock;
static std::map<int, Module> modules; // by device

void load() {
    std::lock_guard<std::mutex> hold(lock);
    int device = c10::cuda::current_device();
    Module &m = modules[device];
    if (m.handle != nullptr) return;
    const auto *p = at::cuda::getDeviceProperties(c10::DeviceIndex(device));
    std::string number = std::to_string(p->major) + std::to_string(p->minor), first;
    for (const char *kind : {"sm_", "compute_"}) {
        try {
            std::string code = compile(kind + number);
            driver(api().load_module(&m.handle, code.c_str()), "loading the kernels");
            return;
        } catch (const std::exception &e) {
            if (first.empty()) first = e.what();
        }
    }
    throw std::runtime_error(first);
}

int64_t launches = 0;

void launch(const char *name, int64_t gx, int64_t gy, int block, const void *args, size_t) {
    std::lock_guard<std::mutex> hold(lock);
    Module &m = modules[c10::cuda::current_device()];
    if (m.handle == nullptr) throw std::runtime_error("the kernels are not loaded");
    void *&f = m.functions[name];
    if (f == nullptr) driver(api().function(&f, m.handle, name), name);
    void *parameters[] = {const_cast<void *>(args)};
    driver(api().launch(f, unsigned(gx), unsigned(gy), 1, unsigned(block), 1, 1, 0,
                        at::cuda::getCurrentCUDAStream().stream(), parameters, nullptr),
           name);
    launches++;
}

} // namespace avj::cu

#endif
