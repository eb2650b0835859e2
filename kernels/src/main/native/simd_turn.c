/* The share of a turning mean in the scores of a coded tile. */
#include "coded.h"
#include "simd.h"

enum { TOKENS = TS_BLOCK_TOKENS };
enum { HALF = TOKENS / 2, WIDE = 2 }; /* WIDE: vectors of lanes at once */
enum { BLOCK_ROWS = 3 };              /* rows that share what is loaded of the rotation */

INLINE vf reversed(vf v) {
#ifdef __clang__
#if TS_LEVEL == 3
  return __builtin_shufflevector(v, v, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
#else
  return __builtin_shufflevector(v, v, 7, 6, 5, 4, 3, 2, 1, 0);
#endif
#else
  return __builtin_shuffle(v, LANES - 1 - vi_lanes());
#endif
}

/* A tile's turn, of the pairs that a mean turns in. */
typedef struct {
  float cosine[TS_MAX_PAIRS], sine[TS_MAX_PAIRS];
} turn_to;

INLINE void find_turn(const ts_turn_table *turn, int64_t block, const ts_coded_query *q,
                      turn_to *to) {
  const float *cosine = turn->middle + block * 2 * turn->pairs, *sine = cosine + turn->pairs;
  for (int k = 0; k < q->turning_stride; k++) {
    to->cosine[k] = cosine[q->turning_pair[k]];
    to->sine[k] = sine[q->turning_pair[k]];
  }
}

/* The pairs' coefficients where the tile's middle lies. */
INLINE void rotate(const turn_to *to, const float *coefficient, int stride, float *a, float *b) {
  const float *c = coefficient, *s = coefficient + stride;
  for (int k = 0; k < stride; k += TS_TURNING_STEP) {
    UNROLL for (int i = k; i < k + TS_TURNING_STEP; i++) {
      a[i] = c[i] * to->cosine[i] + s[i] * to->sine[i];
      b[i] = s[i] * to->cosine[i] - c[i] * to->sine[i];
    }
  }
}

/* plus[r] += a[r][i] * even, minus[r] += b[r][i] * odd: one term of a tile's upper half. */
INLINE void add_terms(const int R, const float *a, const float *b, int64_t stride,
                      const float *term, vf (*plus)[WIDE], vf (*minus)[WIDE]) {
  UNROLL for (int v = 0; v < WIDE; v++) {
    vf even = vf_load(term + v * LANES), odd = vf_load(term + HALF + v * LANES);
    UNROLL for (int r = 0; r < R; r++) {
      plus[r][v] = vf_fma(vf_all(a[r * stride]), even, plus[r][v]);
      minus[r][v] = vf_fma(vf_all(b[r * stride]), odd, minus[r][v]);
    }
  }
}

/* The pairs' polynomials, added up: evens[r][term], odds[r][term]. */
INLINE void add_slow(const int R, const ts_turn_table *turn, const ts_coded_query *q,
                     const float *a, const float *b, float *evens, float *odds) {
  vf even[BLOCK_ROWS], odd[BLOCK_ROWS];
  UNROLL for (int r = 0; r < R; r++) even[r] = odd[r] = vf_all(0);
  for (int k = q->direct; k < q->turning; k++) {
    const float *slow = turn->slow + (q->turning_pair[k] - turn->fast) * 2 * TS_TURN_STRIDE;
    vf even_terms = vf_load(slow), odd_terms = vf_load(slow + TS_TURN_STRIDE);
    UNROLL for (int r = 0; r < R; r++) {
      even[r] = vf_fma(vf_all(a[r * TS_MAX_PAIRS + k]), even_terms, even[r]);
      odd[r] = vf_fma(vf_all(b[r * TS_MAX_PAIRS + k]), odd_terms, odd[r]);
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    vf_store(evens + r * LANES, even[r]);
    vf_store(odds + r * LANES, odd[r]);
  }
}

/* scores = base + the mean's share. Around the tile's middle the cosines are even, the sines odd. */
INLINE void turn_rows(const int R, const ts_turn_table *turn, const turn_to *to,
                      const ts_coded_query *q, const float *coefficient, const float *base,
                      float *scores) {
  const int is_slow = q->direct < q->turning;
  float a[BLOCK_ROWS * TS_MAX_PAIRS], b[BLOCK_ROWS * TS_MAX_PAIRS];
  UNROLL for (int r = 0; r < R; r++) {
    rotate(to, coefficient + r * 2 * q->turning_stride, q->turning_stride, a + r * TS_MAX_PAIRS,
           b + r * TS_MAX_PAIRS);
  }
  float evens[BLOCK_ROWS * LANES], odds[BLOCK_ROWS * LANES];
  if (is_slow) add_slow(R, turn, q, a, b, evens, odds);
  for (int first = 0; first < HALF; first += WIDE * LANES) {
    vf plus[BLOCK_ROWS][WIDE], minus[BLOCK_ROWS][WIDE];
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) {
        plus[r][v] = vf_all(base[r]);
        minus[r][v] = vf_all(0);
      }
    }
    for (int k = 0; k < q->direct; k++) {
      const float *inside = turn->inside + q->turning_pair[k] * TOKENS + first;
      add_terms(R, a + k, b + k, TS_MAX_PAIRS, inside, plus, minus);
    }
    for (int i = 0; is_slow && i < TS_TURN_TERMS; i++) {
      add_terms(R, evens + i, odds + i, LANES, turn->powers + i * TOKENS + first, plus, minus);
    }
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) {
        int at = first + v * LANES;
        float *after = scores + r * TOKENS + HALF + at;
        float *before = scores + r * TOKENS + HALF - LANES - at;
        vf_store(after, plus[r][v] + minus[r][v]);
        vf_store(before, reversed(plus[r][v] - minus[r][v]));
      }
    }
  }
}

void TS(turned_scores)(const ts_turn_table *turn, int64_t block, const ts_coded_query *q,
                       const float *base, float *scores) {
  turn_to to;
  find_turn(turn, block, q, &to);
  for (int64_t r = 0; r < q->rows; r += BLOCK_ROWS) {
    const float *coefficient = q->turn + r * 2 * q->turning_stride;
    float *at = scores + r * TOKENS;
    switch (q->rows - r) {
      case 1: turn_rows(1, turn, &to, q, coefficient, base + r, at); break;
      case 2: turn_rows(2, turn, &to, q, coefficient, base + r, at); break;
      default: turn_rows(3, turn, &to, q, coefficient, base + r, at); break;
    }
  }
}
