/* Rows of numbers as integers. */
#ifndef TESSERA_QUANTISE_H
#define TESSERA_QUANTISE_H

#include "simd.h"

static const float TS_STEPS = 32767; /* of fifteen bits and a sign */

/* Writes x as 15 bits of its largest element; returns what one step is worth. `count` is a multiple of
 * 16. */
INLINE float quantise(const float *x, int count, int16_t *levels) {
  vf largest = vf_all(0);
  for (int i = 0; i < count; i += LANES) {
    vf v = vf_load(x + i);
    largest = vf_max(largest, vf_max(v, -v));
  }
  float most = vf_largest(largest);
  vf inverse = vf_all(most > 0 ? TS_STEPS / most : 0);
  typedef int16_t vs __attribute__((vector_size(2 * LANES)));
  for (int i = 0; i < count; i += LANES) {
    const float magic = 12582912.0f; /* rounds to an integer, which its low bits then hold */
    vi level = (vi)(vf_load(x + i) * inverse + magic) - (vi)vf_all(magic);
    vs narrow = __builtin_convertvector(level, vs);
    memcpy(levels + i, &narrow, sizeof narrow);
  }
  return most / TS_STEPS;
}

#endif
