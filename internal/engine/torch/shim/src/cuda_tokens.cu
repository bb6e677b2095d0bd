R"cuda(
// Patches and token sequences.

// patchifyVideo gives a token (a row of y) to a block. Its values are ordered
// channel, frame, row, column. Bytes (B, T, H, W, C) are scaled to [0, 1] and
// normalised; floats (B, C, T, H, W) are taken as they are.
template <class Y, int Bytes> __device__ inline void patchifyVideo(const VideoArgs &a) {
  int nh = a.h / a.p, nw = a.w / a.p, nt = a.t / a.pt, pp = a.p * a.p;
  i64 token = blockIdx.x;
  int col = token % nw, row = token / nw % nh, time = token / ((i64)nw * nh) % nt;
  i64 b = token / ((i64)nw * nh * nt);
  int size = a.c * a.pt * pp;
  for (int i = threadIdx.x; i < size; i += blockDim.x) {
    int c = i / (pp * a.pt), t = time * a.pt + i / pp % a.pt;
    int h = row * a.p + i / a.p % a.p, w = col * a.p + i % a.p;
    float v;
    if (Bytes) {
      v = ((const unsigned char *)a.x)[(((b * a.t + t) * a.h + h) * a.w + w) * a.c + c];
      v = (v / 255.0f - a.mean[c]) / a.std[c];
    } else {
      v = ((const float *)a.x)[(((b * a.c + c) * a.t + t) * a.h + h) * a.w + w];
    }
    store((Y *)a.y + token * size + i, v);
  }
}

// patchifyAudio likewise: band, frame.
template <class Y> __device__ inline void patchifyAudio(const AudioArgs &a) {
  int nf = a.bands / a.pf, nt = a.frames / a.pt, size = a.pf * a.pt;
  i64 token = blockIdx.x, b = token / ((i64)nf * nt);
  int t = token % nt, f = token / nt % nf;
  for (int i = threadIdx.x; i < size; i += blockDim.x) {
    float v = a.x[(b * a.bands + f * a.pf + i / a.pt) * a.frames + t * a.pt + i % a.pt];
    store((Y *)a.y + token * size + i, v);
  }
}

// assemble gives a token of y (batch, n, d) to a block.
template <class X> __device__ inline void assemble(const AssembleArgs &a) {
  i64 b = blockIdx.x / a.n;
  int token = blockIdx.x % a.n;
  float *y = a.y + (i64)blockIdx.x * a.d;
  if (token == 0) {
    for (int j = threadIdx.x; j < a.d; j += blockDim.x) y[j] = a.cls[j];
    return;
  }
  const Modality &m = a.m[a.m[1].n1 > 0 && token >= a.m[1].start];
  int i = token - m.start;
  const float *u = m.first + (i64)(i / m.n2) * a.d, *v = m.second + (i64)(i % m.n2) * a.d;
  const X *x = m.x ? (const X *)m.x + (b * m.n1 * m.n2 + i) * a.d : 0;
  for (int j = threadIdx.x; j < a.d; j += blockDim.x) {
    float s = x ? load(x + j) : 0.0f;
    s = s + m.bias[j] + u[j] + v[j];
    y[j] = m.type ? s + m.type[j] : s;
  }
}

// assembleSums sets sums (n, d) to those of dy (batch, n, d) over the batch, and the
// gradients of the products to their part of dy.
template <class X> __device__ inline void assembleSums(const AssembleBackwardArgs &a) {
  int token = blockIdx.x;
  int k = a.m[1].n1 > 0 && token >= a.m[1].start;
  const ModalityGradient &m = a.m[k];
  i64 n = (i64)m.n1 * m.n2;
  for (int j = threadIdx.x; j < a.d; j += blockDim.x) {
    float sum = 0.0f;
    for (i64 b = 0; b < a.batch; b++) {
      float v = a.dy[(b * a.n + token) * a.d + j];
      sum += v;
      if (token > 0 && m.dx) store((X *)m.dx + (b * n + token - m.start) * a.d + j, v);
    }
    a.sums[(i64)token * a.d + j] = sum;
  }
}

// assemble_positions: block u < n1 of modality blockIdx.y adds to dfirst (u) and sets
// inner (u) to the sum over the second position, the n2 others add to dsecond.
extern "C" __global__ void __launch_bounds__(256) assemble_positions(
    const AssembleBackwardArgs a) {
  const ModalityGradient &m = a.m[blockIdx.y];
  int u = blockIdx.x;
  if (u >= m.n1 + m.n2) return;
  bool first = u < m.n1;
  const float *s = a.sums + ((i64)m.start + (first ? u * m.n2 : u - m.n1)) * a.d;
  i64 count = first ? m.n2 : m.n1, step = first ? a.d : (i64)m.n2 * a.d;
  float *out = first ? m.dfirst + (i64)u * a.d : m.dsecond + (i64)(u - m.n1) * a.d;
  for (int j = threadIdx.x; j < a.d; j += blockDim.x) {
    float sum = 0.0f;
    for (i64 i = 0; i < count; i++) sum += s[i * step + j];
    out[j] += sum;
    if (first) m.inner[(i64)u * a.d + j] = sum;
  }
}

// assemble_vectors adds to the gradients of CLS, biases and types.
extern "C" __global__ void __launch_bounds__(256) assemble_vectors(
    const AssembleBackwardArgs a) {
  int j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= a.d) return;
  if (blockIdx.y == 2) {
    a.dcls[j] += a.sums[j];
    return;
  }
  const ModalityGradient &m = a.m[blockIdx.y];
  if (m.n1 == 0) return;
  float sum = 0.0f;
  for (int u = 0; u < m.n1; u++) sum += m.inner[(i64)u * a.d + j];
  m.dbias[j] += sum;
  if (m.dtype) m.dtype[j] += sum;
}

KERNEL(video_fb, VideoArgs, patchifyVideo<float COMMA 1>)
KERNEL(video_hb, VideoArgs, patchifyVideo<bf16 COMMA 1>)
KERNEL(video_ff, VideoArgs, patchifyVideo<float COMMA 0>)
KERNEL(video_hf, VideoArgs, patchifyVideo<bf16 COMMA 0>)
KERNEL(audio_f, AudioArgs, patchifyAudio<float>)
KERNEL(audio_h, AudioArgs, patchifyAudio<bf16>)
KERNEL(assemble_f, AssembleArgs, assemble<float>)
KERNEL(assemble_h, AssembleArgs, assemble<bf16>)
KERNEL(assemble_sums_f, AssembleBackwardArgs, assembleSums<float>)
KERNEL(assemble_sums_h, AssembleBackwardArgs, assembleSums<bf16>)
)cuda"
