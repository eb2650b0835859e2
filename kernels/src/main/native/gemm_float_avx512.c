/* Products with F32, F16 and BF16 weights, and the quantisation of activations, with AVX-512.
 *
 * Weights are widened on the way into the registers: one or two instructions for sixteen weights,
 * which up to eight rows of activations share. */
#include <math.h>
#include <string.h>
#ifdef TS_EMULATE_AVX512
#include "avx512_emulated.h"
#else
#include <immintrin.h>
#endif

#include "gemm_parts.h"
#include "gemm_tiles.h"

enum { TILE_ROWS = 8, LINE = 64, AHEAD = 8 * 1024 };

INLINE __m512 load_weights(const int kind, const uint8_t *at) {
  if (kind == TS_F32) return _mm512_loadu_ps(at);
  __m256i narrow = _mm256_loadu_si256((const void *)at);
  if (kind == TS_F16) return _mm512_cvtph_ps(narrow);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}

/* `soon` runs ahead of the weights by AHEAD, or lies in the next panel; null: nothing to fetch. */
INLINE void multiply(const int kind, const int rows, const uint8_t *w, int64_t inputs,
                     const float *x, float *y, int64_t y_stride, int accumulate,
                     const uint8_t *soon) {
  const int width = kind == TS_F32 ? 4 : 2;
  __m512 sum[TILE_ROWS][2];
  UNROLL for (int m = 0; m < rows; m++) sum[m][0] = sum[m][1] = _mm512_setzero_ps();
  for (int64_t k = 0; k < inputs; k++, w += TS_PANEL * width) {
    if (soon) {
      UNROLL for (int i = 0; i < TS_PANEL * width; i += LINE) {
        _mm_prefetch((const char *)soon + i, _MM_HINT_T0);
      }
      soon += TS_PANEL * width;
    }
    __m512 w0 = load_weights(kind, w), w1 = load_weights(kind, w + 16 * width);
    UNROLL for (int m = 0; m < rows; m++) {
      __m512 a = _mm512_set1_ps(x[m * inputs + k]);
      sum[m][0] = _mm512_fmadd_ps(w0, a, sum[m][0]);
      sum[m][1] = _mm512_fmadd_ps(w1, a, sum[m][1]);
    }
  }
  UNROLL for (int m = 0; m < rows; m++) {
    UNROLL for (int n = 0; n < 2; n++) {
      float *to = y + m * y_stride + n * 16;
      __m512 out = sum[m][n];
      _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(out, _mm512_loadu_ps(to)) : out);
    }
  }
}

typedef void kernel(const uint8_t *w, int64_t inputs, const float *x, float *y, int64_t y_stride,
                    int accumulate, const uint8_t *soon);

#define KERNEL(kind, rows)                                                                     \
  static void kernel_##kind##_##rows(const uint8_t *w, int64_t inputs, const float *x, float *y, \
                                     int64_t y_stride, int accumulate, const uint8_t *soon) {  \
    multiply(TS_##kind, rows, w, inputs, x, y, y_stride, accumulate, soon);                    \
  }
#define KERNELS(kind)                                                                          \
  KERNEL(kind, 1) KERNEL(kind, 2) KERNEL(kind, 3) KERNEL(kind, 4)                              \
  KERNEL(kind, 5) KERNEL(kind, 6) KERNEL(kind, 7) KERNEL(kind, 8)                              \
  static kernel *const kernels_##kind[TILE_ROWS] = {                                           \
      kernel_##kind##_1, kernel_##kind##_2, kernel_##kind##_3, kernel_##kind##_4,              \
      kernel_##kind##_5, kernel_##kind##_6, kernel_##kind##_7, kernel_##kind##_8};

KERNELS(F32)
KERNELS(F16)
KERNELS(BF16)

void TS(float_panel)(const ts_matrix *w, const uint8_t *data, const ts_activations *a,
                     int64_t first, int64_t count, float *y, int64_t y_stride, int accumulate,
                     const uint8_t *next) {
  kernel *const *k = w->kind == TS_F32 ? kernels_F32 : w->kind == TS_F16 ? kernels_F16 : kernels_BF16;
  int64_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS, inputs = w->blocks * (int64_t)TS_BLOCK;
  for (int64_t i = 0, t = 0, rows; t < tiles; t++, i += rows) {
    rows = (count - i + tiles - t - 1) / (tiles - t); /* nearly equal parts */
    const uint8_t *soon = t > 0 ? 0 : tiles > 1 ? next : data + AHEAD;
    k[rows - 1](data, inputs, a->x + (first + i) * inputs, y + i * y_stride, y_stride, accumulate,
                soon);
  }
}

/* ---- activations ---- */

/* Below this the quotient 127 / absmax or the scale leaves the normal floats. */
static const float SMALLEST_ABSMAX = 0x1p-119f;

static void quantise_block(const float *x, const ts_activations *a, int64_t at) {
  __m512 v0 = _mm512_loadu_ps(x), v1 = _mm512_loadu_ps(x + 16);
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  /* As bits: magnitudes in order, NaN above infinity. */
  __m512i largest = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(v0), magnitude),
                                     _mm512_and_si512(_mm512_castps_si512(v1), magnitude));
  int32_t bits = _mm512_reduce_max_epi32(largest);
  float absmax;
  memcpy(&absmax, &bits, 4);
  int8_t *q = a->q + at * TS_BLOCK;
  if (bits >= 0x7f800000 || absmax < SMALLEST_ABSMAX) {
    a->scale[at] = a->total[at] = bits >= 0x7f800000 ? NAN : 0;
    memset(a->sum + 2 * at, 0, 4);
    memset(q, 0, TS_BLOCK);
    return;
  }
  float scale = absmax / 127;
  __m512 inverse = _mm512_set1_ps(127 / absmax);
  __m512i q0 = _mm512_cvtps_epi32(_mm512_mul_ps(v0, inverse));
  __m512i q1 = _mm512_cvtps_epi32(_mm512_mul_ps(v1, inverse));
  _mm_storeu_si128((void *)q, _mm512_cvtepi32_epi8(q0));
  _mm_storeu_si128((void *)(q + 16), _mm512_cvtepi32_epi8(q1));
  int first = _mm512_reduce_add_epi32(q0), second = _mm512_reduce_add_epi32(q1);
  a->sum[2 * at] = (int16_t)first;
  a->sum[2 * at + 1] = (int16_t)second;
  a->scale[at] = scale;
  a->total[at] = scale * (float)(first + second);
}

void TS(quantise)(const float *x, int64_t columns, int32_t kind, int64_t row, int64_t first_block,
                  const ts_activations *a) {
  int64_t blocks = (columns + TS_BLOCK - 1) / TS_BLOCK, at = row * a->blocks + first_block;
  if (ts_kind_is_float(kind)) {
    float *to = a->x + at * TS_BLOCK;
    memcpy(to, x, (size_t)columns * sizeof *x);
    memset(to + columns, 0, (size_t)(blocks * TS_BLOCK - columns) * sizeof *x);
    return;
  }
  for (int64_t b = 0; b < columns / TS_BLOCK; b++) quantise_block(x + b * TS_BLOCK, a, at + b);
  if (columns % TS_BLOCK != 0) {
    float last[TS_BLOCK] = {0};
    memcpy(last, x + columns / TS_BLOCK * TS_BLOCK, (size_t)(columns % TS_BLOCK) * sizeof *x);
    quantise_block(last, a, at + blocks - 1);
  }
}
