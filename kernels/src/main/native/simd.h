/* One vector type for the row and attention kernels: 16 lanes with AVX-512, 8 with AVX2 and in
 * portable C, where the compiler maps the vector extension to whatever the machine has.
 *
 * Lanes never mix except in vf_sum and vf_largest, whose order is fixed, so a result depends on the
 * instruction set but never on how many rows are computed at once. */
#ifndef TESSERA_SIMD_H
#define TESSERA_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "gemm.h"

/* How wide: 3 for AVX-512, 2 for AVX2 with FMA and F16C, 0 for portable C. With TS_EMULATE_AVX512 the
 * 16 lanes are computed by AVX2, with the very same results. */
#if defined(TS_EMULATE_AVX512) || defined(__AVX512F__)
#define TS_LEVEL 3
#elif defined(__AVX2__)
#define TS_LEVEL 2
#else
#define TS_LEVEL 0
#endif

#if TS_LEVEL >= 2
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#if TS_LEVEL == 3
enum { LANES = 16 };
#define VECTOR_BYTES 64
#else
enum { LANES = 8 };
#define VECTOR_BYTES 32
#endif

typedef float vf __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t vh __attribute__((vector_size(VECTOR_BYTES / 2)));

INLINE vf vf_load(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE void vf_store(float *p, vf v) { memcpy(p, &v, sizeof v); }

INLINE vf vf_select(vi mask, vf yes, vf no) {
  return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

#if TS_LEVEL == 3 && !defined(TS_EMULATE_AVX512)

INLINE vf vf_all(float x) { return (vf)_mm512_set1_ps(x); }
INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
INLINE vf vf_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vf vf_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vf vf_load_half(const uint16_t *p) {
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
INLINE void vf_store_half(uint16_t *p, vf v) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
}

#elif TS_LEVEL == 3

typedef union {
  vf all;
  __m256 half[2];
} vf_halves;

INLINE vf vf_all(float x) {
  vf_halves r;
  r.half[0] = r.half[1] = _mm256_set1_ps(x);
  return r.all;
}
#define TS_BY_HALVES(name, ...)                     \
  vf_halves r;                                      \
  UNROLL for (int i = 0; i < 2; i++) r.half[i] = name(__VA_ARGS__); \
  return r.all;
INLINE vf vf_fma(vf a, vf b, vf c) {
  vf_halves x = {a}, y = {b}, z = {c};
  TS_BY_HALVES(_mm256_fmadd_ps, x.half[i], y.half[i], z.half[i])
}
INLINE vf vf_max(vf a, vf b) {
  vf_halves x = {a}, y = {b};
  TS_BY_HALVES(_mm256_max_ps, x.half[i], y.half[i])
}
INLINE vf vf_min(vf a, vf b) {
  vf_halves x = {a}, y = {b};
  TS_BY_HALVES(_mm256_min_ps, x.half[i], y.half[i])
}
INLINE vf vf_load_half(const uint16_t *p) {
  TS_BY_HALVES(_mm256_cvtph_ps, _mm_loadu_si128((const __m128i *)(p + 8 * i)))
}
INLINE void vf_store_half(uint16_t *p, vf v) {
  vf_halves x = {v};
  for (int i = 0; i < 2; i++) {
    _mm_storeu_si128((__m128i *)(p + 8 * i),
                     _mm256_cvtps_ph(x.half[i], _MM_FROUND_TO_NEAREST_INT));
  }
}

#elif TS_LEVEL == 2

INLINE vf vf_all(float x) { return (vf)_mm256_set1_ps(x); }
INLINE vf vf_fma(vf a, vf b, vf c) {
  return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
INLINE vf vf_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vf vf_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vf vf_load_half(const uint16_t *p) {
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
INLINE void vf_store_half(uint16_t *p, vf v) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
}

#else

INLINE vf vf_all(float x) { return (vf){x, x, x, x, x, x, x, x}; }
INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
INLINE vf vf_max(vf a, vf b) { return vf_select(a > b, a, b); }
INLINE vf vf_min(vf a, vf b) { return vf_select(a < b, a, b); }

INLINE vf vf_load_half(const uint16_t *p) {
  vh h;
  memcpy(&h, p, sizeof h);
  vi bits = __builtin_convertvector(h, vi);
  vi infinite = (bits & 0x7c00) == 0x7c00;
  /* The exponent is rebased by a multiplication, which also normalises the subnormals. */
  vf magnitude = (vf)((bits & 0x7fff) << 13) * 0x1p112f;
  return (vf)((vi)magnitude | (infinite & 0x7f800000) | ((bits & 0x8000) << 16));
}

INLINE void vf_store_half(uint16_t *p, vf v) {
  vi bits = (vi)v, size = bits & 0x7fffffff;
  vi normal = (size + 0xfff + ((size >> 13) & 1) - 0x38000000) >> 13;
  /* One half has the subnormals' unit as its last place: the addition rounds for us. */
  vi subnormal = (vi)((vf)size + 0.5f) - 0x3f000000;
  vi small = size < 0x38800000, large = size >= 0x47800000, nan = size > 0x7f800000;
  vi half = (small & subnormal) | (~small & normal);
  half = (large & 0x7c00) | (~large & half);
  half = (nan & 0x7e00) | (~nan & half);
  vh h = __builtin_convertvector(half | ((bits >> 16) & 0x8000), vh);
  memcpy(p, &h, sizeof h);
}

#endif

/* LANES bytes with a sign as floats; compilers take a conversion of vectors apart. */
INLINE vf vf_load_bytes(const uint8_t *p) {
#if TS_LEVEL == 3 && !defined(TS_EMULATE_AVX512)
  return (vf)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
#elif TS_LEVEL >= 2
  vf v;
  for (int i = 0; i < LANES; i += 8) {
    __m256i level = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + i)));
    __m256 part = _mm256_cvtepi32_ps(level);
    memcpy((char *)&v + 4 * i, &part, sizeof part);
  }
  return v;
#else
  vf v;
  for (int i = 0; i < LANES; i++) v[i] = (int8_t)p[i];
  return v;
#endif
}

