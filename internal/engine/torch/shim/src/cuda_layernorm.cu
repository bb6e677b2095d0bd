R"cuda(
// LayerNorm of rows of at most 1024 features, a multiple of 4. A warp keeps a row in
// registers: N turns of 128 columns.

// layerNorm: y = (x − mean)·rstd·gain + bias. y may be x.
template <class Y, int N> __device__ inline void layerNorm(const LayerNormArgs &a) {
  for (i64 r = warp(); r < a.rows; r += warps()) {
    float v[N][4], sum = 0.0f, square = 0.0f;
#pragma unroll
    for (int i = 0; i < N; i++) {
      int j = 128 * i + 4 * lane();
      if (j < a.cols) {
        load4(v[i], a.x + r * a.xs + j);
        sum += (v[i][0] + v[i][1]) + (v[i][2] + v[i][3]);
      }
    }
    float mean = warpSum(sum) / a.cols;
#pragma unroll
    for (int i = 0; i < N; i++) {
      if (128 * i + 4 * lane() < a.cols) {
        for (int k = 0; k < 4; k++) {
          v[i][k] -= mean;
          square += v[i][k] * v[i][k];
        }
      }
    }
    float rstd = 1.0f / sqrtf(warpSum(square) / a.cols + a.eps);
    if (a.mean && lane() == 0) {
      a.mean[r] = mean;
      a.rstd[r] = rstd;
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
      int j = 128 * i + 4 * lane();
      if (j < a.cols) {
        float gain[4], bias[4];
        load4(gain, a.gain + j);
        load4(bias, a.bias + j);
        for (int k = 0; k < 4; k++) v[i][k] = v[i][k] * rstd * gain[k] + bias[k];
        store4((Y *)a.y + r * a.ys + j, v[i]);
      }
    }
  }
}

// layerNormBackward: with x̂ = (x − mean)·rstd and g = dy·gain,
// dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), set or added; dx may be dy when set.
// partial (gridDim.x, 2, cols) is set to the sums of dy·x̂ and of dy over the rows of
// a block of 4 warps; fold adds them to the gradients.
template <class Y, int N>
__device__ inline void layerNormBackward(const LayerNormBackwardArgs &a) {
  __shared__ float part[4][128];
  float dgain[N][4], dbias[N][4];
#pragma unroll
  for (int i = 0; i < N; i++)
    for (int k = 0; k < 4; k++) dgain[i][k] = dbias[i][k] = 0.0f;
  for (i64 r = warp(); r < a.rows; r += warps()) {
    float g[N][4], x[N][4], meanG = 0.0f, meanGX = 0.0f;
    float mean = a.mean[r], rstd = a.rstd[r];
    i64 at = r * a.cols + 4 * lane();
#pragma unroll
    for (int i = 0; i < N; i++) {
      int j = 128 * i + 4 * lane();
      if (j < a.cols) {
        float gain[4];
        load4(g[i], (const Y *)a.dy + at + 128 * i);
        load4(x[i], a.x + at + 128 * i);
        load4(gain, a.gain + j);
        for (int k = 0; k < 4; k++) {
          x[i][k] = (x[i][k] - mean) * rstd;
          dgain[i][k] += g[i][k] * x[i][k];
          dbias[i][k] += g[i][k];
          g[i][k] *= gain[k];
          meanG += g[i][k];
          meanGX += g[i][k] * x[i][k];
        }
      }
    }
    meanG = warpSum(meanG) / a.cols;
    meanGX = warpSum(meanGX) / a.cols;
#pragma unroll
    for (int i = 0; i < N; i++) {
      int j = 128 * i + 4 * lane();
      if (j < a.cols) {
        float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        if (a.add) load4(d, a.dx + at + 128 * i);
        for (int k = 0; k < 4; k++) d[k] += rstd * (g[i][k] - meanG - x[i][k] * meanGX);
        store4(a.dx + at + 128 * i, d);
      }
    }
  }
  int w = threadIdx.x >> 5;
#pragma unroll
  for (int i = 0; i < 2 * N; i++) { // 128 columns of dgain, then of dbias
    const float *sum = i & 1 ? dbias[i >> 1] : dgain[i >> 1];
    __syncthreads();
    for (int k = 0; k < 4; k++) part[w][4 * lane() + k] = sum[k];
    __syncthreads();
    int j = 128 * (i >> 1) + threadIdx.x;
    if (j < a.cols) {
      a.partial[((i64)blockIdx.x * 2 + (i & 1)) * a.cols + j] =
          (part[0][threadIdx.x] + part[1][threadIdx.x]) +
          (part[2][threadIdx.x] + part[3][threadIdx.x]);
    }
  }
}

#define LAYERNORM(n)                                                                     \
  KERNEL(layernorm_f##n, LayerNormArgs, layerNorm<float COMMA n>)                        \
  KERNEL(layernorm_h##n, LayerNormArgs, layerNorm<bf16 COMMA n>)                         \
  extern "C" __global__ void __launch_bounds__(128)                                      \
      layernorm_backward_f##n(const LayerNormBackwardArgs a) { layerNormBackward<float, n>(a); } \
  extern "C" __global__ void __launch_bounds__(128)                                      \
      layernorm_backward_h##n(const LayerNormBackwardArgs a) { layerNormBackward<bf16, n>(a); }
LAYERNORM(1)
LAYERNORM(2)
LAYERNORM(3)
LAYERNORM(4)
LAYERNORM(6)
LAYERNORM(8)
)cuda"
