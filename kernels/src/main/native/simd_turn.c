/* The share of a turning mean in the scores of a coded tile. */
#include "coded.h"
#include "simd.h"

enum { TOKENS = TS_BLOCK_TOKENS, HALF = TOKENS / 2, VECTORS = HALF / LANES };
enum { BLOCK_ROWS = 3 }; /* rows that share what is loaded of the rotation */

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

/* A row's coefficients where the tile's middle lies: of the even terms and of the odd ones. */
INLINE void rotate(const ts_turn_table *turn, int64_t block, const float *coefficient, float *even,
                   float *odd) {
  const int64_t stride = turn->stride;
  const float *cosine = turn->middle + block * 2 * stride;
  for (int64_t k = 0; k < stride; k += LANES) {
    vf c = vf_load(coefficient + k), s = vf_load(coefficient + stride + k);
    vf x = vf_load(cosine + k), y = vf_load(cosine + stride + k);
    vf_store(even + k, c * x + s * y);
    vf_store(odd + k, s * x - c * y);
  }
}

/* sum[r] += a[r] * term, for all tokens behind the tile's middle. */
INLINE void add_term(const int R, const float *a, int64_t stride, const float *term,
                     vf (*sum)[VECTORS]) {
  vf all[BLOCK_ROWS];
  UNROLL for (int r = 0; r < R; r++) all[r] = vf_all(a[r * stride]);
  UNROLL for (int v = 0; v < VECTORS; v++) {
    vf column = vf_load(term + v * LANES);
    UNROLL for (int r = 0; r < R; r++) sum[r][v] = vf_fma(all[r], column, sum[r][v]);
  }
}

/* The even or the odd terms of all pairs; a: [R][TS_MAX_PAIRS]. */
INLINE void add_terms(const int R, const int is_odd, const ts_turn_table *turn,
                      const ts_coded_query *q, const float *a, vf (*sum)[VECTORS]) {
  for (int k = 0; k < q->direct; k++) {
    int64_t p = q->turning_pair[k];
    add_term(R, a + p, TS_MAX_PAIRS, turn->inside + p * TOKENS + is_odd * HALF, sum);
  }
  if (q->direct == q->turning) return;
  /* The slow pairs' polynomials, added up: [R][term]. */
  float terms[BLOCK_ROWS * TS_TURN_STRIDE];
  UNROLL for (int v = 0; v < TS_TURN_STRIDE / LANES; v++) {
    vf all[BLOCK_ROWS];
    UNROLL for (int r = 0; r < R; r++) all[r] = vf_all(0);
    for (int k = q->direct; k < q->turning; k++) {
      int64_t p = q->turning_pair[k];
      vf slow = vf_load(turn->slow + (2 * (p - turn->fast) + is_odd) * TS_TURN_STRIDE + v * LANES);
      UNROLL for (int r = 0; r < R; r++) all[r] = vf_fma(vf_all(a[r * TS_MAX_PAIRS + p]), slow, all[r]);
    }
    UNROLL for (int r = 0; r < R; r++) vf_store(terms + r * TS_TURN_STRIDE + v * LANES, all[r]);
  }
  for (int i = 0; i < TS_TURN_TERMS; i++) {
    add_term(R, terms + i, TS_TURN_STRIDE, turn->powers + i * TOKENS + is_odd * HALF, sum);
  }
}

/* scores = base + the mean's share. Around the tile's middle the cosines are even, the sines odd. */
INLINE void turn_rows(const int R, const ts_turn_table *turn, int64_t block,
                      const ts_coded_query *q, int64_t first, const float *base, float *scores) {
  float even[BLOCK_ROWS * TS_MAX_PAIRS], odd[BLOCK_ROWS * TS_MAX_PAIRS], kept[BLOCK_ROWS * HALF];
  UNROLL for (int r = 0; r < R; r++) {
    rotate(turn, block, q->turn + (first + r) * 2 * turn->stride, even + r * TS_MAX_PAIRS,
           odd + r * TS_MAX_PAIRS);
  }
  vf sum[BLOCK_ROWS][VECTORS];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < VECTORS; v++) sum[r][v] = vf_all(base[first + r]);
  }
  add_terms(R, 0, turn, q, even, sum);
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < VECTORS; v++) {
      vf_store(kept + r * HALF + v * LANES, sum[r][v]);
      sum[r][v] = vf_all(0);
    }
  }
  add_terms(R, 1, turn, q, odd, sum);
  UNROLL for (int r = 0; r < R; r++) {
    float *middle = scores + (first + r) * TOKENS + HALF;
    UNROLL for (int v = 0; v < VECTORS; v++) {
      vf plus = vf_load(kept + r * HALF + v * LANES);
      vf_store(middle + v * LANES, plus + sum[r][v]);
      vf_store(middle - (v + 1) * LANES, reversed(plus - sum[r][v]));
    }
  }
}

void TS(turned_scores)(const ts_turn_table *turn, int64_t block, const ts_coded_query *q,
                       const float *base, float *scores) {
  for (int64_t r = 0; r < q->rows; r += BLOCK_ROWS) {
    switch (q->rows - r) {
      case 1: turn_rows(1, turn, block, q, r, base, scores); break;
      case 2: turn_rows(2, turn, block, q, r, base, scores); break;
      default: turn_rows(3, turn, block, q, r, base, scores); break;
    }
  }
}