INLINE float ts_half(const uint8_t *p) {
  uint16_t half[LANES] = {0};
  memcpy(half, p, sizeof *half);
#if TS_LEVEL >= 2
  return _cvtsh_ss(half[0]);
#else
  return vf_load_half(half)[0];
#endif
}

/* `count` is a multiple of LANES. */
INLINE void vf_fill(float *to, int count, float x) {
  for (int i = 0; i < count; i += LANES) vf_store(to + i, vf_all(x));
}

/* Sum of the lanes: the upper half onto the lower, then quarters, and so on. */
#if TS_LEVEL >= 2
INLINE __m256 fold_sum(vf v) {
#if TS_LEVEL == 3
  __m256 half[2];
  memcpy(half, &v, sizeof half);
  return _mm256_add_ps(half[0], half[1]);
#else
  return (__m256)v;
#endif
}

INLINE __m256 fold_max(vf v) {
#if TS_LEVEL == 3
  __m256 half[2];
  memcpy(half, &v, sizeof half);
  return _mm256_max_ps(half[0], half[1]);
#else
  return (__m256)v;
#endif
}

INLINE float vf_sum(vf v) {
  __m256 a = fold_sum(v);
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

INLINE float vf_largest(vf v) {
  __m256 a = fold_max(v);
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}
#else
INLINE float vf_sum(vf v) {
  float x[LANES];
  vf_store(x, v);
  for (int width = LANES / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; i++) x[i] += x[i + width];
  }
  return x[0];
}

INLINE float vf_largest(vf v) {
  float largest = v[0];
  for (int i = 1; i < LANES; i++) largest = v[i] > largest ? v[i] : largest;
  return largest;
}
#endif

/* The same of up to FOLD_ROWS vectors, in the same order and at once: one after the other, each waits
 * for itself. */
enum { FOLD_ROWS = 4 };

/* CASE(R) for row r and the R - 1 behind it, until all rows are done. */
#define EACH_FOLD(rows, CASE)                       \
  for (int64_t r = 0; r < (rows); r += FOLD_ROWS) { \
    switch ((rows) - r) {                           \
      case 1: CASE(1); break;                       \
      case 2: CASE(2); break;                       \
      case 3: CASE(3); break;                       \
      default: CASE(FOLD_ROWS); break;              \
    }                                               \
  }

