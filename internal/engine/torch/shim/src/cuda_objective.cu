R"cuda(
// The objective's kernels and the optimiser's. Knot q is lo + q·step.

// ecf: e (views, dirs, knots, 2) = means over rows of cos(t·p) and sin(t·p). Threads
// 0…31 of a block take directions, its 8 warps knots; cosines are not kept.
extern "C" __global__ void __launch_bounds__(256) ecf(const EcfArgs a) {
  i64 m = (i64)blockIdx.x * 32 + lane(), v = blockIdx.y;
  if (m >= a.dirs) return;
  const float *p = a.p + v * a.rows * a.dirs + m;
  for (int q = threadIdx.x >> 5; q < a.knots; q += 8) {
    float t = (float)(a.lo + q * a.step), c = 0.0f, s = 0.0f;
    for (i64 b = 0; b < a.rows; b++) {
      float sine, cosine;
      sincosf(t * p[b * a.dirs], &sine, &cosine);
      c += cosine;
      s += sine;
    }
    float *e = a.e + ((v * a.dirs + m) * a.knots + q) * 2;
    e[0] = c / a.rows;
    e[1] = s / a.rows;
  }
}

// ecf_backward: dp = Σ_q t·(cos(t·p)·dS − sin(t·p)·dC)/rows.
extern "C" __global__ void __launch_bounds__(256) ecf_backward(const EcfArgs a) {
  i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; // counts (view, row, direction)
  if (i >= a.views * a.rows * a.dirs) return;
  i64 v = i / (a.rows * a.dirs), m = i % a.dirs;
  const float *de = a.de + (v * a.dirs + m) * a.knots * 2;
  float p = a.p[i], sum = 0.0f;
  for (int q = 0; q < a.knots; q++) {
    float t = (float)(a.lo + q * a.step), sine, cosine;
    sincosf(t * p, &sine, &cosine);
    sum += t * (cosine * de[2 * q + 1] - sine * de[2 * q]);
  }
  a.dp[i] = sum / a.rows;
}

// sigreg: a block is a view. loss = Σ w·((C − φ)² + S²), with φ = exp(−t²/2) and
// w = scale·φ·interval, half of it at both ends; de = weight·w·2·(C − φ, S).
extern "C" __global__ void __launch_bounds__(256) sigreg(const SigregArgs a) {
  __shared__ double shared[256];
  i64 count = a.dirs * a.knots, base = blockIdx.x * count;
  double loss = 0.0;
  for (i64 i = threadIdx.x; i < count; i += 256) {
    int q = i % a.knots;
    float t = (float)(a.lo + q * a.step), phi = expf(-0.5f * t * t);
    float w = (float)(a.scale * a.interval) * phi;
    if (q == 0 || q == a.knots - 1) w *= 0.5f;
    float c = a.e[2 * (base + i)] - phi, s = a.e[2 * (base + i) + 1];
    loss += w * (c * c + s * s);
    if (a.de) {
      a.de[2 * (base + i)] = (float)a.weight * w * 2.0f * c;
      a.de[2 * (base + i) + 1] = (float)a.weight * w * 2.0f * s;
    }
  }
  loss = blockSum(loss, shared);
  if (threadIdx.x == 0) a.loss[blockIdx.x] = (float)loss;
}

// adam: g = scale·grad, m = β₁m + (1−β₁)g, v = β₂v + (1−β₂)g²,
// p = p·keep − rate·m/(√(v·unbias2) + eps).
extern "C" __global__ void __launch_bounds__(256) adam(const AdamArgs a) {
  float rate = a.rate, unbias2 = a.unbias2, keep = a.keep;
  if (a.step_at) {
    rate = a.step_at[0];
    unbias2 = a.step_at[1];
    keep = a.step_at[2];
  }
  float scale = a.scale ? *a.scale : 1.0f;
  i64 stride = (i64)gridDim.x * blockDim.x;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < a.n; i += stride) {
    float g = scale * a.g[i];
    float m = a.beta1 * a.m[i] + a.rest1 * g;
    float v = a.beta2 * a.v[i] + a.rest2 * g * g;
    a.m[i] = m;
    a.v[i] = v;
    a.p[i] = a.p[i] * keep - rate * m / (sqrtf(v * unbias2) + a.eps);
  }
}

// squares sets partial (gridDim.x) to sums of squares, squares_total out to their sum.
extern "C" __global__ void __launch_bounds__(256) squares(const NormArgs a) {
  __shared__ double shared[256];
  double sum = 0.0;
  i64 stride = (i64)gridDim.x * blockDim.x, i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (a.vec) {
    for (; i < a.n / 4; i += stride) {
      float v[4];
      load4(v, a.x + 4 * i);
      sum += (v[0] * v[0] + v[1] * v[1]) + (v[2] * v[2] + v[3] * v[3]);
    }
  } else {
    for (; i < a.n; i += stride) sum += a.x[i] * a.x[i];
  }
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) a.partial[blockIdx.x] = sum;
}
extern "C" __global__ void __launch_bounds__(256) squares_total(const NormArgs a) {
  __shared__ double shared[256];
  double sum = 0.0;
  for (int i = threadIdx.x; i < a.parts; i += 256) sum += a.partial[i];
  sum = blockSum(sum, shared);
  if (threadIdx.x == 0) *a.out = (float)sum;
}
)cuda"
