/* Codes into levels and products, a vector of LANES quads at a time: 32 bytes with AVX2, 64 with AVX-512.
 *
 * A chunk has CHUNK / VECTOR_BYTES such vectors. The order of a level stream is the same for both: with
 * 64 bytes the lower half is of one unit of 32, the upper half of the next. */
#ifndef TESSERA_WIDE_H
#define TESSERA_WIDE_H

#include "levels.h"

#if TS_LEVEL == 2

typedef vb vw;

INLINE vw vw_load(const void *p) { return vb_load(p); }
INLINE vw vw_zero(void) { return _mm256_setzero_si256(); }
INLINE vw vw_quad(int32_t quad) { return _mm256_set1_epi32(quad); }
INLINE vw vw_table(const int8_t *table, int offset) {
  return _mm256_add_epi8(vb_table(table), _mm256_set1_epi8((char)offset));
}
INLINE vw vw_levels(ts_planes p, const int width, const int n, const vw *tables) {
  return levels_of(p, width, n, tables);
}
INLINE vw vw_even_bytes(vw a) { return _mm256_and_si256(a, _mm256_set1_epi16(0xff)); }
INLINE vw vw_odd_bytes(vw a) { return _mm256_srli_epi16(a, 8); }
INLINE vw vw_first_pairs(vw levels) { return vb_first_pairs(levels); }
INLINE vw vw_last_pairs(vw levels) { return vb_last_pairs(levels); }

#elif TS_LEVEL == 3

typedef long long vw __attribute__((vector_size(64), may_alias));
typedef uint8_t vw_bytes __attribute__((vector_size(64)));
typedef uint16_t vw_words __attribute__((vector_size(64)));
typedef int16_t vw_shorts __attribute__((vector_size(64)));

INLINE vw vw_load(const void *p) {
  vw v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE vw vw_zero(void) { return (vw){0}; }
INLINE vw vw_quad(int32_t quad) { return (vw)(quad - (vi){0}); }
INLINE vw vw_and(vw a, int mask) { return (vw)((vw_bytes)a & (uint8_t)mask); }
INLINE vw vw_even_bytes(vw a) { return (vw)((vw_words)a & 0xff); }
INLINE vw vw_odd_bytes(vw a) { return (vw)((vw_words)a >> 8); }
INLINE vw vw_first_pairs(vw levels) { return (vw)((vw_shorts)((vw_words)levels << 8) >> 8); }
INLINE vw vw_last_pairs(vw levels) { return (vw)((vw_shorts)levels >> 8); }

#define TS_SIXTEEN(x) x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x
/* Bytes of the two halves. */
#define TS_HALVES(lower, upper) \
  (vw_bytes) { TS_SIXTEEN(lower), TS_SIXTEEN(lower), TS_SIXTEEN(upper), TS_SIXTEEN(upper) }

/* The halves to the right by numbers of their own, between bytes as well. */
INLINE vw vw_right(vw a, const int lower, const int upper) {
  return (vw)((vw_words)a >> (vw_words){TS_SIXTEEN(lower), TS_SIXTEEN(upper)});
}

#ifndef TS_EMULATE_AVX512

/* A unit in both halves. */
INLINE vw vw_unit(const void *p) { return (vw)_mm512_broadcast_i64x4(vb_load(p)); }
INLINE vw vw_table(const int8_t *table, int offset) {
  __m512i all = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)table));
  return (vw)_mm512_add_epi8(all, _mm512_set1_epi8((char)offset));
}
INLINE vw vw_lookup(vw table, vw index) {
  return (vw)_mm512_shuffle_epi8((__m512i)table, (__m512i)index);
}
/* Where a bit is set in `by`: of one number in the lower half, of another in the upper half. */
typedef __mmask64 vw_where;
INLINE vw_where vw_has(vw by, const int lower, const int upper) {
  return _mm512_test_epi8_mask((__m512i)by, (__m512i)TS_HALVES(1 << lower, 1 << upper));
}
INLINE vw vw_choose(vw_where where, vw yes, vw no) {
  return (vw)_mm512_mask_blend_epi8(where, (__m512i)no, (__m512i)yes);
}
INLINE vw vw_lookup_where(vw_where where, vw no, vw table, vw index) {
  return (vw)_mm512_mask_shuffle_epi8((__m512i)no, where, (__m512i)table, (__m512i)index);
}
INLINE vw vw_add_where(vw_where where, vw a, const int x) {
  return (vw)_mm512_mask_add_epi8((__m512i)a, where, (__m512i)a, _mm512_set1_epi8((char)x));
}
/* sum + the products of quads: bytes without a sign by bytes with one. */
INLINE vw vw_dot_quads(vw sum, vw a, vw b) {
  return (vw)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}
