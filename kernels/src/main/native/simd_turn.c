/* The share of a turning mean in the scores of a coded tile. */
#include "coded.h"
#include "simd.h"

enum { TOKENS = TS_BLOCK_TOKENS };
enum { HALF = TOKENS / 2, PARTS = HALF / LANES };

/* plus += a * even, minus += b * odd: one term of a tile's upper half. */
INLINE void add_terms(float a, float b, const float *term, vf *plus, vf *minus) {
  UNROLL for (int v = 0; v < PARTS; v++) {
    plus[v] = vf_fma(vf_all(a), vf_load(term + v * LANES), plus[v]);
    minus[v] = vf_fma(vf_all(b), vf_load(term + HALF + v * LANES), minus[v]);
  }
}

/* scores += the mean's share. Around the tile's middle the cosines are even, the sines odd. */
void TS(add_turn)(const ts_turn_table *turn, int64_t block, const ts_coded_query *q,
                  float *scores) {
  const int pairs = turn->pairs;
  const float *cosine = turn->middle + block * 2 * pairs, *sine = cosine + pairs;
  for (int64_t r = 0; r < q->rows; r++) {
    const float *c = q->turn + r * 2 * pairs, *s = c + pairs;
    float a[TS_MAX_DIM / 2], b[TS_MAX_DIM / 2];
    for (int p = 0; p < pairs; p++) {
      a[p] = c[p] * cosine[p] + s[p] * sine[p];
      b[p] = s[p] * cosine[p] - c[p] * sine[p];
    }
    vf plus[PARTS], minus[PARTS], even = vf_all(0), odd = vf_all(0);
    UNROLL for (int v = 0; v < PARTS; v++) {
      plus[v] = vf_all(q->rest[r]);
      minus[v] = vf_all(0);
    }
    for (int p = 0; p < turn->fast; p++) {
      add_terms(a[p], b[p], turn->inside + p * TOKENS, plus, minus);
    }
    const float *slow = turn->slow;
    for (int p = turn->fast; p < pairs; p++, slow += 2 * TS_TURN_STRIDE) {
      even = vf_fma(vf_all(a[p]), vf_load(slow), even);
      odd = vf_fma(vf_all(b[p]), vf_load(slow + TS_TURN_STRIDE), odd);
    }
    float evens[LANES], odds[LANES];
    vf_store(evens, even);
    vf_store(odds, odd);
    UNROLL for (int i = 0; i < TS_TURN_TERMS; i++) {
      add_terms(evens[i], odds[i], turn->powers + i * TOKENS, plus, minus);
    }
    float *score = scores + r * TOKENS, before[HALF];
    UNROLL for (int v = 0; v < PARTS; v++) {
      float *after = score + HALF + v * LANES;
      vf_store(after, vf_load(after) + (plus[v] + minus[v]));
      vf_store(before + v * LANES, plus[v] - minus[v]);
    }
    for (int i = 0; i < HALF; i++) score[HALF - 1 - i] += before[i];
  }
}
