// Operations on rows by kernels of our own: dropout, the ends of products, LayerNorm.
// There is no call of CUDA here: the tests run these on the CPU.
#if defined(AVJEPA_CUDA) || defined(AVJEPA_EMULATE)

#include "cuda.hpp"

#include "cuda_kernels.hpp"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

namespace avj {

using namespace cu;

// letter names a type in the name of a kernel, 0 for a type without kernels.
static char letter(const at::Tensor &x) {
    switch (x.scalar_type()) {
    case at::kFloat: return 'f';
    case at::kBFloat16: return 'h';
    default: return 0;
    }
}

// step returns the distance between the rows of a matrix.
static int64_t step(const at::Tensor &x) { return x.size(0) <= 1 ? x.size(1) : x.stride(0); }

// lines reports whether x is a matrix of consecutive columns.
static bool lines(const at::Tensor &x) {
    return x.dim() == 2 && (x.size(1) <= 1 || x.stride(1) == 1) && letter(x) != 0;
}

// quads reports whether every row of x can be read four elements at a time. An
// undefined x does not matter.
static bool quads(const at::Tensor &x) {
    if (!x.defined()) return true;
    auto at = reinterpret_cast<uintptr_t>(x.data_ptr());
    bool rows = x.dim() < 2 || step(x) % 4 == 0;
    return x.size(-1) % 4 == 0 && rows && at % (4 * x.element_size()) == 0;
}

static void *data(const at::Tensor &x) { return x.defined() ? x.data_ptr() : nullptr; }
static float *floats(const at::Tensor &x) { return static_cast<float *>(data(x)); }

// warps returns the blocks of 8 warps that take rows rows, at most 16 for each of an
// H200's 132 multiprocessors.
static int64_t warps(int64_t rows) {
    return std::min<int64_t>((rows + 7) / 8, 132 * 16);
}

static Mask kernel_mask(const avj_mask &m, int64_t n) {
    Mask k{};
    k.n = std::max<int64_t>(n, 1);
    if (m.p <= 0) return k;
    k.key = m.key;
    unsigned long long key = m.key;
    k.key_at = parameter(&key, 1);
    k.tokens = m.tokens > 0 ? m.tokens : n;
    k.first = m.first;
    k.run = m.run;
    k.stride = m.row_stride;
    k.threshold = static_cast<unsigned int>(m.p * 4294967296.0);
    k.scale = static_cast<float>(1 / (1 - m.p));
    return k;
}

static void launch_dropout(const at::Tensor &y, const at::Tensor &x, const Mask &mask) {
    DropoutArgs a{};
    a.y = data(y);
    a.x = data(x);
    a.rows = x.size(0);
    a.cols = int(x.size(1));
    a.ys = step(y);
    a.xs = step(x);
    a.vec = quads(x) && quads(y);
    a.mask = mask;
    launch(std::string("dropout_") + letter(y) + letter(x), warps(a.rows), 1, 256, a);
}

bool cuda_dropout(const at::Tensor &y, const at::Tensor &x, const avj_mask &mask, int64_t n) {
    if (!use(kDropout) || !lines(x) || !lines(y)) return false;
    if (x.numel() == 0) return true;
    if (!(mask.p > 0)) return false; // nothing to drop: a copy
    launch_dropout(y, x, kernel_mask(mask, n));
    return true;
}

bool cuda_mask(const at::Tensor &s, const avj_mask &mask, int64_t b, int64_t i0,
               int64_t tokens) {
    if (!use(kDropout) || s.dim() != 3 || !s.is_contiguous() || letter(s) != 'f') return false;
    if (s.numel() == 0) return true;
    Mask m = kernel_mask(mask, s.size(1));
    int64_t sequence = mask.run > 0 ? b / mask.run * mask.row_stride + b % mask.run : b;
    m.first = (mask.first + sequence) * s.size(0); // rows are counted head by head
    m.run = 0;
    m.tokens = tokens;
    m.offset = i0;
    m.scale = 1;
    at::Tensor rows = s.view({s.size(0) * s.size(1), s.size(2)});
    launch_dropout(rows, rows, m);
    return true;
}

bool cuda_epilogue(const at::Tensor &y, const at::Tensor &t, const at::Tensor &bias,
                   const at::Tensor &residual, const at::Tensor &pre, bool gelu) {
    if (!use(kEpilogue) || !lines(y) || !lines(t)) return false;
    if (letter(y) == 'h' && letter(t) == 'f') return false;
    if (bias.defined() && letter(bias) != 'f') return false;
    if (residual.defined() && (!lines(residual) || letter(residual) != 'f')) return false;
    if (pre.defined() && (!lines(pre) || letter(pre) != letter(t))) return false;
    if (t.numel() == 0) return true;
    EpilogueArgs a{};
    a.y = data(y);
    a.pre = data(pre);
    a.t = data(t);
    a.bias = floats(bias);
    a.residual = floats(residual);
    a.rows = t.size(0);
    a.cols = int(t.size(1));
    a.ys = step(y);
    a.ts = step(t);
    a.ps = pre.defined() ? step(pre) : 0;
    a.rs = residual.defined() ? step(residual) : 0;
    a.vec = quads(y) && quads(t) && quads(bias) && quads(residual) && quads(pre);
    a.gelu = gelu;
    a.mask.n = 1;
    launch(std::string("epilogue_") + letter(y) + letter(t), warps(a.rows), 1, 256, a);
    return true;
}

bool cuda_gelu_product(const at::Tensor &dx, const at::Tensor &t, const at::Tensor &pre,
                       const at::Tensor &act, bool add) {
    if (!use(kSlope) || !lines(dx) || !lines(t) || !lines(pre)) return false;
    if (letter(pre) != letter(t) || (letter(dx) == 'h' && letter(t) == 'f')) return false;
    if (act.defined() && (!lines(act) || letter(act) != letter(t))) return false;
    if (t.numel() == 0) return true;
    SlopeArgs a{};
    a.dx = data(dx);
    a.act = data(act);
    a.t = data(t);
    a.pre = data(pre);
    a.rows = t.size(0);
    a.cols = int(t.size(1));
    a.ds = step(dx);
    a.ts = step(t);
    a.ps = step(pre);
    a.as = act.defined() ? step(act) : 0;
    a.vec = quads(dx) && quads(t) && quads(pre) && quads(act);
    a.add = add;
    launch(std::string("slope_") + letter(dx) + letter(t), warps(a.rows), 1, 256, a);
    return true;
}

// fold adds the sums of partial (parts, cols), rows apart, to out (cols).
static void launch_fold(float *out, const float *partial, int64_t parts, int64_t apart,
                        int64_t cols) {
    FoldArgs f{};
    f.out = out;
    f.partial = partial;
    f.parts = parts;
    f.part_stride = apart;
    f.cols = int(cols);
    launch("fold", (cols + 31) / 32, 1, 256, f);
}

bool cuda_column_sum(const at::Tensor &out, const at::Tensor &x) {
    if (!use(kColumnSum) || !lines(x) || letter(out) != 'f') return false;
    if (x.numel() == 0) return true;
    ColumnSumArgs a{};
    a.x = data(x);
    a.rows = x.size(0);
    a.cols = int(x.size(1));
    a.xs = step(x);
    a.vec = quads(x);
    int64_t across = (a.cols + 127) / 128;
    // Two thousand blocks in all keep a GPU busy; each has 64 rows or more.
    int64_t down = std::max<int64_t>(1, std::min<int64_t>((a.rows + 63) / 64, 2048 / across));
    at::Tensor partial = at::empty({down, a.cols}, out.options());
    a.partial = floats(partial);
    launch(std::string("column_sum_") + letter(x), across, down, 256, a);
    launch_fold(floats(out), a.partial, down, a.cols, a.cols);
    return true;
}

// turns returns the N of LayerNorm's kernels for so many columns, 0 for none.
static int turns(int64_t cols) {
    for (int n : {1, 2, 3, 4, 6, 8})
        if (cols <= 128 * n) return n;
    return 0;
}

bool cuda_layer_norm(const at::Tensor &y, const at::Tensor &mean, const at::Tensor &rstd,
                     const at::Tensor &x, const at::Tensor &gain, const at::Tensor &bias,
                     double eps) {
    if (!use(kLayerNorm) || !lines(x) || !lines(y) || letter(x) != 'f') return false;
    if (letter(gain) != 'f' || letter(bias) != 'f' || turns(x.size(1)) == 0) return false;
    if (!quads(x) || !quads(y) || !quads(gain) || !quads(bias)) return false;
    if (x.numel() == 0) return true;
    LayerNormArgs a{};
    a.y = data(y);
    a.x = floats(x);
    a.gain = floats(gain);
    a.bias = floats(bias);
    a.mean = floats(mean);
    a.rstd = floats(rstd);
    a.rows = x.size(0);
    a.cols = int(x.size(1));
    a.xs = step(x);
    a.ys = step(y);
    a.eps = float(eps);
    launch("layernorm_" + std::string(1, letter(y)) + std::to_string(turns(a.cols)),
           warps(a.rows), 1, 256, a);
    return true;
}

bool cuda_layer_norm_backward(const avj_layer_norm_backward_args &args) {
    at::Tensor dx = matrix(args.dx), dy = matrix(args.dy), x = matrix(args.x);
    at::Tensor gain = flat(args.gain);
    if (!use(kLayerNormBackward) || letter(dx) != 'f' || letter(x) != 'f' || !letter(dy))
        return false;
    if (turns(x.size(1)) == 0 || !quads(dx) || !quads(dy) || !quads(x) || !quads(gain))
        return false;
    if (x.numel() == 0) return true;
    LayerNormBackwardArgs a{};
    a.dx = floats(dx);
    a.dy = data(dy);
    a.x = floats(x);
    a.gain = floats(gain);
    a.mean = floats(flat(args.mean));
    a.rstd = floats(flat(args.rstd));
    a.rows = x.size(0);
    a.cols = int(x.size(1));
    a.add = int(args.add);
    int64_t blocks = std::min<int64_t>((a.rows + 3) / 4, 132 * 4);
    at::Tensor partial = at::empty({blocks, 2, a.cols}, x.options());
    a.partial = floats(partial);
    launch("layernorm_backward_" + std::string(1, letter(dy)) + std::to_string(turns(a.cols)),
           blocks, 1, 128, a);
    launch_fold(floats(flat(args.dgain)), a.partial, blocks, 2 * a.cols, a.cols);
    launch_fold(floats(flat(args.dbias)), a.partial + a.cols, blocks, 2 * a.cols, a.cols);
    return true;
}

} // namespace avj

#endif
