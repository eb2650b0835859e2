/* Products with F32, F16 and BF16 weights, and the quantisation of activations, with AVX2.
 *
 * Weights are widened on the way into the registers: one or two instructions for eight weights,
 * which up to six rows of activations share. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "gemm_parts.h"
#include "gemm_tiles.h"

enum { TILE_ROWS = 6, FEW = 2, LINE = 64, AHEAD = 8 * 1024 };

INLINE __m256 load_weights(const int kind, const uint8_t *at) {
  if (kind == TS_F32) return _mm256_loadu_ps((const float *)at);
  __m128i narrow = _mm_loadu_si128((const void *)at);
  if (kind == TS_F16) return _mm256_cvtph_ps(narrow);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}

/* `rows` rows of activations times 8 * `wide` outputs. */
INLINE void multiply(const int kind, const int rows, const int wide, const uint8_t *w,
                     int64_t inputs, const float *x, float *y, int64_t y_stride, int accumulate,
                     const uint8_t *end, const uint8_t *next) {
  const int width = kind == TS_F32 ? 4 : 2;
  __m256 sum[TILE_ROWS][4];
  UNROLL for (int m = 0; m < rows; m++) {
    UNROLL for (int n = 0; n < wide; n++) sum[m][n] = _mm256_setzero_ps();
  }
  for (int64_t k = 0; k < inputs; k++, w += TS_PANEL * width) {
    if (wide == 4) {
      const uint8_t *soon = w + AHEAD < end ? w + AHEAD : next ? next + (w + AHEAD - end) : w;
      UNROLL for (int i = 0; i < TS_PANEL * width; i += LINE) {
        _mm_prefetch((const char *)soon + i, _MM_HINT_T0);
      }
    }
    __m256 v[4];
    UNROLL for (int n = 0; n < wide; n++) v[n] = load_weights(kind, w + n * 8 * width);
    UNROLL for (int m = 0; m < rows; m++) {
      __m256 a = _mm256_set1_ps(x[m * inputs + k]);
      UNROLL for (int n = 0; n < wide; n++) sum[m][n] = _mm256_fmadd_ps(v[n], a, sum[m][n]);
    }
  }
  UNROLL for (int m = 0; m < rows; m++) {
    UNROLL for (int n = 0; n < wide; n++) {
      float *to = y + m * y_stride + n * 8;
      __m256 out = sum[m][n];
      _mm256_storeu_ps(to, accumulate ? _mm256_add_ps(out, _mm256_loadu_ps(to)) : out);
    }
  }
}

typedef void kernel(const uint8_t *w, int64_t inputs, const float *x, float *y, int64_t y_stride,
                    int accumulate, const uint8_t *end, const uint8_t *next);

