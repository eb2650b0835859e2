/* Units of codes into levels: 32 bytes at a time, whatever the vectors' width. */
#ifndef TESSERA_LEVELS_H
#define TESSERA_LEVELS_H

#include "coded.h"
#include "simd.h"

enum {
  UNIT = 32,   /* bytes of a packed unit, and of what is taken from it at once */
  CHUNK = 256, /* elements whose planes are whole units */
};

#if TS_LEVEL >= 2

typedef __m256i vb;

INLINE vb vb_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE vb vb_and(vb a, int mask) { return _mm256_and_si256(a, _mm256_set1_epi8((char)mask)); }
INLINE vb vb_or(vb a, vb b) { return _mm256_or_si256(a, b); }
INLINE vb vb_right(vb a, int bits) { return _mm256_srli_epi16(a, bits); } /* between bytes as well */
INLINE vb vb_left(vb a, int bits) { return _mm256_slli_epi16(a, bits); }
INLINE vb vb_table(const int8_t *table) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
}
INLINE vb vb_lookup(vb table, vb index) { return _mm256_shuffle_epi8(table, index); }
/* By the highest bit of each byte. */
INLINE vb vb_choose(vb by, vb yes, vb no) { return _mm256_blendv_epi8(no, yes, by); }
/* Of eight lanes of four levels: the pairs of their summed axis, the first two and the last two. */
INLINE vb vb_first_pairs(vb levels) { return _mm256_srai_epi16(_mm256_slli_epi16(levels, 8), 8); }
INLINE vb vb_last_pairs(vb levels) { return _mm256_srai_epi16(levels, 8); }

#else

typedef uint8_t vb __attribute__((vector_size(32)));
typedef uint16_t vw __attribute__((vector_size(32)));
typedef int16_t vws __attribute__((vector_size(32)));

INLINE vb vb_load(const void *p) {
  vb v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE vb vb_and(vb a, int mask) { return a & (uint8_t)mask; }
INLINE vb vb_or(vb a, vb b) { return a | b; }
INLINE vb vb_right(vb a, int bits) { return (vb)((vw)a >> bits); }
INLINE vb vb_left(vb a, int bits) { return (vb)((vw)a << bits); }
INLINE vb vb_table(const int8_t *table) {
  vb v = {0};
  memcpy(&v, table, 16);
  return v;
}
INLINE vb vb_lookup(vb table, vb index) {
  vb v;
  for (int i = 0; i < 32; i++) v[i] = table[index[i] & 15];
  return v;
}
INLINE vb vb_choose(vb by, vb yes, vb no) {
  vb mask = (vb)(by > 127);
  return (mask & yes) | (~mask & no);
}
INLINE vb vb_first_pairs(vb levels) { return (vb)((vws)((vws)levels << 8) >> 8); }
INLINE vb vb_last_pairs(vb levels) { return (vb)((vws)levels >> 8); }

#endif

/* Field k of each byte of the unit, of `bits` bits. */
INLINE vb field(vb unit, const int bits, const int k) {
  return vb_and(k ? vb_right(unit, bits * k) : unit, (1 << bits) - 1);
}

/* The planes of a group's codes from some chunk on, the upper one first. */
typedef struct {
  const uint8_t *upper, *lower;
} ts_planes;

INLINE ts_planes planes_of(const uint8_t *codes, const int width, int64_t count, int64_t chunk) {
  int upper = width == 3 ? 2 : width == 5 || width == 6 ? 4 : width;
  return (ts_planes){codes + chunk * (CHUNK / 8) * upper,
                     codes + count / 8 * upper + chunk * (CHUNK / 8) * (width - upper)};
}

/* The levels of elements 32 n .. 32 n + 31 of a chunk. */
INLINE vb levels_of(ts_planes p, const int width, const int n, const vb *tables) {
  switch (width) {
    case 1: return vb_lookup(tables[0], field(vb_load(p.upper), 1, n));
    case 2: return vb_lookup(tables[0], field(vb_load(p.upper + n / 4 * UNIT), 2, n % 4));
    case 3: {
      vb crumb = field(vb_load(p.upper + n / 4 * UNIT), 2, n % 4), bits = vb_load(p.lower);
      vb bit = vb_and(n < 2 ? vb_left(bits, 2 - n) : vb_right(bits, n - 2), 4);
      return vb_lookup(tables[0], vb_or(crumb, bit));
    }
    case 4: return vb_lookup(tables[0], field(vb_load(p.upper + n / 2 * UNIT), 4, n % 2));
    case 5: {
      vb nibble = field(vb_load(p.upper + n / 2 * UNIT), 4, n % 2);
      vb by = vb_left(vb_load(p.lower), 7 - n);
      return vb_choose(by, vb_lookup(tables[1], nibble), vb_lookup(tables[0], nibble));
    }
    case 6: {
      vb nibble = field(vb_load(p.upper + n / 2 * UNIT), 4, n % 2);
      vb crumbs = vb_load(p.lower + n / 4 * UNIT);
      vb one = vb_left(crumbs, 7 - 2 * (n % 4)), two = vb_left(crumbs, 6 - 2 * (n % 4));
      return vb_choose(
          two, vb_choose(one, vb_lookup(tables[3], nibble), vb_lookup(tables[2], nibble)),
          vb_choose(one, vb_lookup(tables[1], nibble), vb_lookup(tables[0], nibble)));
    }
    default: return vb_load(p.upper + n * UNIT);
  }
}

#endif
