R"cuda(
// Types, rows and reductions that the kernels share. The kernels are plain CUDA C
// without headers: NVRTC compiles them when an engine opens, and the tests run the
// same text on the CPU.

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

struct bf16 { u16 bits; };

__device__ inline float load(const float *p) { return *p; }
__device__ inline float load(const bf16 *p) { return __uint_as_float((u32)p->bits << 16); }

// nearest returns the nearest bf16, ties to even. NaN stays NaN.
__device__ inline u32 nearest(float v) {
  u32 x = __float_as_uint(v);
  if ((x & 0x7FFFFFFFu) > 0x7F800000u) return (x >> 16) | 0x40u;
  return (x + 0x7FFFu + ((x >> 16) & 1u)) >> 16;
}

__device__ inline void store(float *p, float v) { *p = v; }
__device__ inline void store(bf16 *p, float v) { p->bits = (u16)nearest(v); }

// load4 and store4 move four neighbours at once; p is aligned to four elements.
__device__ inline void load4(float *v, const float *p) {
  float4 x = *(const float4 *)p;
  v[0] = x.x; v[1] = x.y; v[2] = x.z; v[3] = x.w;
}
__device__ inline void load4(float *v, const bf16 *p) {
  uint2 x = *(const uint2 *)p;
  v[0] = __uint_as_float(x.x << 16);
  v[1] = __uint_as_float(x.x & 0xFFFF0000u);
  v[2] = __uint_as_float(x.y << 16);
  v[3] = __uint_as_float(x.y & 0xFFFF0000u);
}
__device__ inline void store4(float *p, const float *v) {
  float4 x;
  x.x = v[0]; x.y = v[1]; x.z = v[2]; x.w = v[3];
  *(float4 *)p = x;
}
__device__ inline void store4(bf16 *p, const float *v) {
  uint2 x;
  x.x = nearest(v[0]) | nearest(v[1]) << 16;
  x.y = nearest(v[2]) | nearest(v[3]) << 16;
  *(uint2 *)p = x;
}

// loadN and storeN are those for the n ≤ 4 columns that are left from j on.
template <class T> __device__ inline void loadN(float *v, const T *p, int n, int vec) {
  if (vec) { load4(v, p); return; }
  for (int k = 0; k < 4; k++) v[k] = k < n ? load(p + k) : 0.0f;
}
template <class T> __device__ inline void storeN(T *p, const float *v, int n, int vec) {
  if (vec) { store4(p, v); return; }
  for (int k = 0; k < n && k < 4; k++) store(p + k, v[k]);
}

// Most kernels give a row to a warp: its lanes take four columns each, 128 a turn.
__device__ inline int lane() { return threadIdx.x & 31; }
__device__ inline i64 warp() { return (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5); }
__device__ inline i64 warps() { return (i64)gridDim.x * (blockDim.x >> 5); }

// warpSum returns the sum over the lanes of a warp, the same bits in all of them.
__device__ inline float warpSum(float v) {
  for (int m = 16; m > 0; m >>= 1) v += __shfl_xor_sync(0xFFFFFFFFu, v, m);
  return v;
}

// blockSum returns in thread 0 the sum over the 256 threads of a block, always in
// the same order.
__device__ inline double blockSum(double v, double *shared) {
  shared[threadIdx.x] = v;
  __syncthreads();
  for (int m = 128; m > 0; m >>= 1) {
    if ((int)threadIdx.x < m) shared[threadIdx.x] += shared[threadIdx.x + m];
    __syncthreads();
  }
  return shared[0];
}

// The exact GELU, x·Φ(x), and its slope Φ(x) + x·φ(x).
__device__ inline float normalCDF(float x) { return 0.5f * (1.0f + erff(x * 0.70710678118654752f)); }
__device__ inline float gelu(float x) { return x * normalCDF(x); }
__device__ inline float geluSlope(float x) {
  return normalCDF(x) + x * 0.39894228040143268f * expf(-0.5f * x * x);
}

// Dropout masks as package rng makes them: Key.Row, RowBits and Mask.Rows.
__device__ inline u32 mix32(u32 x) {
  x ^= x >> 16; x *= 0x7FEB352Du;
  x ^= x >> 15; x *= 0x846CA68Bu;
  return x ^ x >> 16;
}
__device__ inline u64 mix64(u64 x) {
  x ^= x >> 30; x *= 0xBF58476D1CE4E5B9ull;
  x ^= x >> 27; x *= 0x94D049BB133111EBull;
  return x ^ x >> 31;
}
__device__ inline u64 maskRow(const Mask &m, u64 key, i64 row) {
  i64 s = row / m.n, i = row - s * m.n;
  if (m.run > 0) s = s / m.run * m.stride + s % m.run;
  return mix64(key ^ (u64)((m.first + s) * m.tokens + m.offset + i) * 0x9E3779B97F4A7C15ull);
}
__device__ inline float drop(float v, const Mask &m, u64 row, u32 col) {
  u32 bits = mix32(mix32(col * 0x9E3779B9u + (u32)row) ^ (u32)(row >> 32));
  return bits >= m.threshold ? v * m.scale : 0.0f;
}
)cuda"