#define KERNEL(kind, rows, wide)                                                           \
  static void kernel_##kind##_##rows##x##wide(                                             \
      const uint8_t *w, int64_t inputs, const float *x, float *y, int64_t y_stride,        \
      int accumulate, const uint8_t *end, const uint8_t *next) {                           \
    multiply(TS_##kind, rows, wide, w, inputs, x, y, y_stride, accumulate, end, next);     \
  }
#define KERNELS(kind)                                                                      \
  KERNEL(kind, 1, 4) KERNEL(kind, 2, 4) KERNEL(kind, 1, 2) KERNEL(kind, 2, 2)              \
  KERNEL(kind, 3, 2) KERNEL(kind, 4, 2) KERNEL(kind, 5, 2) KERNEL(kind, 6, 2)              \
  static kernel *const few_##kind[FEW] = {kernel_##kind##_1x4, kernel_##kind##_2x4};       \
  static kernel *const many_##kind[TILE_ROWS] = {kernel_##kind##_1x2, kernel_##kind##_2x2, \
                                                 kernel_##kind##_3x2, kernel_##kind##_4x2, \
                                                 kernel_##kind##_5x2, kernel_##kind##_6x2};

KERNELS(F32)
KERNELS(F16)
KERNELS(BF16)

void TS(float_panel)(const ts_matrix *w, const uint8_t *data, const ts_activations *a,
                     int64_t first, int64_t count, float *y, int64_t y_stride, int accumulate,
                     const uint8_t *next) {
  kernel *const *few = w->kind == TS_F32 ? few_F32 : w->kind == TS_F16 ? few_F16 : few_BF16;
  kernel *const *many = w->kind == TS_F32 ? many_F32 : w->kind == TS_F16 ? many_F16 : many_BF16;
  const uint8_t *end = data + w->panel_bytes;
  int64_t inputs = w->blocks * (int64_t)TS_BLOCK, half = w->kind == TS_F32 ? 64 : 32;
  const float *x = a->x + first * inputs;
  if (count <= FEW) {
    few[count - 1](data, inputs, x, y, y_stride, accumulate, end, next);
    return;
  }
  int64_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
  for (int h = 0; h < 2; h++) {
    for (int64_t i = 0, t = 0, rows; t < tiles; t++, i += rows) {
      rows = (count - i + tiles - t - 1) / (tiles - t); /* nearly equal parts */
      many[rows - 1](data + h * half, inputs, x + i * inputs, y + i * y_stride + h * 16, y_stride,
                     accumulate, end, next);
    }
  }
}

/* ---- activations ---- */

/* Below this the quotient 127 / absmax or the scale leaves the normal floats. */
static const float SMALLEST_ABSMAX = 0x1p-119f;

void TS(widen)(const int8_t *q, int64_t inputs, int16_t *to) {
  const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
  for (int64_t k = 0; k < inputs; k += 16) {
    __m128i v = _mm_shuffle_epi8(_mm_loadu_si128((const void *)(q + k)), order);
    _mm256_storeu_si256((void *)(to + k), _mm256_cvtepi8_epi16(v));
  }
}

static void quantise_block(const float *x, const ts_activations *a, int64_t at) {
  __m256 v[4];
  __m256i largest = _mm256_setzero_si256(); /* as bits: magnitudes in order, NaN above infinity */
  UNROLL for (int i = 0; i < 4; i++) {
    v[i] = _mm256_loadu_ps(x + 8 * i);
    __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(v[i]), _mm256_set1_epi32(0x7fffffff));
    largest = _mm256_max_epi32(largest, magnitude);
  }
  __m128i most =
      _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0x4e));
  most = _mm_max_epi32(most, _mm_shuffle_epi32(most, 0xb1));
  int32_t bits = _mm_cvtsi128_si32(most);
  float absmax = _mm_cvtss_f32(_mm_castsi128_ps(most));
  int64_t block = at * TS_BLOCK;
  if (bits >= 0x7f800000 || absmax < SMALLEST_ABSMAX) {
    a->scale[at] = a->total[at] = bits >= 0x7f800000 ? NAN : 0;
    memset(a->sum + 2 * at, 0, 4);
    memset(a->q + block, 0, TS_BLOCK);
    return;
  }
  float scale = absmax / 127;
  __m256 inverse = _mm256_set1_ps(127 / absmax);
  __m256i q[4];
  UNROLL for (int i = 0; i < 4; i++) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
  /* Packing works within 128-bit halves: inputs 0-3 8-11 16-19 24-27 | 4-7 12-15 20-23 28-31. */
  __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  packed = _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256((void *)(a->q + block), packed);
  /* Sums of eight bytes, biased to be unsigned, in four 64-bit lanes. */
  __m256i biased = _mm256_xor_si256(packed, _mm256_set1_epi8((char)0x80));
  __m256i eights = _mm256_sad_epu8(biased, _mm256_setzero_si256());
  __m128i low = _mm256_castsi256_si128(eights), high = _mm256_extracti128_si256(eights, 1);
  int first = _mm_cvtsi128_si32(low) + _mm_extract_epi32(low, 2) - 16 * 128;
  int second = _mm_cvtsi128_si32(high) + _mm_extract_epi32(high, 2) - 16 * 128;
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
  if (a->wide) TS(widen)(a->q + at * TS_BLOCK, blocks * TS_BLOCK, a->wide + at * TS_BLOCK);
}
