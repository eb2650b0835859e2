#include "fused.h"

#include "levels.h"

enum { TOKENS = TS_BLOCK_TOKENS, QUAD = 4, WIDE = 2 }; /* WIDE: vectors of lanes at once */

#if TS_FUSES

INLINE vb pair_of(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}

INLINE vb add_dot(vb sum, vb a, vb b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

/* sum[r][v] += a quad's products: R rows of four elements with WIDE vectors of eight lanes. */
INLINE void multiply_quad(const int R, const int16_t *a, int64_t a_stride, const vb *levels,
                          vb (*sum)[WIDE]) {
  UNROLL for (int v = 0; v < WIDE; v++) {
    vb first = vb_first_pairs(levels[v]), last = vb_last_pairs(levels[v]);
    UNROLL for (int r = 0; r < R; r++) {
      sum[r][v] = add_dot(sum[r][v], pair_of(a + r * a_stride), first);
      sum[r][v] = add_dot(sum[r][v], pair_of(a + r * a_stride + 2), last);
    }
  }
}

/* acc[r][64] += the products of some groups of one code. Key tiles: a quad of channels is a chunk, its
 * vector n has tokens 8 n to 8 n + 7. */
INLINE void score_groups(const int R, const int width, const ts_code *code, int first, int end,
                         const uint8_t *tile, const int16_t *a, int64_t a_stride, int32_t *acc,
                         const uint8_t *next) {
  vb tables[4];
  UNROLL for (int i = 0; i < 4; i++) tables[i] = vb_table(code->groups[first].lookup[i]);
  UNROLL for (int n = 0; n < TOKENS / 8; n += WIDE) {
    vb sum[TS_FUSED_ROWS][WIDE];
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = vb_load(acc + r * TOKENS + (n + v) * 8);
    }
    for (int g = first; g < end; g++) {
      const ts_code_group *group = &code->groups[g];
      const int64_t count = (int64_t)group->channels * TOKENS;
      const int16_t *row = a + group->first;
      for (int quad = 0; quad < group->channels / QUAD; quad++, row += QUAD) {
        ts_planes planes = planes_of(tile + group->at, width, count, quad);
        if (next) {
          /* The next tile's lines, spread over the passes. */
          const int64_t line = width * (CHUNK / 8) / 4;
          __builtin_prefetch(next + group->at + quad * width * (CHUNK / 8) + n / WIDE * line);
        }
        vb levels[WIDE];
        UNROLL for (int v = 0; v < WIDE; v++) levels[v] = levels_of(planes, width, n + v, tables);
        multiply_quad(R, row, a_stride, levels, sum);
      }
    }
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) {
        memcpy(acc + r * TOKENS + (n + v) * 8, &sum[r][v], sizeof sum[r][v]);
      }
    }
  }
}

/* A group of 16 channels: a chunk has four quads of tokens, each of two vectors of channels. */
INLINE void mix_group(const int R, const int width, const ts_code_group *g, const uint8_t *codes,
                      const int16_t *weights, vb (*sum)[WIDE], const uint8_t *next) {
  vb tables[4];
  UNROLL for (int i = 0; i < 4; i++) tables[i] = vb_table(g->lookup[i]);
  for (int chunk = 0; chunk < TS_GROUP_CHANNELS * TOKENS / CHUNK; chunk++) {
    ts_planes planes = planes_of(codes, width, TS_GROUP_CHANNELS * TOKENS, chunk);
    for (int64_t i = 0; next && i < width * (CHUNK / 8); i += 64) {
      __builtin_prefetch(next + chunk * width * (CHUNK / 8) + i);
    }
    UNROLL for (int n = 0; n < CHUNK / UNIT; n += WIDE) {
      vb levels[WIDE];
      UNROLL for (int v = 0; v < WIDE; v++) levels[v] = levels_of(planes, width, n + v, tables);
      multiply_quad(R, weights + (chunk * CHUNK / TS_GROUP_CHANNELS) + n / WIDE * QUAD, TOKENS, levels,
                    sum);
    }
  }
}

#define EACH_WIDTH(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(8)

INLINE void scores_of(const int R, const ts_code *code, const uint8_t *tile,
                      const ts_coded_query *q, const float *token_scale, const float *base,
                      float *scores, const uint8_t *next) {
  int32_t acc[TS_FUSED_ROWS * TOKENS];
  memset(acc, 0, (size_t)R * TOKENS * sizeof *acc);
  for (int first = 0, end; first < code->group_count; first = end) {
    const ts_code_group *g = &code->groups[first];
    end = g->run_end;
    switch (g->levels.width) {
#define SCORE(W)                                                                          \
  case W:                                                                                 \
    score_groups(R, W, code, first, end, tile, q->levels, q->stride, acc, next);          \
    break;
      EACH_WIDTH(SCORE)
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    for (int t = 0; t < TOKENS; t += LANES) {
      vi sum;
      memcpy(&sum, acc + r * TOKENS + t, sizeof sum);
      vf scale = vf_load(token_scale + t) * vf_all(q->scale[r]);
      vf score = vf_fma(__builtin_convertvector(sum, vf), scale, vf_all(base[r]));
      vf_store(scores + r * TOKENS + t, score);
    }
  }
}

INLINE void values_of(const int R, const ts_code *code, const uint8_t *tile, const int16_t *weights,
                      const float *weight_scale, const float *decay, float *out, int64_t stride,
                      const uint8_t *next) {
  for (int i = 0; i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    const uint8_t *ahead = next ? next + g->at : 0;
    vb sum[TS_FUSED_ROWS][WIDE];
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = _mm256_setzero_si256();
    }
    switch (g->levels.width) {
#define MIX(W) \
  case W: mix_group(R, W, g, tile + g->at, weights, sum, ahead); break;
      EACH_WIDTH(MIX)
    }
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) {
        float *at = out + r * stride + g->first + v * LANES;
        vf scale = vf_load(code->unit + g->first + v * LANES) * vf_all(weight_scale[r]);
        vf before = vf_load(at) * vf_all(decay[r]);
        vf_store(at, vf_fma(__builtin_convertvector((vi)sum[r][v], vf), scale, before));
      }
    }
  }
}

#define EACH_ROWS(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)

void TS(fused_scores)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                      const float *token_scale, const float *base, float *scores,
                      const uint8_t *next) {
  switch (q->rows) {
#define ROWS(R) \
  case R: scores_of(R, code, tile, q, token_scale, base, scores, next); break;
    EACH_ROWS(ROWS)
#undef ROWS
  }
}

void TS(fused_values)(const ts_code *code, const uint8_t *tile, int64_t rows,
                      const int16_t *weights, const float *weight_scale, const float *decay,
                      float *out, int64_t stride, const uint8_t *next) {
  switch (rows) {
#define ROWS(R) \
  case R: values_of(R, code, tile, weights, weight_scale, decay, out, stride, next); break;
    EACH_ROWS(ROWS)
  }
}

#endif
