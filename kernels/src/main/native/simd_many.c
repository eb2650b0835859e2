/* Many rows meet a coded tile: the levels of its narrow codes are unpacked once, as bytes. The sums are
 * those of few rows, integers. */
#include "products.h"

#if TS_FUSES

enum { TOKENS = TS_BLOCK_TOKENS };
enum { VECTORS = TOKENS / LANES, QUAD_BYTES = VECTORS * UNIT }; /* of a quad of channels, unpacked */

INLINE void open_width(const ts_code_group *g, const int width, int is_key, const uint8_t *codes,
                       uint8_t *levels) {
  const int64_t count = (int64_t)g->channels * TOKENS;
  vb tables[4];
  load_tables(g, is_key ? TS_OFFSET(width) : 0, tables);
  for (int64_t chunk = 0; chunk < count / CHUNK; chunk++, levels += CHUNK) {
    ts_planes planes = planes_of(codes, width, count, chunk);
    UNROLL for (int n = 0; n < CHUNK / UNIT; n++) {
      vb level = levels_of(planes, width, n, tables);
      memcpy(levels + n * UNIT, &level, sizeof level);
    }
  }
}

/* The levels of a group in the order of its stream. */
static void open_group(const ts_code_group *g, int is_key, const uint8_t *codes, uint8_t *levels) {
  switch (g->levels.width) {
    case 1: open_width(g, 1, is_key, codes, levels); break;
    case 2: open_width(g, 2, is_key, codes, levels); break;
    case 3: open_width(g, 3, is_key, codes, levels); break;
    case 4: open_width(g, 4, is_key, codes, levels); break;
    default: open_width(g, 5, is_key, codes, levels); break;
  }
}

/* sum[r][v] += the products of R rows with `quads` quads, K of them at once. */
INLINE void multiply_quads(const int R, const int K, const int is_key, int64_t quads,
                           const uint8_t *levels, const int64_t step, const uint8_t *a,
                           int64_t a_stride, vb (*sum)[WIDE]) {
  for (int64_t quad = 0; quad < quads; quad += K, levels += K * step, a += K * QUAD) {
    vb column[2][WIDE];
    UNROLL for (int k = 0; k < K; k++) {
      UNROLL for (int v = 0; v < WIDE; v++) column[k][v] = vb_load(levels + k * step + v * UNIT);
    }
    multiply_bytes(R, K, is_key, a, a_stride, column, sum);
  }
}

INLINE void clear_sums(const int R, vb (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = _mm256_setzero_si256();
  }
}

/* ---- keys ---- */

/* Neighbouring quads of channels whose products add up alike. */
typedef struct {
  int64_t quads;
  int at_once;
} key_span;

typedef struct {
  int spans;
  key_span span[TS_MAX_GROUPS];
  const uint8_t *levels; /* [quads][tokens][4] */
  const uint8_t *bytes;  /* of the queries, [rows][stride] */
  int64_t stride;
  score_place to;
} key_bytes;

INLINE void score_rows(const int R, int64_t row, const int token, const key_bytes *k) {
  const uint8_t *levels = k->levels + token * QUAD, *a = k->bytes + row * k->stride;
  vb sum[FOLD_ROWS][WIDE];
  clear_sums(R, sum);
  for (int i = 0; i < k->spans; i++) {
    int64_t quads = k->span[i].quads;
    if (k->span[i].at_once == 2) {
      multiply_quads(R, 2, 1, quads, levels, QUAD_BYTES, a, k->stride, sum);
    } else {
      multiply_quads(R, 1, 1, quads, levels, QUAD_BYTES, a, k->stride, sum);
    }
    levels += quads * QUAD_BYTES;
    a += quads * QUAD;
  }
  finish_scores(R, row, token, &k->to, sum);
}

void TS(many_scores)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                     const float *token_scale, float *scores, ts_coded_scratch *s) {
  const int64_t begin = code->grades[TS_BYTES], rows = q->rows;
  if (begin == code->grades[TS_BYTES + 1]) return;
  uint8_t *levels = (uint8_t *)s->pairs;
  key_bytes k = {
      .levels = levels,
      .bytes = (const uint8_t *)q->bytes + begin,
      .stride = q->stride,
      .to = {q->offsets + TS_BYTES * rows, q->scale + TS_BYTES * rows, token_scale, 0, scores},
  };
  for (int i = 0; i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    if (g->grade != TS_BYTES) continue;
    open_group(g, 1, tile + g->at, levels + (g->graded_at - begin) * TOKENS);
    key_span span = {g->channels / QUAD, quads_of(g->levels.width)};
    if (k.spans && k.span[k.spans - 1].at_once == span.at_once) {
      k.span[k.spans - 1].quads += span.quads;
    } else {
      k.span[k.spans++] = span;
    }
  }
  for (int token = 0; token < TOKENS; token += WIDE * LANES) {
#define SCORE_ROWS(R) score_rows(R, r, token, &k)
    EACH_FOLD(rows, SCORE_ROWS)
  }
}

/* ---- values ---- */

INLINE void mix_rows(const int R, int64_t row, int at_once, const uint8_t *levels,
                     const uint8_t *weights, const value_place *to) {
  const uint8_t *a = weights + row * TOKENS;
  vb sum[FOLD_ROWS][WIDE];
  clear_sums(R, sum);
  if (at_once == 2) {
    multiply_quads(R, 2, 0, TOKENS / QUAD, levels, WIDE * UNIT, a, TOKENS, sum);
  } else {
    multiply_quads(R, 1, 0, TOKENS / QUAD, levels, WIDE * UNIT, a, TOKENS, sum);
  }
  finish_values(R, row, to, sum);
}

void TS(many_values)(const ts_code *code, const ts_code_group *g, const uint8_t *tile, int64_t rows,
                     const float *decay, float *out, int64_t stride, ts_coded_scratch *s) {
  uint8_t *levels = (uint8_t *)s->pairs;
  const uint8_t *weights = s->weight_bytes + g->grade * rows * TOKENS;
  const int at_once = quads_of(g->levels.width);
  const value_place to = value_place_of(code, g, rows, s, decay, out, stride);
  open_group(g, 0, tile + g->at, levels);
#define MIX_ROWS(R) mix_rows(R, r, at_once, levels, weights, &to)
  EACH_FOLD(rows, MIX_ROWS)
}

#endif