INLINE vw vw_dot_pairs(vw sum, vw a, vw b) {
  return (vw)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
}

#else

INLINE vw vw_unit(const void *p) {
  vw v;
  memcpy(&v, p, UNIT);
  memcpy((char *)&v + UNIT, p, UNIT);
  return v;
}
INLINE vw vw_table(const int8_t *table, int offset) {
  vw_bytes v;
  for (int i = 0; i < VECTOR_BYTES; i++) v[i] = (uint8_t)(table[i % 16] + offset);
  return (vw)v;
}
INLINE vw vw_lookup(vw table, vw index) {
  vw_bytes v, from = (vw_bytes)table, at = (vw_bytes)index;
  for (int i = 0; i < VECTOR_BYTES; i++) v[i] = at[i] & 0x80 ? 0 : from[i / 16 * 16 + at[i] % 16];
  return (vw)v;
}
typedef vw_bytes vw_where;
INLINE vw_where vw_has(vw by, const int lower, const int upper) {
  return (vw_bytes)(((vw_bytes)by & TS_HALVES(1 << lower, 1 << upper)) != 0);
}
INLINE vw vw_choose(vw_where where, vw yes, vw no) {
  return (vw)((where & (vw_bytes)yes) | (~where & (vw_bytes)no));
}
INLINE vw vw_lookup_where(vw_where where, vw no, vw table, vw index) {
  return vw_choose(where, vw_lookup(table, index), no);
}
INLINE vw vw_add_where(vw_where where, vw a, const int x) {
  return (vw)((vw_bytes)a + (where & (uint8_t)x));
}
INLINE vw vw_dot_quads(vw sum, vw a, vw b) {
  vi s = (vi)sum;
  for (int i = 0; i < VECTOR_BYTES; i++) {
    s[i / 4] += ((vw_bytes)a)[i] * (int8_t)((vw_bytes)b)[i];
  }
  return (vw)s;
}
INLINE vw vw_dot_pairs(vw sum, vw a, vw b) {
  vi s = (vi)sum;
  for (int i = 0; i < VECTOR_BYTES / 2; i++) s[i / 2] += ((vw_shorts)a)[i] * ((vw_shorts)b)[i];
  return (vw)s;
}

#endif

/* Fields 2 n and 2 n + 1 of each byte of a unit, of `bits` bits, in the two halves. */
INLINE vw vw_fields(const uint8_t *unit, const int bits, const int n) {
  return vw_and(vw_right(vw_unit(unit), 2 * n * bits, (2 * n + 1) * bits), (1 << bits) - 1);
}

/* The levels of elements 64 n .. 64 n + 63 of a chunk. */
INLINE vw vw_levels(ts_planes p, const int width, const int n, const vw *tables) {
  switch (width) {
    case 1: return vw_lookup(tables[0], vw_fields(p.upper, 1, n));
    case 2: return vw_lookup(tables[0], vw_fields(p.upper + n / 2 * UNIT, 2, n % 2));
    case 3: {
      vw crumb = vw_fields(p.upper + n / 2 * UNIT, 2, n % 2);
      vw_where is_high = vw_has(vw_unit(p.lower), 2 * n, 2 * n + 1);
      return vw_lookup(tables[0], vw_add_where(is_high, crumb, 4));
    }
    case 4: return vw_lookup(tables[0], vw_fields(p.upper + n * UNIT, 4, 0));
    case 5: {
      vw nibble = vw_fields(p.upper + n * UNIT, 4, 0);
      vw_where one = vw_has(vw_unit(p.lower), 2 * n, 2 * n + 1);
      return vw_lookup_where(one, vw_lookup(tables[0], nibble), tables[1], nibble);
    }
    case 6: {
      vw nibble = vw_fields(p.upper + n * UNIT, 4, 0), crumbs = vw_unit(p.lower + n / 2 * UNIT);
      const int bit = n % 2 * 4;
      vw_where one = vw_has(crumbs, bit, bit + 2), two = vw_has(crumbs, bit + 1, bit + 3);
      vw low = vw_lookup_where(one, vw_lookup(tables[0], nibble), tables[1], nibble);
      vw high = vw_lookup_where(one, vw_lookup(tables[2], nibble), tables[3], nibble);
      return vw_choose(two, high, low);
    }
    default: return vw_load(p.upper + n * VECTOR_BYTES);
  }
}

#endif
#endif
