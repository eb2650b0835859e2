#include "fused.h"

#include "levels.h"

enum { TOKENS = TS_BLOCK_TOKENS, QUAD = 4, WIDE = 2 }; /* WIDE: vectors of lanes at once */
enum { QUAD_BYTES = CHUNK / 8 }; /* of a quad of channels with 64 tokens, for each bit */

/* Arrays of vectors have constant sizes here: those of a parameter's size would stay in memory. */

#if TS_FUSES

INLINE vb pair_of(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}

INLINE vb quad_of(const void *p) {
  int32_t quad;
  memcpy(&quad, p, sizeof quad);
  return _mm256_set1_epi32(quad);
}

/* The sum is to stay in its register: reordered additions would need more of them than there are. */
INLINE vb add_dot(vb sum, vb a, vb b) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  __asm__("" : "+x"(sum));
  return sum;
}

/* Levels of keys are looked up as levels + 128, so that they are unsigned. What that adds to a sum is
 * known before: 128 times the row's elements. */
enum { OFFSET = 128 };

INLINE int is_offset(const int width) { return width != TS_BYTE_WIDTH; }

/* Whether products are of 16 bits: of codes that have that grade whatever the other groups have. */
INLINE int is_fine(const int width) { return width > TS_BYTES_WIDTH; }

/* Quads of bytes whose products add up within 16 bits. */
INLINE int quads_of(const ts_code_group *g) { return g->grade == TS_COARSE ? 2 : 1; }

INLINE void load_tables(const ts_code_group *g, const int offset, vb *tables) {
  UNROLL for (int i = 0; i < 4; i++) {
    tables[i] = _mm256_xor_si256(vb_table(g->lookup[i]), _mm256_set1_epi8((char)offset));
  }
}

/* sum[r][v] += a quad's products: R rows of four elements of 16 bits with WIDE vectors of eight lanes. */
INLINE void multiply_pairs(const int R, const int width, const int16_t *a, int64_t a_stride,
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

/* The same of K quads of bytes; of the two factors, keys' levels or values' weights are unsigned. */
INLINE void multiply_bytes(const int R, const int K, const int is_key, const uint8_t *a,
                           int64_t a_stride, vb (*levels)[WIDE], vb (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      vb pairs = _mm256_setzero_si256();
      UNROLL for (int k = 0; k < K; k++) {
        vb x = quad_of(a + r * a_stride + k * QUAD);
        vb product = is_key ? _mm256_maddubs_epi16(levels[k][v], x)
                            : _mm256_maddubs_epi16(x, levels[k][v]);
        pairs = k ? _mm256_add_epi16(pairs, product) : product;
      }
      sum[r][v] = add_dot(sum[r][v], pairs, _mm256_set1_epi16(1));
    }
  }
}

/* ---- keys ---- */

/* Groups of one code, and the rows that meet it. */
typedef struct {
  const uint8_t *codes, *next; /* of the next tile, or null */
  int64_t count;               /* elements of a plane */
  int channels;
  const int16_t *levels; /* of the queries, [R][stride] */
  const uint8_t *bytes;
  int64_t stride;
} key_run;

/* acc[r][64] += the products of one run for the tokens of vectors n and n + 1. */
INLINE void score_pass(const int R, const int width, const int K, const int n, const key_run *run,
                       const vb *tables, int32_t *acc) {
  const uint8_t *codes = run->codes, *ahead = run->next, *bytes = run->bytes;
  const int16_t *pairs = run->levels;
  const int64_t count = run->count, stride = run->stride;
  vb sum[TS_FUSED_ROWS][WIDE];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = vb_load(acc + r * TOKENS + (n + v) * 8);
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
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      memcpy(acc + r * TOKENS + (n + v) * 8, &sum[r][v], sizeof sum[r][v]);
    }
  }
}

INLINE void score_run(const int R, const int width, const int K, const ts_code_group *g,
                      const key_run *run, int32_t *acc) {
  vb tables[4];
  load_tables(g, is_offset(width) ? OFFSET : 0, tables);
  UNROLL for (int n = 0; n < TOKENS / 8; n += WIDE) score_pass(R, width, K, n, run, tables, acc);
}

/* Each in a function of its own: together they leave a compiler too few registers. */
#define DEFINE_RUN(R, W, K)                                                                         \
  static __attribute__((noinline)) void score_run_##R##_##W##_##K(const ts_code_group *g,           \
                                                                  const key_run *run, int32_t *acc) { \
    score_run(R, W, K, g, run, acc);                                                                \
  }
#define EACH_WIDTH(CASE, R)                                                                       \
  CASE(R, 1, 1) CASE(R, 2, 1) CASE(R, 3, 1) CASE(R, 4, 1) CASE(R, 5, 1) CASE(R, 6, 1) CASE(R, 8, 1) \
  CASE(R, 1, 2) CASE(R, 2, 2) CASE(R, 3, 2)
#define CASE_OF(R, W, K) (((R) * 16 + (W)) * 2 + (K))
EACH_WIDTH(DEFINE_RUN, 1)
EACH_WIDTH(DEFINE_RUN, 2)
EACH_WIDTH(DEFINE_RUN, 3)
EACH_WIDTH(DEFINE_RUN, 4)
EACH_WIDTH(DEFINE_RUN, 5)
EACH_WIDTH(DEFINE_RUN, 6)

static void score_group_run(int64_t rows, const ts_code_group *g, const key_run *run, int32_t *acc) {
  switch (CASE_OF(rows, g->levels.width, quads_of(g))) {
#define RUN(R, W, K) \
  case CASE_OF(R, W, K): score_run_##R##_##W##_##K(g, run, acc); break;
    EACH_WIDTH(RUN, 1)
    EACH_WIDTH(RUN, 2)
    EACH_WIDTH(RUN, 3)
    EACH_WIDTH(RUN, 4)
    EACH_WIDTH(RUN, 5)
    EACH_WIDTH(RUN, 6)
  }
}

