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

/* Levels of tables are looked up as levels + 128, so that a byte becomes 16 bits by one operation. What
 * that adds to a sum is known before: 128 times the row's elements. */
enum { OFFSET = 128 };

INLINE int is_offset(const int width) { return width != TS_BYTE_WIDTH; }

INLINE void load_tables(const ts_code_group *g, vb *tables) {
  UNROLL for (int i = 0; i < 4; i++) {
    tables[i] = _mm256_xor_si256(vb_table(g->lookup[i]), _mm256_set1_epi8((char)OFFSET));
  }
}

/* sum[r][v] += a quad's products: R rows of four elements with WIDE vectors of eight lanes. */
INLINE void multiply_quad(const int R, const int width, const int16_t *a, int64_t a_stride,
                          const vb *levels, vb (*sum)[WIDE]) {
  UNROLL for (int v = 0; v < WIDE; v++) {
    vb first = is_offset(width) ? _mm256_and_si256(levels[v], _mm256_set1_epi16(0xff))
                                : vb_first_pairs(levels[v]);
    vb last = is_offset(width) ? _mm256_srli_epi16(levels[v], 8) : vb_last_pairs(levels[v]);
    UNROLL for (int r = 0; r < R; r++) {
      sum[r][v] = add_dot(sum[r][v], pair_of(a + r * a_stride), first);
      sum[r][v] = add_dot(sum[r][v], pair_of(a + r * a_stride + 2), last);
    }
  }
}

/* What the offset adds over `count` elements of a row, to begin a sum with: sums wrap, and are right at
 * the end. */
INLINE vb against_offset(const int width, const int16_t *a, int64_t count) {
  vb sum = _mm256_setzero_si256();
  if (!is_offset(width)) return sum;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    sum = add_dot(sum, vb_load(a + i), _mm256_set1_epi16(-OFFSET));
  }
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  int32_t total = _mm_cvtsi128_si32(half);
  for (; i < count; i++) total -= OFFSET * a[i];
  return _mm256_set1_epi32(total);
}

/* One quad of channels with vectors n and n + 1 of eight tokens; a quad of keys is a chunk. */
INLINE void score_quad(const int R, const int width, const int n, ts_planes planes,
                       const int16_t *a, int64_t a_stride, const vb *tables, vb (*sum)[WIDE],
                       const uint8_t *next) {
  vb levels[WIDE];
  /* The next tile's lines, spread over the passes. */
  if (next && n / WIDE * 64 < width * (CHUNK / 8)) __builtin_prefetch(next + n / WIDE * 64);
  UNROLL for (int v = 0; v < WIDE; v++) levels[v] = levels_of(planes, width, n + v, tables);
  multiply_quad(R, width, a, a_stride, levels, sum);
}

/* acc[r][64] += the products of some groups of one code, or = where `is_first`. */
INLINE void score_groups(const int R, const int width, const ts_code *code, int first, int end,
                         const uint8_t *tile, const int16_t *a, int64_t a_stride, int is_first,
                         int32_t *acc, const uint8_t *next) {
  enum { BYTES = CHUNK / 8 }; /* of a quad, for each bit */
  const ts_code_group *from = &code->groups[first], *last = &code->groups[end - 1];
  const int channels = last->first + last->channels - from->first;
  const int has_one_plane = width != 3 && width != 5 && width != 6;
  vb tables[4], start[TS_FUSED_ROWS];
  load_tables(from, tables);
  a += from->first;
  UNROLL for (int r = 0; r < R; r++) start[r] = against_offset(width, a + r * a_stride, channels);
  UNROLL for (int n = 0; n < TOKENS / 8; n += WIDE) {
    vb sum[TS_FUSED_ROWS][WIDE];
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) {
        vb before = is_first ? _mm256_setzero_si256() : vb_load(acc + r * TOKENS + (n + v) * 8);
        sum[r][v] = _mm256_add_epi32(before, start[r]);
      }
    }
    if (has_one_plane) { /* then one group's codes follow the other's */
      const uint8_t *codes = tile + from->at, *ahead = next ? next + from->at : 0;
      for (int i = 0; i < channels; i += QUAD) {
        score_quad(R, width, n, (ts_planes){codes, codes}, a + i, a_stride, tables, sum, ahead);
        codes += width * BYTES;
        if (ahead) ahead += width * BYTES;
      }
    } else {
      for (const ts_code_group *g = from; g <= last; g++) {
        const uint8_t *ahead = next ? next + g->at : 0;
        for (int quad = 0; quad < g->channels / QUAD; quad++) {
          ts_planes planes = planes_of(tile + g->at, width, (int64_t)g->channels * TOKENS, quad);
          score_quad(R, width, n, planes, a + g->first - from->first + quad * QUAD, a_stride, tables,
                     sum, ahead ? ahead + quad * width * BYTES : 0);
        }
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
  load_tables(g, tables);
  for (int chunk = 0; chunk < TS_GROUP_CHANNELS * TOKENS / CHUNK; chunk++) {
    ts_planes planes = planes_of(codes, width, TS_GROUP_CHANNELS * TOKENS, chunk);
    for (int64_t i = 0; next && i < width * (CHUNK / 8); i += 64) {
      __builtin_prefetch(next + chunk * width * (CHUNK / 8) + i);
    }
    UNROLL for (int n = 0; n < CHUNK / UNIT; n += WIDE) {
      vb levels[WIDE];
      UNROLL for (int v = 0; v < WIDE; v++) levels[v] = levels_of(planes, width, n + v, tables);
      multiply_quad(R, width, weights + chunk * CHUNK / TS_GROUP_CHANNELS + n / WIDE * QUAD, TOKENS,
                    levels, sum);
    }
  }
}

#define EACH_WIDTH(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(8)

INLINE void scores_of(const int R, const ts_code *code, const uint8_t *tile,
                      const ts_coded_query *q, const float *token_scale, const float *base,
                      float *scores, const uint8_t *next) {
  int32_t acc[TS_FUSED_ROWS * TOKENS];
  int is_first = 1;
  for (int first = 0, end; first < code->group_count; first = end) {
    const ts_code_group *g = &code->groups[first];
    end = g->run_end;
    switch (g->levels.width) {
#define SCORE(W)                                                                          \
  case W:                                                                                 \
    score_groups(R, W, code, first, end, tile, q->levels, q->stride, is_first, acc, next); \
    is_first = 0;                                                                         \
    break;
      EACH_WIDTH(SCORE)
    }
  }
  if (is_first) memset(acc, 0, sizeof acc); /* nothing is coded at all */
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
  vb start[TS_FUSED_ROWS];
  UNROLL for (int r = 0; r < R; r++) start[r] = against_offset(0, weights + r * TOKENS, TOKENS);
  for (int i = 0; i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    const uint8_t *ahead = next ? next + g->at : 0;
    const int starts = g->levels.width && is_offset(g->levels.width);
    vb sum[TS_FUSED_ROWS][WIDE];
    UNROLL for (int r = 0; r < R; r++) {
      UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = starts ? start[r] : _mm256_setzero_si256();
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
