// Arguments of the CUDA kernels. Each structure is declared once, for the host's
// compiler here and as text for NVRTC: cudaArgsText. No preprocessor line and no
// comment that matters may stand inside AVJ_SHARED.
#pragma once

#define AVJ_SHARED(...)                          \
  namespace avj::cu {                            \
  __VA_ARGS__                                    \
  inline constexpr char argsText[] = #__VA_ARGS__; \
  }

// Matrices are a pointer, a number of rows and columns and a distance between rows
// (ending in s), both in elements. vec says that columns and distances are
// multiples of 4 and pointers aligned to 4 elements.
//
// Mask is rng.Mask: key_at, when not null, is where the key lies in device memory
// (a recorded step reads it there); threshold 0 keeps everything. n rows of the
// matrix are a sequence, which has tokens rows of the mask, the first at offset.
//
// Adam's step_at likewise points to {lr/unbias1, 1/unbias2, 1-lr*decay}.
AVJ_SHARED(
  struct Mask {
    unsigned long long key;
    const unsigned long long *key_at;
    long long n; long long tokens; long long offset;
    long long first; long long run; long long stride;
    unsigned int threshold; float scale;
  };
  struct DropoutArgs {
    void *y; const void *x;
    long long rows; long long ys; long long xs; int cols; int vec;
    Mask mask;
  };
  struct EpilogueArgs {
    void *y; void *pre; const void *t; const float *bias; const float *residual;
    long long rows; long long ys; long long ps; long long ts; long long rs;
    int cols; int vec; int gelu;
    Mask mask;
  };
  struct SlopeArgs {
    void *dx; void *act; const void *t; const void *pre;
    long long rows; long long ds; long long as; long long ts; long long ps;
    int cols; int vec; int add;
  };
  struct LayerNormArgs {
    void *y; const float *x; const float *gain; const float *bias;
    float *mean; float *rstd;
    long long rows; long long ys; long long xs; int cols; float eps;
  };
  struct LayerNormBackwardArgs {
    float *dx; const void *dy; const float *x; const float *gain;
    const float *mean; const float *rstd; float *partial;
    long long rows; int cols; int add;
  };
  struct FoldArgs {
    float *out; const float *partial;
    long long parts; long long part_stride; int cols;
  };
  struct ColumnSumArgs {
    const void *x; float *partial;
    long long rows; long long xs; int cols; int vec;
  };
  struct VideoArgs {
    void *y; const void *x;
    int c; int t; int h; int w; int pt; int p;
    float mean[3]; float std[3];
  };
  struct AudioArgs {
    void *y; const float *x;
    int bands; int frames; int pf; int pt;
  };
  struct Modality {
    const void *x; const float *bias; const float *type;
    const float *first; const float *second;
    int start; int n1; int n2;
  };
  struct AssembleArgs {
    float *y; const float *cls;
    long long batch; int n; int d;
    Modality m[2];
  };
  struct ModalityGradient {
    void *dx; float *dbias; float *dtype; float *dfirst; float *dsecond; float *inner;
    int start; int n1; int n2;
  };
  struct AssembleBackwardArgs {
    const float *dy; float *dcls; float *sums;
    long long batch; int n; int d;
    ModalityGradient m[2];
  };
  struct EcfArgs {
    float *e; const float *p; float *dp; const float *de;
    long long views; long long rows; long long dirs; int knots; double lo; double step;
  };
  struct SigregArgs {
    float *loss; float *de; const float *e;
    long long views; long long dirs; int knots;
    double lo; double step; double interval; double scale; double weight;
  };
  struct AdamArgs {
    float *p; float *m; float *v; const float *g; const float *scale;
    const float *step_at;
    long long n; float beta1; float beta2; float eps; float rate; float unbias2; float keep;
    float rest1; float rest2;
  };
  struct NormArgs {
    float *out; double *partial; const float *x;
    long long n; int parts; int vec;
  };
)
