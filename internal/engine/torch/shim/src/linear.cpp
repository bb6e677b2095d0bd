// Products with weights: Linear and its backward.
//
// On a CPU all products are of float32; bf16 operands are converted, which is
// exact. On a GPU a product has bf16 operands when all its (R, ·) operands are bf16,
// and accumulates in float32. A GPU moves memory for most of what lies between
// products: so a product goes where it belongs, with its bias, and in bf16 if it may.
#include "core.hpp"

#include "cuda.hpp"

#include <ATen/ops/addmm.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/sum.h>

namespace avj {

// operand_type returns the type of a product's operands.
static at::ScalarType operand_type(const avj_engine &e, const avj_tensor &a, const avj_tensor &b) {
    bool low = e.device.is_cuda() && is_bf16(a) && is_bf16(b);
    return low ? at::kBFloat16 : at::kFloat;
}

// product returns a·b, in float32 when that costs nothing or wide is set and
// libtorch can.
static at::Tensor product(const at::Tensor &a, const at::Tensor &b, bool wide) {
    at::Tensor t;
    if (a.scalar_type() == at::kBFloat16 && wide) t = cuda_product(a, b);
    return t.defined() ? t : at::mm(a, b);
}

// in_place reports whether a product may go to t as it is.
static bool in_place(const avj_tensor &t, at::ScalarType operands) {
    return operands == (is_bf16(t) ? at::kBFloat16 : at::kFloat);
}

// biased sets y = x·w + bias, which may be undefined, in one product. libtorch adds
// the bias behind it at no cost where y is contiguous.
static void biased(at::Tensor y, const at::Tensor &x, const at::Tensor &w, const at::Tensor &bias) {
    if (bias.defined())
        at::addmm_out(y, bias.to(x.scalar_type()), x, w);
    else
        at::mm_out(y, x, w);
}

static at::Tensor optional(const avj_tensor &t, at::Tensor (*as)(const avj_tensor &)) {
    return has(t) ? as(t) : at::Tensor();
}

static void linear(avj_engine &e, const avj_linear_args &a) {
    if (elems(a.y) == 0) return;
    auto type = operand_type(e, a.x, a.x);
    at::Tensor x = matrix(a.x).to(type), w = matrix(a.w).to(type).t(), y = matrix(a.y);
    at::Tensor bias = optional(a.bias, flat);
    if (in_place(a.y, type) && !a.gelu && !has(a.residual)) return biased(y, x, w, bias);
    if (type == at::kFloat && in_place(a.y, type) && !a.gelu && !is_bf16(a.residual)) {
        if (!same(a.residual, a.y)) y.copy_(matrix(a.residual));
        y.addmm_(x, w);
        if (bias.defined()) y.add_(bias);
        return;
    }
    // Rows apart would make libtorch write the bias first, so in bf16 they go on below.
    const avj_tensor &before = has(a.pre) ? a.pre : a.y;
    if (in_place(a.y, type) && in_place(before, type) && !has(a.residual) &&
        (type == at::kFloat || contiguous(before))) {
        at::Tensor pre = matrix(before);
        biased(pre, x, w, bias);
        at::Tensor none;
        if (!e.device.is_cuda() || !cuda_epilogue(y, pre, none, none, none, true))
            at::gelu_out(y, pre);
        return;
    }
    // Before it is added to a residual a product may be rounded: half the memory moves.
    bool wide = !is_bf16(a.y) && (a.gelu || !has(a.residual));
    at::Tensor t = product(x, w, wide);
    if (e.device.is_cuda() && cuda_epilogue(y, t, bias, optional(a.residual, matrix),
                                            optional(a.pre, matrix), a.gelu))
        return;
    t = f32(t);
    if (bias.defined()) t.add_(bias);
    if (has(a.pre)) matrix(a.pre).copy_(t);
    if (a.gelu) t = at::gelu(t);
    if (has(a.residual)) t.add_(matrix(a.residual));
    y.copy_(t);
}

static void linear_input(avj_engine &e, const avj_linear_input_args &a) {
    if (elems(a.dx) == 0) return;
    auto type = operand_type(e, a.dy, a.dy);
    at::Tensor dy = matrix(a.dy).to(type), w = matrix(a.w).to(type), dx = matrix(a.dx);
    if (type == at::kFloat && in_place(a.dx, type) && a.add && !has(a.pre)) {
        dx.addmm_(dy, w);
        return;
    }
    at::Tensor t = dx; // the product goes to dx itself where it can
    if (in_place(a.dx, type) && !a.add)
        at::mm_out(t, dy, w);
    else
        t = product(dy, w, !is_bf16(a.dx));
    if (has(a.pre)) {
        if (e.device.is_cuda() && cuda_gelu_product(dx, t, matrix(a.pre),
                                                    optional(a.act, matrix), a.add))
            return;
        at::Tensor pre = f32(matrix(a.pre));
        if (type == at::kFloat && t.is_same(dx))
            at::gelu_backward_out(t, dx, pre);
        else
            t = at::gelu_backward(f32(t), pre);
        if (has(a.act)) matrix(a.act).copy_(at::gelu(pre));
    }
    if (a.add)
        dx.add_(t);
    else if (!t.is_same(dx))
        dx.copy_(t);
}

static void linear_weight(avj_engine &e, const avj_linear_weight_args &a) {
    if (rows(a.x) == 0) return;
    auto type = operand_type(e, a.dy, a.x);
    at::Tensor dy = matrix(a.dy).to(type), x = matrix(a.x).to(type), dw = matrix(a.dw);
    if (type == at::kFloat)
        dw.addmm_(dy.t(), x);
    else if (!cuda_add_product(dw, dy.t(), x))
        dw.add_(product(dy.t(), x, true));
    if (!has(a.dbias) || (e.device.is_cuda() && cuda_column_sum(flat(a.dbias), dy))) return;
    flat(a.dbias).add_(at::sum(dy, {0}, false, at::kFloat));
}

} // namespace avj

extern "C" {

char *avj_linear(avj_engine *e, const struct avj_linear_args *a, int64_t size) {
    return avj::run(e, a, size, avj::linear);
}

char *avj_linear_input(avj_engine *e, const struct avj_linear_input_args *a, int64_t size) {
    return avj::run(e, a, size, avj::linear_input);
}

char *avj_linear_weight(avj_engine *e, const struct avj_linear_weight_args *a, int64_t size) {
    return avj::run(e, a, size, avj::linear_weight);
}

} // extern "C"
