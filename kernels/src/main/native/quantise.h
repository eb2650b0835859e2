/* Numbers as integers of a step that the largest of them gives. */
#ifndef TESSERA_QUANTISE_H
#define TESSERA_QUANTISE_H

#include "simd.h"

#define TS_FINE_STEPS 32767.0f /* of fifteen bits and a sign */

/* What one step is worth, if `steps` of them make the largest of |x|. `count` is a multiple of 16. */
INLINE float step_of(const float *x, int count, float steps, vf *inverse) {
  vf largest = vf_all(0);
  for (int i = 0; i < count; i += LANES) {
    vf v = vf_load(x + i);
    largest = vf_max(largest, vf_max(v, -v));
  }
  float most = vf_largest(largest);
  *inverse = vf_all(most > 0 ? steps / most : 0);
  return most / steps;
}

/* The same of LANES rows whose largest are known. */
INLINE void steps_of(vf most, float steps, float *step, float *inverse) {
  vf_store(step, most / vf_all(steps));
  vf_store(inverse, vf_select(most > 0, vf_all(steps) / most, vf_all(0)));
}

INLINE vi rounded(vf x) {
  const float magic = 12582912.0f; /* rounds to an integer, which its low bits then hold */
  return (vi)(x + magic) - (vi)vf_all(magic);
}

INLINE void to_levels(const float *x, int count, vf inverse, int16_t *levels) {
  typedef int16_t vs __attribute__((vector_size(2 * LANES)));
  for (int i = 0; i < count; i += LANES) {
    vs narrow = __builtin_convertvector(rounded(vf_load(x + i) * inverse), vs);
    memcpy(levels + i, &narrow, sizeof narrow);
  }
}

#if TS_LEVEL == 3
/* The low bytes of the lanes. */
INLINE __m128i narrowed(vi x) {
#ifdef TS_EMULATE_AVX512
  typedef int8_t vc __attribute__((vector_size(16)));
  return (__m128i)__builtin_convertvector(x, vc);
#else
  return _mm512_cvtepi32_epi8((__m512i)x);
#endif
}
#endif

/* The same as bytes, each quad in the order of a level stream. */
INLINE void to_bytes(const float *x, int count, vf inverse, uint8_t *bytes) {
#if TS_LEVEL == 2
  const __m256i quads = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
  for (int i = 0; i < count; i += 32) {
    __m256i part[4];
    UNROLL for (int k = 0; k < 4; k++) {
      part[k] = i + k * LANES < count ? (__m256i)rounded(vf_load(x + i + k * LANES) * inverse)
                                      : _mm256_setzero_si256();
    }
    __m256i low = _mm256_packs_epi32(part[0], part[1]), high = _mm256_packs_epi32(part[2], part[3]);
    __m256i all = _mm256_shuffle_epi8(_mm256_packs_epi16(low, high), quads);
    all = _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    memcpy(bytes + i, &all, count - i < 32 ? 16 : 32);
  }
#elif TS_LEVEL == 3
  const __m128i quads = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
  for (int i = 0; i < count; i += LANES) {
    __m128i level = narrowed(rounded(vf_load(x + i) * inverse));
    _mm_storeu_si128((__m128i *)(bytes + i), _mm_shuffle_epi8(level, quads));
  }
#else
  for (int i = 0; i < count; i += LANES) {
    vi level = rounded(vf_load(x + i) * inverse);
    for (int k = 0; k < LANES; k++) bytes[i + k] = (uint8_t)level[k ^ (k % 4 % 3 ? 3 : 0)];
  }
#endif
}

#endif
