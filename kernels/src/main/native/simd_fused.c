/* Few rows meet a coded tile: its levels go from the codes into products without a stop in memory. */
#include "products.h"

#if TS_FUSES

enum { TOKENS = TS_BLOCK_TOKENS };
enum { QUAD_BYTES = CHUNK / 8 }; /* of a quad of channels with 64 tokens, for each bit */

INLINE vb pair_of(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}

/* The sum is to stay in its register, as in add_pairs. */
INLINE vb add_dot(vb sum, vb a, vb b) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  __asm__("" : "+x"(sum));
  return sum;
}

/* Whether products are of 16 bits: of codes that have that grade whatever the other groups have. */
INLINE int is_fine(const int width) { return width > TS_BYTES_WIDTH; }

/* sum[r][v] += a quad's products: R rows of four elements of 16 bits with WIDE vectors of eight lanes. */
INLINE void multiply_pairs(const int R, const int width, const int16_t *a, int64_t a_stride,
                           const vb *levels, vb (*sum)[WIDE]) {
  UNROLL for (int v = 0; v < WIDE; v++) {
    vb first = TS_OFFSET(width) ? _mm256_and_si256(levels[v], _mm256_set1_epi16(0xff))
                                : vb_first_pairs(levels[v]);
    vb last = TS_OFFSET(width) ? _mm256_srli_epi16(levels[v], 8) : vb_last_pairs(levels[v]);
    UNROLL for (int r = 0; r < R; r++) {
      sum[r][v] = add_dot(sum[r][v], pair_of(a + r * a_stride), first);
      sum[r][v] = add_dot(sum[r][v], pair_of(a + r * a_stride + 2), last);
    }
  }
}

/* ---- keys ---- */

/* A run of groups, and the rows that meet it. Sums of a grade that has several runs wait in memory. */
typedef struct {
  const ts_code_group *group; /* the first */
  const uint8_t *codes, *next; /* of the next tile, or of this one */
  int64_t count;               /* elements of a plane */
  int channels, is_first, is_last;
  const int16_t *levels; /* of the queries, [R][stride] */
  const uint8_t *bytes;
  int64_t stride;
  int32_t *sums; /* [R][64] */
  score_place to;
} key_run;

/* The products of one run for the tokens of vectors n and n + 1. */
INLINE void score_pass(const int R, const int width, const int n, const key_run *run,
                       const vb *tables) {
  const uint8_t *codes = run->codes, *ahead = run->next, *bytes = run->bytes;
  const int16_t *pairs = run->levels;
  const int64_t count = run->count, stride = run->stride;
  const int K = quads_of(width);
  int32_t *sums = run->sums + n * LANES;
  vb sum[TS_FUSED_ROWS][WIDE];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      sum[r][v] = run->is_first ? _mm256_setzero_si256() : vb_load(sums + r * TOKENS + v * LANES);
    }
  }
  for (int64_t quad = 0, quads = run->channels / QUAD; quad < quads; quad += K) {
    /* The next tile's lines, spread over the passes. */
    if (n / WIDE * 64 < K * width * QUAD_BYTES) {
      __builtin_prefetch(ahead + quad * width * QUAD_BYTES + n / WIDE * 64);
    }
    vb levels[2][WIDE];
    UNROLL for (int k = 0; k < K; k++) {
      ts_planes planes = planes_of(codes, width, count, quad + k);
      UNROLL for (int v = 0; v < WIDE; v++) levels[k][v] = levels_of(planes, width, n + v, tables);
    }
    if (is_fine(width)) {
      multiply_pairs(R, width, pairs + quad * QUAD, stride, levels[0], sum);
    } else {
      multiply_bytes(R, K, 1, bytes + quad * QUAD, stride, levels, sum);
    }
  }
  if (run->is_last) {
    finish_scores(R, 0, n * LANES, &run->to, sum);
    return;
  }
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      memcpy(sums + r * TOKENS + v * LANES, &sum[r][v], sizeof sum[r][v]);
    }
  }
}

INLINE void score_run(const int R, const int width, const key_run *run) {
  vb tables[4];
  load_tables(run->group, TS_OFFSET(width), tables);
  UNROLL for (int n = 0; n < TOKENS / LANES; n += WIDE) score_pass(R, width, n, run, tables);
}

/* Each in a function of its own: together they leave a compiler too few registers. */
#define DEFINE_RUN(R, W)                                                        \
  static __attribute__((noinline)) void score_run_##R##_##W(const key_run *run) { \
    score_run(R, W, run);                                                       \
  }
#define EACH_WIDTH(CASE, R) \
  CASE(R, 1) CASE(R, 2) CASE(R, 3) CASE(R, 4) CASE(R, 5) CASE(R, 6) CASE(R, 8)
#define CASE_OF(R, W) ((R) * 16 + (W))
EACH_WIDTH(DEFINE_RUN, 1)
EACH_WIDTH(DEFINE_RUN, 2)
EACH_WIDTH(DEFINE_RUN, 3)
EACH_WIDTH(DEFINE_RUN, 4)
EACH_WIDTH(DEFINE_RUN, 5)
EACH_WIDTH(DEFINE_RUN, 6)