/* What is added to a row's sums of a grade, times the levels' offset. */
INLINE int32_t offset_sum(const ts_code *code, const int32_t *sums, int grade) {
  int32_t sum = 0;
  for (int g = 0; g < code->group_count; g++) {
    if (code->groups[g].grade == grade && is_offset(code->groups[g].levels.width)) sum += sums[g];
  }
  return sum;
}

void TS(fused_scores)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                      const float *token_scale, float *scores, const uint8_t *next) {
  for (int grade = 0; grade < TS_GRADES; grade++) {
    if (code->grades[grade] == code->grades[grade + 1]) continue;
    int32_t acc[TS_FUSED_ROWS * TOKENS];
    memset(acc, 0, (size_t)q->rows * TOKENS * sizeof *acc);
    for (int first = 0, end; first < code->group_count; first = end) {
      const ts_code_group *g = &code->groups[first];
      const int width = g->levels.width;
      /* Where a code is one plane, one group's codes follow the other's. */
      end = width == 3 || width == 5 || width == 6 ? first + 1 : g->run_end;
      if (g->grade != grade) continue;
      const ts_code_group *last = &code->groups[end - 1];
      const int channels = last->first + last->channels - g->first;
      key_run run = {
          .codes = tile + g->at,
          .next = (next ? next : tile) + g->at,
          .count = (int64_t)channels * TOKENS,
          .channels = channels,
          .levels = q->levels + g->graded_at,
          .bytes = (const uint8_t *)q->bytes + g->graded_at,
          .stride = q->stride,
      };
      score_group_run(q->rows, g, &run, acc);
    }
    for (int64_t r = 0; r < q->rows; r++) {
      int32_t offset = OFFSET * offset_sum(code, q->sums + r * TS_MAX_GROUPS, grade);
      vf row_scale = vf_all(q->scale[grade * q->rows + r]);
      UNROLL for (int t = 0; t < TOKENS; t += LANES) {
        vi sum;
        memcpy(&sum, acc + r * TOKENS + t, sizeof sum);
        float *at = scores + r * TOKENS + t;
        vf product = __builtin_convertvector(sum - offset, vf);
        vf_store(at, vf_fma(product, vf_load(token_scale + t) * row_scale, vf_load(at)));
      }
    }
  }
}

/* ---- values ---- */

/* A group of 16 channels: a chunk has four quads of tokens, each of two vectors of channels. */
INLINE void mix_group(const int R, const int width, const int K, const ts_code_group *g,
                      const uint8_t *codes, const ts_coded_scratch *s, vb (*sum)[WIDE],
                      const uint8_t *next) {
  const int16_t *weights = s->weights + g->grade * R * TOKENS;
  const uint8_t *bytes = s->weight_bytes + g->grade * R * TOKENS;
  vb tables[4];
  load_tables(g, is_fine(width) && is_offset(width) ? OFFSET : 0, tables);
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
INLINE vb against_offset(const int16_t *weights) {
  int32_t sum = 0;
  for (int t = 0; t < TOKENS; t++) sum += weights[t];
  return _mm256_set1_epi32(-OFFSET * sum);
}

INLINE void mix_group_sums(const int R, const int width, const int K, const ts_code_group *g,
                           const uint8_t *codes, const ts_coded_scratch *s, const uint8_t *next,
                           int32_t *acc) {
  vb sum[TS_FUSED_ROWS][WIDE];
  UNROLL for (int r = 0; r < R; r++) {
    int has_offset = is_fine(width) && is_offset(width);
    vb start = has_offset ? against_offset(s->weights + r * TOKENS) : _mm256_setzero_si256();
    UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = start;
  }
  mix_group(R, width, K, g, codes, s, sum, next);
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      memcpy(acc + r * TS_GROUP_CHANNELS + v * 8, &sum[r][v], sizeof sum[r][v]);
    }
  }
}

#define DEFINE_MIX(R, W, K)                                                                  \
  static __attribute__((noinline)) void mix_##R##_##W##_##K(                                 \
      const ts_code_group *g, const uint8_t *codes, const ts_coded_scratch *s,               \
      const uint8_t *next, int32_t *acc) {                                                   \
    mix_group_sums(R, W, K, g, codes, s, next, acc);                                         \
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
    int32_t acc[TS_FUSED_ROWS * TS_GROUP_CHANNELS];
    switch (CASE_OF(rows, g->levels.width, quads_of(g))) {
#define MIX(R, W, K) \
  case CASE_OF(R, W, K): mix_##R##_##W##_##K(g, codes, s, ahead, acc); break;
      EACH_WIDTH(MIX, 1)
      EACH_WIDTH(MIX, 2)
      EACH_WIDTH(MIX, 3)
      EACH_WIDTH(MIX, 4)
      EACH_WIDTH(MIX, 5)
      EACH_WIDTH(MIX, 6)
    }
    for (int64_t r = 0; r < rows; r++) {
      vf row_scale = vf_all(s->weight_scale[g->grade * rows + r]), row_decay = vf_all(decay[r]);
      UNROLL for (int v = 0; v < TS_GROUP_CHANNELS / LANES; v++) {
        vi sum;
        memcpy(&sum, acc + r * TS_GROUP_CHANNELS + v * LANES, sizeof sum);
        float *at = out + r * stride + g->first + v * LANES;
        vf scale = vf_load(code->unit + g->first + v * LANES) * row_scale;
        vf_store(at, vf_fma(__builtin_convertvector(sum, vf), scale, vf_load(at) * row_decay));
      }
    }
  }
}

#endif
