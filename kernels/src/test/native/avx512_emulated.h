/* AVX-512 intrinsics written out as loops, so that the AVX-512 kernels are tested on any machine.
 *
 * Include it instead of <immintrin.h>. Each function does exactly what the instruction does, bit by
 * bit, in the default rounding mode. Only what the kernels use is here. */
#ifndef TESSERA_AVX512_EMULATED_H
#define TESSERA_AVX512_EMULATED_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  float f[16];
} __m512;
typedef struct {
  int32_t i[16];
} __m512i;
typedef struct {
  int32_t i[8];
} __m256i;
typedef struct {
  int8_t b[16];
} __m128i;

#define EMULATED __attribute__((unused)) static inline
#define EACH(n) for (int n = 0; n < 16; n++)

enum { _MM_HINT_T0 = 3, _MM_HINT_T1 = 2 };
EMULATED void _mm_prefetch(const char *at, int hint) { (void)at, (void)hint; }

/* ---- memory ---- */

EMULATED __m512i _mm512_loadu_si512(const void *at) {
  __m512i out;
  memcpy(&out, at, sizeof out);
  return out;
}
EMULATED __m512 _mm512_loadu_ps(const void *at) {
  __m512 out;
  memcpy(&out, at, sizeof out);
  return out;
}
EMULATED __m256i _mm256_loadu_si256(const void *at) {
  __m256i out;
  memcpy(&out, at, sizeof out);
  return out;
}
EMULATED __m128i _mm_loadu_si128(const void *at) {
  __m128i out;
  memcpy(&out, at, sizeof out);
  return out;
}
EMULATED void _mm512_storeu_si512(void *at, __m512i v) { memcpy(at, &v, sizeof v); }
EMULATED void _mm512_storeu_ps(void *at, __m512 v) { memcpy(at, &v, sizeof v); }
EMULATED void _mm_storeu_si128(void *at, __m128i v) { memcpy(at, &v, sizeof v); }

/* ---- constants and casts ---- */

EMULATED __m512i _mm512_setzero_si512(void) { return (__m512i){{0}}; }
EMULATED __m512 _mm512_setzero_ps(void) { return (__m512){{0}}; }
EMULATED __m512i _mm512_set1_epi32(int32_t v) {
  __m512i out;
  EACH(n) out.i[n] = v;
  return out;
}
EMULATED __m512i _mm512_set1_epi8(char v) {
  __m512i out;
  memset(&out, v, sizeof out);
  return out;
}
EMULATED __m512 _mm512_set1_ps(float v) {
  __m512 out;
  EACH(n) out.f[n] = v;
  return out;
}
EMULATED __m512i _mm512_castps_si512(__m512 v) {
  __m512i out;
  memcpy(&out, &v, sizeof out);
  return out;
}
EMULATED __m512 _mm512_castsi512_ps(__m512i v) {
  __m512 out;
  memcpy(&out, &v, sizeof out);
  return out;
}

/* ---- integers ---- */