#if TS_LEVEL >= 2
#define TS_FOLD_ROWS(fold, add)                                                                 \
  __m128 quad[FOLD_ROWS];                                                                       \
  UNROLL for (int r = 0; r < FOLD_ROWS; r++) {                                                  \
    __m256 a = fold(v[r < R ? r : 0]);                                                          \
    quad[r] = add(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));                      \
  }                                                                                             \
  __m128 low = add(_mm_unpacklo_ps(quad[0], quad[1]), _mm_unpackhi_ps(quad[0], quad[1]));       \
  __m128 high = add(_mm_unpacklo_ps(quad[2], quad[3]), _mm_unpackhi_ps(quad[2], quad[3]));      \
  __m128 all = add(_mm_movelh_ps(low, high), _mm_movehl_ps(high, low));                         \
  memcpy(out, &all, R * sizeof *out);
INLINE void vf_sums(const int R, const vf *v, float *out) { TS_FOLD_ROWS(fold_sum, _mm_add_ps) }
INLINE void vf_largests(const int R, const vf *v, float *out) { TS_FOLD_ROWS(fold_max, _mm_max_ps) }
#else
INLINE void vf_sums(const int R, const vf *v, float *out) {
  for (int r = 0; r < R; r++) out[r] = vf_sum(v[r]);
}
INLINE void vf_largests(const int R, const vf *v, float *out) {
  for (int r = 0; r < R; r++) out[r] = vf_largest(v[r]);
}
#endif

INLINE vi vi_lanes(void) {
#if TS_LEVEL == 3
  return (vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
  return (vi){0, 1, 2, 3, 4, 5, 6, 7};
#endif
}

/* e^x to about 1 ulp: x = n ln 2 + r with |r| <= ln 2 / 2, then a polynomial of degree 6 in r
 * (coefficients of Cephes' expf). Exactly 1 at 0 and exactly 0 below -87, so that masked scores and
 * empty partial results take no part in a sum; above 88 it stays at e^88. */
INLINE vf vf_exp(vf x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
  vi vanishes = x < -87.0f;
  /* In this order of operands NaN stays NaN. */
  x = vf_min(vf_all(88.0f), vf_max(vf_all(-87.0f), x));
  vf t = vf_fma(x, vf_all(1.44269504f), vf_all(magic));
  vf n = t - magic;
  vf r = vf_fma(n, vf_all(-0.693359375f), x);
  r = vf_fma(n, vf_all(2.12194440e-4f), r);
  vf p = vf_all(1.9875691500e-4f);
  p = vf_fma(p, r, vf_all(1.3981999507e-3f));
  p = vf_fma(p, r, vf_all(8.3334519073e-3f));
  p = vf_fma(p, r, vf_all(4.1665795894e-2f));
  p = vf_fma(p, r, vf_all(1.6666665459e-1f));
  p = vf_fma(p, r, vf_all(5.0000001201e-1f));
  p = vf_fma(p, r * r, r + 1.0f);
  /* The low bits of t hold n. Adding n to the exponent cannot leave the normal range here. */
  vi scaled = (vi)p + ((vi)t << 23);
  return (vf)(scaled & ~vanishes);
}

/* 2^x for x <= 0, to 3 ulp: a polynomial of degree 5, the best in relative error over [-1/2, 1/2] of
 * those that are 1 at 0. Exactly 1 at 0 and exactly 0 from -127 down, where nothing is left of the
 * exponent; NaN stays NaN. */
INLINE vf vf_exp2_falling(vf x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23 */
  x = vf_max(vf_all(-127), x);     /* in this order NaN stays NaN */
  vf t = x + magic;
  vf r = x - (t - magic);
  vf p = vf_fma(r, vf_all(1.326472731e-3f), vf_all(9.671512991e-3f));
  p = vf_fma(p, r, vf_all(5.550733581e-2f));
  p = vf_fma(p, r, vf_all(2.402224243e-1f));
  p = vf_fma(p, r, vf_all(6.931470037e-1f));
  p = vf_fma(p, r, vf_all(1));
  return (vf)((vi)p + ((vi)t << 23));
}

/* tanh by way of e^2x; absolute error about 1e-7. */
INLINE vf vf_tanh(vf x) { return 1.0f - 2.0f / (vf_exp(x + x) + 1.0f); }

INLINE float ts_exp1(float x) { return vf_exp(vf_all(x))[0]; }

#endif
