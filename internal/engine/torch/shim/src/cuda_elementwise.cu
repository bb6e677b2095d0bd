R"cuda(
// Dropout, what follows a matrix product, and the slope of the GELU. Operands are
// matrices with rows apart; a warp takes a row.

template <class Y, class X> __device__ inline void dropout(const DropoutArgs &a) {
  u64 key = a.mask.key_at ? *a.mask.key_at : a.mask.key;
  for (i64 r = warp(); r < a.rows; r += warps()) {
    u64 row = maskRow(a.mask, key, r);
    const X *x = (const X *)a.x + r * a.xs;
    Y *y = (Y *)a.y + r * a.ys;
    for (int j = 4 * lane(); j < a.cols; j += 128) {
      float v[4];
      loadN(v, x + j, a.cols - j, a.vec);
      for (int k = 0; k < 4; k++) v[k] = drop(v[k], a.mask, row, j + k);
      storeN(y + j, v, a.cols - j, a.vec);
    }
  }
}

// epilogue: v = t + bias; pre = v; v = gelu(v); y = drop(v) + residual, each part
// where asked. Every operand may be y or t itself.
template <class Y, class T> __device__ inline void epilogue(const EpilogueArgs &a) {
  u64 key = a.mask.key_at ? *a.mask.key_at : a.mask.key;
  for (i64 r = warp(); r < a.rows; r += warps()) {
    u64 row = a.mask.threshold ? maskRow(a.mask, key, r) : 0;
    for (int j = 4 * lane(); j < a.cols; j += 128) {
      float v[4], u[4];
      int n = a.cols - j;
      loadN(v, (const T *)a.t + r * a.ts + j, n, a.vec);
      if (a.bias) {
        loadN(u, a.bias + j, n, a.vec);
        for (int k = 0; k < 4; k++) v[k] += u[k];
      }
      if (a.pre) storeN((T *)a.pre + r * a.ps + j, v, n, a.vec);
      if (a.gelu) for (int k = 0; k < 4; k++) v[k] = gelu(v[k]);
      if (a.mask.threshold) for (int k = 0; k < 4; k++) v[k] = drop(v[k], a.mask, row, j + k);
      if (a.residual) {
        loadN(u, a.residual + r * a.rs + j, n, a.vec);
        for (int k = 0; k < 4; k++) v[k] += u[k];
      }
      storeN((Y *)a.y + r * a.ys + j, v, n, a.vec);
    }
  }
}

// slope: dx = t·gelu′(pre), or is added to; act = gelu(pre). act may be pre.
template <class D, class T> __device__ inline void slope(const SlopeArgs &a) {
  for (i64 r = warp(); r < a.rows; r += warps()) {
    for (int j = 4 * lane(); j < a.cols; j += 128) {
      float t[4], x[4], d[4], g[4];
      int n = a.cols - j;
      D *dx = (D *)a.dx + r * a.ds + j;
      loadN(t, (const T *)a.t + r * a.ts + j, n, a.vec);
      loadN(x, (const T *)a.pre + r * a.ps + j, n, a.vec);
      if (a.add) loadN(d, dx, n, a.vec);
      for (int k = 0; k < 4; k++) {
        float s = t[k] * geluSlope(x[k]);
        d[k] = a.add ? d[k] + s : s;
        g[k] = gelu(x[k]);
      }
      storeN(dx, d, n, a.vec);
      if (a.act) storeN((T *)a.act + r * a.as + j, g, n, a.vec);
    }
  }
}

// columnSum sets partial (gridDim.y, cols) to sums over a share of the rows, 128
// columns a block: its 8 warps take every gridDim.y·8th row, then are summed in order.
template <class X> __device__ inline void columnSum(const ColumnSumArgs &a) {
  __shared__ float part[8][128];
  int w = threadIdx.x >> 5, j = blockIdx.x * 128 + 4 * lane();
  float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  if (j < a.cols) {
    for (i64 r = (i64)blockIdx.y * 8 + w; r < a.rows; r += (i64)gridDim.y * 8) {
      float v[4];
      loadN(v, (const X *)a.x + r * a.xs + j, a.cols - j, a.vec);
      for (int k = 0; k < 4; k++) sum[k] += v[k];
    }
  }
  for (int k = 0; k < 4; k++) part[w][4 * lane() + k] = sum[k];
  __syncthreads();
  j = blockIdx.x * 128 + threadIdx.x;
  if (threadIdx.x < 128 && j < a.cols) {
    float total = 0.0f;
    for (int k = 0; k < 8; k++) total += part[k][threadIdx.x];
    a.partial[(i64)blockIdx.y * a.cols + j] = total;
  }
}

// fold adds the sum over parts of partial (parts, cols), rows part_stride apart, to
// out (cols): 32 columns a block of 8 warps.
extern "C" __global__ void __launch_bounds__(256) fold(const FoldArgs a) {
  __shared__ float part[8][32];
  int w = threadIdx.x >> 5, j = blockIdx.x * 32 + lane();
  float sum = 0.0f;
  if (j < a.cols) {
    for (i64 r = w; r < a.parts; r += 8) sum += a.partial[r * a.part_stride + j];
  }
  part[w][lane()] = sum;
  __syncthreads();
  if (w == 0 && j < a.cols) {
    for (int k = 1; k < 8; k++) sum += part[k][lane()];
    a.out[j] += sum;
  }
}

// The letters behind a name are types: f float, h bf16; output first.
#define KERNEL(name, args, call) \
  extern "C" __global__ void __launch_bounds__(256) name(const args a) { call(a); }
#define COMMA ,
KERNEL(dropout_ff, DropoutArgs, dropout<float COMMA float>)
KERNEL(dropout_fh, DropoutArgs, dropout<float COMMA bf16>)
KERNEL(dropout_hf, DropoutArgs, dropout<bf16 COMMA float>)
KERNEL(dropout_hh, DropoutArgs, dropout<bf16 COMMA bf16>)
KERNEL(epilogue_ff, EpilogueArgs, epilogue<float COMMA float>)
KERNEL(epilogue_fh, EpilogueArgs, epilogue<float COMMA bf16>)
KERNEL(epilogue_hh, EpilogueArgs, epilogue<bf16 COMMA bf16>)
KERNEL(slope_ff, SlopeArgs, slope<float COMMA float>)
KERNEL(slope_fh, SlopeArgs, slope<float COMMA bf16>)
KERNEL(slope_hh, SlopeArgs, slope<bf16 COMMA bf16>)
KERNEL(column_sum_f, ColumnSumArgs, columnSum<float>)
KERNEL(column_sum_h, ColumnSumArgs, columnSum<bf16>)
)cuda"
