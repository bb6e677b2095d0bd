/* The C ABI between package engine/torch and libtorch. It is plain C: structs of
 * pointers, 64-bit integers and doubles, which Go mirrors field by field.
 *
 * Every operation is
 *
 *     char *avj_NAME(avj_engine *, const struct avj_NAME_args *, int64_t size)
 *
 * where size is sizeof of the struct as the caller knows it; a shim that knows
 * another refuses the call. The result is NULL, or a message "class: what went
 * wrong" that the caller gives back to avj_free. An operation has the meaning and
 * the operands of the method of engine.Engine it is named after.
 */
#ifndef AVJEPA_H
#define AVJEPA_H

#include <stdint.h>

/* AVJ_ABI changes whenever a struct or a function here does. */
#define AVJ_ABI 1

#if defined(__cplusplus)
extern "C" {
#endif

typedef struct avj_engine avj_engine;
typedef struct avj_buffer avj_buffer;

enum { AVJ_F32 = 0, AVJ_BF16 = 1, AVJ_U8 = 2 }; /* as engine.DType */

/* A view of a buffer. Rows are stride elements apart and all other dimensions
 * contiguous; buffer NULL is an absent operand. */
typedef struct {
    avj_buffer *buffer;
    int64_t offset, stride; /* in elements */
    int64_t rank, dims[6];
} avj_tensor;

/* A dropout mask: rng.Mask. Nothing is dropped when p is 0. */
typedef struct {
    uint64_t key;
    double p;
    int64_t first, run, row_stride, tokens;
} avj_mask;

/* The knots of a characteristic function: engine.Knots. */
typedef struct {
    double max;
    int64_t count, half;
} avj_knots;

/* -- engine and memory: memory.cpp -- */

int64_t avj_abi(void); /* AVJ_ABI */
void avj_free(void *);

/* Writes "libtorch 1.13.0" and a description of the device, with a 0 behind it. */
struct avj_open_args {
    const char *device; /* "cpu", "cuda" or "cuda:N" */
    int64_t threads;    /* of the CPU; 0: one per core */
    avj_engine **engine;
    int64_t *threads_used;
    int64_t *on_cuda;
    char *about;
    int64_t about_size;
};
char *avj_open(avj_engine *unused, const struct avj_open_args *, int64_t size);
/* For tests: from now on a CPU computes as a GPU without kernels of our own does. */
char *avj_portable(avj_engine *);
char *avj_close(avj_engine *);
char *avj_sync(avj_engine *);

struct avj_new_buffer_args {
    int64_t dtype, elems;
    avj_buffer **buffer;
};
char *avj_new_buffer(avj_engine *, const struct avj_new_buffer_args *, int64_t size);
char *avj_free_buffer(avj_engine *, avj_buffer *);

/* Upload and download move size bytes between host memory and a tensor. An upload
 * returns when host may be reused, a download when it holds the result. */
struct avj_transfer_args {
    avj_tensor tensor;
    void *host;
};
char *avj_upload(avj_engine *, const struct avj_transfer_args *, int64_t size);
char *avj_download(avj_engine *, const struct avj_transfer_args *, int64_t size);

struct avj_pair_args { /* of one shape */
    avj_tensor dst, src;
    double alpha; /* of AddTo */
};
char *avj_copy(avj_engine *, const struct avj_pair_args *, int64_t size); /* Copy and Cast */
char *avj_add_to(avj_engine *, const struct avj_pair_args *, int64_t size);
char *avj_gelu(avj_engine *, const struct avj_pair_args *, int64_t size);

struct avj_scalar_args {
    avj_tensor x;
    double value;
};
char *avj_fill(avj_engine *, const struct avj_scalar_args *, int64_t size);
char *avj_scale(avj_engine *, const struct avj_scalar_args *, int64_t size);

/* -- linear.cpp -- */

struct avj_linear_args {
    avj_tensor y, x, w, bias, residual, pre;
    int64_t gelu;
};
char *avj_linear(avj_engine *, const struct avj_linear_args *, int64_t size);

struct avj_linear_input_args {
    avj_tensor dx, dy, w, pre, act;
    int64_t add;
};
char *avj_linear_input(avj_engine *, const struct avj_linear_input_args *, int64_t size);

struct avj_linear_weight_args {
    avj_tensor dw, dbias, dy, x;
};
char *avj_linear_weight(avj_engine *, const struct avj_linear_weight_args *, int64_t size);

/* -- norm.cpp -- */

struct avj_layer_norm_args {
    avj_tensor y, mean, rstd, x, gain, bias;
    double eps;
};
char *avj_layer_norm(avj_engine *, const struct avj_layer_norm_args *, int64_t size);

struct avj_layer_norm_backward_args {
    avj_tensor dx, dgain, dbias, dy, x, mean, rstd, gain;
    int64_t add;
};
char *avj_layer_norm_backward(avj_engine *, const struct avj_layer_norm_backward_args *,
                              int64_t size);

/* The stages of BatchNorm, so that a group of processes may average between them:
 * in training the columns' means, then their mean squares about those, into rstd,
 * then the rest. total is the number of rows of all processes. */
enum { AVJ_BN_MEAN = 1, AVJ_BN_SQUARES = 2, AVJ_BN_APPLY = 4 };
struct avj_batch_norm_args {
    avj_tensor y, pre, mean, rstd, x, gain, bias, run_mean, run_var;
    double eps, momentum, total;
    int64_t train, gelu, stages; /* a sum of AVJ_BN_… */
};
char *avj_batch_norm(avj_engine *, const struct avj_batch_norm_args *, int64_t size);

/* Stage 1 adds to dgain and dbias and sets means (2, C), stage 2 sets dx; means is
 * optional when both are asked for at once. */
enum { AVJ_BN_SUMS = 1, AVJ_BN_DX = 2 };
struct avj_batch_norm_backward_args {
    avj_tensor dx, dgain, dbias, dy, x, mean, rstd, gain, means;
    int64_t stages;
};
char *avj_batch_norm_backward(avj_engine *, const struct avj_batch_norm_backward_args *,
                              int64_t size);

struct avj_column_stats_args {
    avj_tensor mean, std, x;
};
char *avj_column_stats(avj_engine *, const struct avj_column_stats_args *, int64_t size);

/* -- elementwise.cpp -- */

struct avj_gelu_backward_args {
    avj_tensor dx, dy, x;
};
char *avj_gelu_backward(avj_engine *, const struct avj_gelu_backward_args *, int64_t size);

struct avj_dropout_args {
    avj_tensor y, x;
    avj_mask mask;
};
char *avj_dropout(avj_engine *, const struct avj_dropout_args *, int64_t size);

/* -- attention.cpp -- */

struct avj_attention_args {
    avj_tensor out, lse, q, k, v;
    int64_t heads;
    avj_mask mask;
};
char *avj_attention(avj_engine *, const struct avj_attention_args *, int64_t size);

struct avj_attention_backward_args {
    avj_tensor dq, dk, dv, dout, out, lse, delta, q, k, v;
    int64_t heads;
    avj_mask mask;
};
char *avj_attention_backward(avj_engine *, const struct avj_attention_backward_args *,
                             int64_t size);

struct avj_attention_weights_args {
    avj_tensor w, q, k;
    int64_t heads;
};
char *avj_attention_weights(avj_engine *, const struct avj_attention_weights_args *,
                            int64_t size);

/* -- tokens.cpp -- */

struct avj_patchify_video_args {
    avj_tensor y, x;
    int64_t patch_t, p;
    double mean[3], std[3];
};
char *avj_patchify_video(avj_engine *, const struct avj_patchify_video_args *, int64_t size);

struct avj_patchify_audio_args {
    avj_tensor y, x;
    int64_t pf, pt;
};
char *avj_patchify_audio(avj_engine *, const struct avj_patchify_audio_args *, int64_t size);

/* One modality of AssembleTokens; first NULL: the model does not have it. */
typedef struct {
    avj_tensor tokens, bias, kind, first, second;
} avj_modality;
struct avj_assemble_args {
    avj_tensor y, cls;
    avj_modality video, audio;
    int64_t drop;
};
char *avj_assemble(avj_engine *, const struct avj_assemble_args *, int64_t size);
char *avj_assemble_backward(avj_engine *, const struct avj_assemble_args *, int64_t size);

/* -- objective.cpp -- */

struct avj_center_args {
    avj_tensor c, z;
    int64_t g;
};
char *avj_center(avj_engine *, const struct avj_center_args *, int64_t size);

struct avj_prediction_loss_args {
    avj_tensor loss, dz, z, c;
    int64_t g, sum;
    double weight;
};
char *avj_prediction_loss(avj_engine *, const struct avj_prediction_loss_args *, int64_t size);

struct avj_ecf_args {
    avj_tensor e, p;
    avj_knots knots;
};
char *avj_ecf(avj_engine *, const struct avj_ecf_args *, int64_t size);

struct avj_sigreg_args {
    avj_tensor loss, de, e;
    avj_knots knots;
    double n, weight;
};
char *avj_sigreg(avj_engine *, const struct avj_sigreg_args *, int64_t size);

struct avj_ecf_backward_args {
    avj_tensor dp, p, de;
    avj_knots knots;
};
char *avj_ecf_backward(avj_engine *, const struct avj_ecf_backward_args *, int64_t size);

struct avj_cross_entropy_args {
    avj_tensor loss, dlogits, logits, labels;
    double smoothing, weight;
};
char *avj_cross_entropy(avj_engine *, const struct avj_cross_entropy_args *, int64_t size);

/* -- optim.cpp -- */

struct avj_reduce_args { /* SquaredNorm: out = Σ x²; ClipScale: x holds that sum */
    avj_tensor out, x;
    double max_norm;
};
char *avj_squared_norm(avj_engine *, const struct avj_reduce_args *, int64_t size);
char *avj_clip_scale(avj_engine *, const struct avj_reduce_args *, int64_t size);

struct avj_adamw_args {
    avj_tensor param, grad, m, v, scale;
    double lr, beta1, beta2, eps, weight_decay;
    int64_t step;
};
char *avj_adamw(avj_engine *, const struct avj_adamw_args *, int64_t size);

#if defined(__cplusplus)
}
#endif
#endif
