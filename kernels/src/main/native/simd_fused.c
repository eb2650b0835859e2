/* Few rows meet a coded tile: its levels go from the codes into products without a stop in memory. */
#include "products.h"

#if TS_FUSES

enum { TOKENS = TS_BLOCK_TOKENS };
enum {
  QUAD_BYTES = CHUNK / 8,         /* of a quad of channels with 64 tokens, for each bit */
  PASSES = TOKENS / LANES / WIDE, /* over a run of keys */
};

INLINE vw pair_of(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return vw_quad(pair);
}

/* sum[r][v] += a quad's products, or those of VALUE_QUADS quads: R rows of four elements of 16 bits with
 * WIDE vectors of lanes. */
INLINE void multiply_pairs(const int R, const int width, const int is_key, const int16_t *a,
                           int64_t a_stride, vw (*levels)[2], vw (*sum)[WIDE]) {
  UNROLL for (int v = 0; v < WIDE; v++) {
    vw level = levels[v][0];
    vw first = TS_OFFSET(width) ? vw_even_bytes(level) : vw_first_pairs(level);
    vw last = TS_OFFSET(width) ? vw_odd_bytes(level) : vw_last_pairs(level);
    const int quad = is_key ? 0 : v / VALUE_VECTORS;
    UNROLL for (int r = 0; r < R; r++) {
      const int16_t *x = a + r * a_stride + quad * QUAD;
      sum[r][v] = add_dot(sum[r][v], pair_of(x), first);
      sum[r][v] = add_dot(sum[r][v], pair_of(x + 2), last);
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
                       const vw *tables) {
  const uint8_t *codes = run->codes, *ahead = run->next, *bytes = run->bytes;
  const int16_t *pairs = run->levels;
  const int64_t count = run->count, stride = run->stride;
  const int K = quads_of(width);
  int32_t *sums = run->sums + n * LANES;
  vw sum[TS_FUSED_ROWS][WIDE];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      sum[r][v] = run->is_first ? vw_zero() : vw_load(sums + r * TOKENS + v * LANES);
    }
  }
  for (int64_t quad = 0, quads = run->channels / QUAD; quad < quads; quad += K) {
    /* The next tile's lines, spread over the passes. */
    UNROLL for (int i = n / WIDE * 64; i < K * width * QUAD_BYTES; i += PASSES * 64) {
      __builtin_prefetch(ahead + quad * width * QUAD_BYTES + i);
    }
    vw levels[WIDE][2];
    UNROLL for (int k = 0; k < K; k++) {
      ts_planes planes = planes_of(codes, width, count, quad + k);
      UNROLL for (int v = 0; v < WIDE; v++) levels[v][k] = vw_levels(planes, width, n + v, tables);
    }
    if (is_fine(width)) {
      multiply_pairs(R, width, 1, pairs + quad * QUAD, stride, levels, sum);
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
  vw tables[4];
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

/* A group of 16 channels: a chunk has four quads of tokens, each of VALUE_VECTORS vectors of channels. */
INLINE void mix_group(const int R, const int width, const ts_code_group *g,
                      const uint8_t *codes, const ts_coded_scratch *s, vw (*sum)[WIDE],
                      const uint8_t *next) {
  const int16_t *weights = s->weights + g->grade * R * TOKENS;
  const uint8_t *bytes = s->weight_bytes + g->grade * R * TOKENS;
  const int K = quads_of(width);
  vw tables[4];
  load_tables(g, value_offset(width), tables);
  for (int64_t chunk = 0; chunk < TS_GROUP_CHANNELS * TOKENS / CHUNK; chunk++) {
    ts_planes planes = planes_of(codes, width, TS_GROUP_CHANNELS * TOKENS, chunk);
    for (int64_t i = 0; i < width * (CHUNK / 8); i += 64) {
      __builtin_prefetch(next + chunk * width * (CHUNK / 8) + i);
    }
    UNROLL for (int n = 0; n < CHUNK / VECTOR_BYTES; n += K * WIDE) {
      vw levels[WIDE][2];
      UNROLL for (int k = 0; k < K; k++) {
        UNROLL for (int v = 0; v < WIDE; v++) {
          levels[v][k] = vw_levels(planes, width, n + k * WIDE + v, tables);
        }
      }
      const int64_t token = chunk * (CHUNK / TS_GROUP_CHANNELS) + n / VALUE_VECTORS * QUAD;
      if (is_fine(width)) {
        multiply_pairs(R, width, 0, weights + token, TOKENS, levels, sum);
      } else {
        multiply_bytes(R, K, 0, bytes + token, TOKENS, levels, sum);
      }
    }
  }
}

/* out = out * decay + the products with one group. */
INLINE void mix_and_add(const int R, const int width, const ts_code_group *g,
                        const uint8_t *codes, const ts_coded_scratch *s, const uint8_t *next,
                        const value_place *to) {
  vw sum[TS_FUSED_ROWS][WIDE];
  start_values(R, width, s->weight_sums + g->grade * R, sum);
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