void TS(fused_scores)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                      const float *token_scale, const float *base, float *scores,
                      const uint8_t *next) {
  int32_t sums[TS_FUSED_ROWS * TOKENS];
  for (int64_t r = 0; base && !code->run_count && r < q->rows; r++) {
    vf_fill(scores + r * TOKENS, TOKENS, base[r]);
  }
  for (int i = 0; i < code->run_count; i++) {
    const ts_code_run *of = &code->runs[i];
    const ts_code_group *g = &code->groups[of->group];
    const key_run run = {
        .group = g,
        .codes = tile + g->at,
        .next = (next ? next : tile) + g->at,
        .count = (int64_t)of->channels * TOKENS,
        .channels = of->channels,
        .is_first = of->is_first,
        .is_last = of->is_last,
        .levels = q->levels + g->graded_at,
        .bytes = (const uint8_t *)q->bytes + g->graded_at,
        .stride = q->stride,
        .sums = sums,
        .to = {q->offsets + g->grade * q->rows, q->scale + g->grade * q->rows, token_scale, base,
               scores},
    };
    switch (CASE_OF(q->rows, g->levels.width)) {
#define RUN(R, W) \
  case CASE_OF(R, W): score_run_##R##_##W(&run); break;
      EACH_WIDTH(RUN, 1)
      EACH_WIDTH(RUN, 2)
      EACH_WIDTH(RUN, 3)
      EACH_WIDTH(RUN, 4)
      EACH_WIDTH(RUN, 5)
      EACH_WIDTH(RUN, 6)
    }
    if (of->is_last) base = 0;
  }
}

/* ---- values ---- */

/* A group of 16 channels: a chunk has four quads of tokens, each of two vectors of channels. */
INLINE void mix_group(const int R, const int width, const ts_code_group *g,
                      const uint8_t *codes, const ts_coded_scratch *s, vb (*sum)[WIDE],
                      const uint8_t *next) {
  const int16_t *weights = s->weights + g->grade * R * TOKENS;
  const uint8_t *bytes = s->weight_bytes + g->grade * R * TOKENS;
  const int K = quads_of(width);
  vb tables[4];
  load_tables(g, is_fine(width) ? TS_OFFSET(width) : 0, tables);
  for (int64_t chunk = 0; chunk < TS_GROUP_CHANNELS * TOKENS / CHUNK; chunk++) {
    ts_planes planes = planes_of(codes, width, TS_GROUP_CHANNELS * TOKENS, chunk);
    for (int64_t i = 0; i < width * (CHUNK / 8); i += 64) {
      __builtin_prefetch(next + chunk * width * (CHUNK / 8) + i);
    }
    UNROLL for (int n = 0; n < CHUNK / UNIT; n += K * WIDE) {
      vb levels[2][WIDE];
      UNROLL for (int k = 0; k < K; k++) {
        UNROLL for (int v = 0; v < WIDE; v++) {
          levels[k][v] = levels_of(planes, width, n + k * WIDE + v, tables);
        }
      }
      const int64_t token = chunk * (CHUNK / UNIT / WIDE * QUAD) + n / WIDE * QUAD;
      if (is_fine(width)) {
        multiply_pairs(R, width, weights + token, TOKENS, levels[0], sum);
      } else {
        multiply_bytes(R, K, 0, bytes + token, TOKENS, levels, sum);
      }
    }
  }
}

/* What the offset of fine levels takes from a row's sums. */
INLINE vb against_offset(const int16_t *weights, const int width) {
  int32_t sum = 0;
  for (int t = 0; t < TOKENS; t++) sum += weights[t];
  return _mm256_set1_epi32(-TS_OFFSET(width) * sum);
}

/* out = out * decay + the products with one group. */
INLINE void mix_and_add(const int R, const int width, const ts_code_group *g,
                        const uint8_t *codes, const ts_coded_scratch *s, const uint8_t *next,
                        const value_place *to) {
  vb sum[TS_FUSED_ROWS][WIDE];
  UNROLL for (int r = 0; r < R; r++) {
    int has_offset = is_fine(width) && TS_OFFSET(width);
    vb start = has_offset ? against_offset(s->weights + r * TOKENS, width) : _mm256_setzero_si256();
    UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = start;
  }
  mix_group(R, width, g, codes, s, sum, next);
  finish_values(R, 0, to, sum);
}

#define DEFINE_MIX(R, W)                                                       \
  static __attribute__((noinline)) void mix_##R##_##W(                         \
      const ts_code_group *g, const uint8_t *codes, const ts_coded_scratch *s, \
      const uint8_t *next, const value_place *to) {                            \
    mix_and_add(R, W, g, codes, s, next, to);                                  \
  }
EACH_WIDTH(DEFINE_MIX, 1)
EACH_WIDTH(DEFINE_MIX, 2)
EACH_WIDTH(DEFINE_MIX, 3)
EACH_WIDTH(DEFINE_MIX, 4)
EACH_WIDTH(DEFINE_MIX, 5)
EACH_WIDTH(DEFINE_MIX, 6)

void TS(fused_values)(const ts_code *code, const uint8_t *tile, int64_t rows,
                      const ts_coded_scratch *s, const float *decay, float *out, int64_t stride,
                      const uint8_t *next) {
  for (int i = 0; i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    const uint8_t *codes = tile + g->at, *ahead = (next ? next : tile) + g->at;
    const value_place to = value_place_of(code, g, rows, s, decay, out, stride);
    switch (CASE_OF(rows, g->levels.width)) {
#define MIX(R, W) \
  case CASE_OF(R, W): mix_##R##_##W(g, codes, s, ahead, &to); break;
      EACH_WIDTH(MIX, 1)
      EACH_WIDTH(MIX, 2)
      EACH_WIDTH(MIX, 3)
      EACH_WIDTH(MIX, 4)
      EACH_WIDTH(MIX, 5)
      EACH_WIDTH(MIX, 6)
    }
  }
}

#endif
