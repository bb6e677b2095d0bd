// The text of the kernels, as NVRTC takes it.
#if defined(AVJEPA_CUDA) || defined(AVJEPA_EMULATE)

#include "cuda_args.hpp"

#include <string>

namespace avj::cu {

static constexpr char text[] =
#include "cuda_common.cuh"

#include "cuda_elementwise.cu"

#include "cuda_layernorm.cu"

#include "cuda_tokens.cu"

#include "cuda_objective.cu"
    ;

std::string source() { return std::string(argsText) + "\n" + text; }

} // namespace avj::cu

#endif