EMULATED __m512i _mm512_and_si512(__m512i a, __m512i b) {
  EACH(n) a.i[n] &= b.i[n];
  return a;
}
EMULATED __m512i _mm512_or_si512(__m512i a, __m512i b) {
  EACH(n) a.i[n] |= b.i[n];
  return a;
}
EMULATED __m512i _mm512_max_epi32(__m512i a, __m512i b) {
  EACH(n) a.i[n] = a.i[n] > b.i[n] ? a.i[n] : b.i[n];
  return a;
}
EMULATED __m512i _mm512_slli_epi32(__m512i v, unsigned count) {
  EACH(n) v.i[n] = count > 31 ? 0 : (int32_t)((uint32_t)v.i[n] << count);
  return v;
}
EMULATED __m512i _mm512_slli_epi16(__m512i v, unsigned count) {
  uint16_t w[32];
  memcpy(w, &v, sizeof w);
  for (int n = 0; n < 32; n++) w[n] = count > 15 ? 0 : (uint16_t)(w[n] << count);
  memcpy(&v, w, sizeof w);
  return v;
}
EMULATED __m512i _mm512_srli_epi16(__m512i v, unsigned count) {
  uint16_t w[32];
  memcpy(w, &v, sizeof w);
  for (int n = 0; n < 32; n++) w[n] = count > 15 ? 0 : (uint16_t)(w[n] >> count);
  memcpy(&v, w, sizeof w);
  return v;
}
/* vpmaddwd: neighbours of 16 signed bits, multiplied and added. */
EMULATED __m512i _mm512_madd_epi16(__m512i a, __m512i b) {
  int16_t x[32], y[32];
  memcpy(x, &a, sizeof x);
  memcpy(y, &b, sizeof y);
  EACH(n) a.i[n] = (int32_t)((uint32_t)(x[2 * n] * y[2 * n]) + (uint32_t)(x[2 * n + 1] * y[2 * n + 1]));
  return a;
}
/* vpdpbusd: four unsigned bytes of `u` times four signed ones of `s`, added to the lane, wrapping. */
EMULATED __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i u, __m512i s) {
  uint8_t x[64];
  int8_t y[64];
  memcpy(x, &u, sizeof x);
  memcpy(y, &s, sizeof y);
  EACH(n) {
    uint32_t lane = (uint32_t)sum.i[n];
    for (int k = 4 * n; k < 4 * n + 4; k++) lane += (uint32_t)(x[k] * y[k]);
    sum.i[n] = (int32_t)lane;
  }
  return sum;
}
EMULATED int32_t _mm512_reduce_max_epi32(__m512i v) {
  int32_t out = v.i[0];
  EACH(n) out = v.i[n] > out ? v.i[n] : out;
  return out;
}
EMULATED int32_t _mm512_reduce_add_epi32(__m512i v) {
  uint32_t out = 0;
  EACH(n) out += (uint32_t)v.i[n];
  return (int32_t)out;
}

/* ---- conversions ---- */

EMULATED __m512i _mm512_cvtepu8_epi32(__m128i v) {
  __m512i out;
  EACH(n) out.i[n] = (uint8_t)v.b[n];
  return out;
}
EMULATED __m512i _mm512_cvtepi8_epi32(__m128i v) {
  __m512i out;
  EACH(n) out.i[n] = v.b[n];
  return out;
}
EMULATED __m512i _mm512_cvtepu16_epi32(__m256i v) {
  uint16_t w[16];
  __m512i out;
  memcpy(w, &v, sizeof w);
  EACH(n) out.i[n] = w[n];
  return out;
}
EMULATED __m128i _mm512_cvtepi32_epi8(__m512i v) {
  __m128i out;
  EACH(n) out.b[n] = (int8_t)(uint8_t)v.i[n];
  return out;
}
EMULATED __m512 _mm512_cvtepi32_ps(__m512i v) {
  __m512 out;
  EACH(n) out.f[n] = (float)v.i[n];
  return out;
}
/* To the nearest integer, ties to even; what does not fit becomes the smallest integer. */
EMULATED __m512i _mm512_cvtps_epi32(__m512 v) {
  __m512i out;
  EACH(n) {
    float rounded = nearbyintf(v.f[n]);
    out.i[n] = rounded >= -0x1p31f && rounded < 0x1p31f ? (int32_t)rounded : INT32_MIN;
  }
  return out;
}
EMULATED __m512 _mm512_cvtph_ps(__m256i v) {
  uint16_t half[16];
  __m512 out;
  memcpy(half, &v, sizeof half);
  EACH(n) {
    int exponent = half[n] >> 10 & 31, fraction = half[n] & 1023;
    float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                      : exponent ? ldexpf((float)(1024 + fraction), exponent - 25)
                                 : ldexpf((float)fraction, -24);
    out.f[n] = half[n] & 0x8000 ? -magnitude : magnitude;
  }
  return out;
}

/* ---- floats ---- */

EMULATED __m512 _mm512_add_ps(__m512 a, __m512 b) {
  EACH(n) a.f[n] += b.f[n];
  return a;
}
EMULATED __m512 _mm512_sub_ps(__m512 a, __m512 b) {
  EACH(n) a.f[n] -= b.f[n];
  return a;
}
EMULATED __m512 _mm512_mul_ps(__m512 a, __m512 b) {
  EACH(n) a.f[n] *= b.f[n];
  return a;
}
EMULATED __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
  EACH(n) c.f[n] = fmaf(a.f[n], b.f[n], c.f[n]);
  return c;
}

#undef EACH
#endif
