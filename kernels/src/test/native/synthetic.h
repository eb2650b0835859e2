/* What tests and benchmarks make tiles and codes from. */
#ifndef TESSERA_SYNTHETIC_H
#define TESSERA_SYNTHETIC_H

#include <string.h>

#include "codes.h"

static inline uint16_t half_of(float x) { /* normal numbers only */
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t size = bits & 0x7fffffff;
  if (size < 0x38800000) return 0;
  return (uint16_t)((bits >> 16 & 0x8000) | ((size + 0xfff + (size >> 13 & 1) - 0x38000000) >> 13));
}

/* Where the sections of a tile lie whose groups have these widths, as ts_code_new takes it. */
static inline void place_sections(int dim, const int *widths, int is_key, int spared, int64_t *offsets) {
  int groups = (dim + TS_GROUP_CHANNELS - 1) / TS_GROUP_CHANNELS;
  int64_t at = 0;
  for (int g = 0; g < groups; g++) {
    offsets[g] = at;
    at += (int64_t)(dim - g * 16 < 16 ? dim - g * 16 : 16) * 8 * widths[g];
  }
  const int64_t sections[] = {2 * TS_BLOCK_TOKENS, 0, is_key ? dim : 0, is_key ? 2 : 0,
                              (spared + 1) / 2 * 2, 2L * spared * dim};
  for (int i = 0; i < 6; i++) {
    offsets[groups + i] = at;
    at += sections[i];
  }
  offsets[groups + 6] = (at + 63) / 64 * 64;
}

#endif
