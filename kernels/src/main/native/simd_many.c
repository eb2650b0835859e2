/* Many rows meet a coded tile: the levels of its narrow codes are unpacked once, as bytes. The sums are
 * those of few rows, integers. */
#include "products.h"

#if TS_FUSES

enum { TOKENS = TS_BLOCK_TOKENS };
enum {
  QUAD_BYTES = TOKENS * QUAD, /* of a quad of channels, unpacked */
  VALUE_BYTES = WIDE * VECTOR_BYTES, /* of VALUE_QUADS quads of tokens of a group, unpacked */
};

INLINE void open_width(const ts_code_group *g, const int width, int is_key, const uint8_t *codes,
                       uint8_t *levels) {
  const int64_t count = (int64_t)g->channels * TOKENS;
  vw tables[4];
  load_tables(g, is_key ? TS_OFFSET(width) : value_offset(width), tables);
  for (int64_t chunk = 0; chunk < count / CHUNK; chunk++, levels += CHUNK) {
    ts_planes planes = planes_of(codes, width, count, chunk);
    UNROLL for (int n = 0; n < CHUNK / VECTOR_BYTES; n++) {
      vw level = vw_levels(planes, width, n, tables);
      memcpy(levels + n * VECTOR_BYTES, &level, sizeof level);
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

/* sum[r][v] += the products of R rows with `quads` quads of keys, or of values, K of them at once. */
INLINE void multiply_quads(const int R, const int K, const int is_key, int64_t quads,
                           const uint8_t *levels, const uint8_t *a, int64_t a_stride,
                           vw (*sum)[WIDE]) {
  const int64_t bytes = is_key ? QUAD_BYTES : VALUE_BYTES;
  const int step = is_key ? K : K * VALUE_QUADS;
  for (int64_t quad = 0; quad < quads; quad += step, levels += K * bytes, a += step * QUAD) {
    vw column[WIDE][2];
    UNROLL for (int k = 0; k < K; k++) {
      UNROLL for (int v = 0; v < WIDE; v++) column[v][k] = vw_load(levels + k * bytes + v * VECTOR_BYTES);
    }
    multiply_bytes(R, K, is_key, a, a_stride, column, sum);
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
  vw sum[FOLD_ROWS][WIDE];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) sum[r][v] = vw_zero();
  }
  for (int i = 0; i < k->spans; i++) {
    int64_t quads = k->span[i].quads;
    if (k->span[i].at_once == 2) {
      multiply_quads(R, 2, 1, quads, levels, a, k->stride, sum);
    } else {
      multiply_quads(R, 1, 1, quads, levels, a, k->stride, sum);
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

INLINE void mix_rows(const int R, int64_t row, const ts_code_group *g, const uint8_t *levels,
                     const ts_coded_scratch *s, int64_t rows, const value_place *to) {
  const int64_t at = g->grade * rows + row;
  const uint8_t *a = s->weight_bytes + at * TOKENS;
  const int width = g->levels.width;
  vw sum[FOLD_ROWS][WIDE];
  if (width <= TS_SMALL_WIDTH) {
    start_values(R, TS_SMALL_WIDTH, s->weight_sums + at, sum);
    multiply_quads(R, quads_of(TS_SMALL_WIDTH), 0, TOKENS / QUAD, levels, a, TOKENS, sum);
  } else {
    start_values(R, TS_BYTES_WIDTH, s->weight_sums + at, sum);
    multiply_quads(R, quads_of(TS_BYTES_WIDTH), 0, TOKENS / QUAD, levels, a, TOKENS, sum);
  }
  finish_values(R, row, to, sum);
}

void TS(many_values)(const ts_code *code, const ts_code_group *g, const uint8_t *tile, int64_t rows,
                     const float *decay, float *out, int64_t stride, ts_coded_scratch *s) {
  uint8_t *levels = (uint8_t *)s->pairs;
  const value_place to = value_place_of(code, g, rows, s, decay, out, stride);
  open_group(g, 0, tile + g->at, levels);
#define MIX_ROWS(R) mix_rows(R, r, g, levels, s, rows, &to)
  EACH_FOLD(rows, MIX_ROWS)
}

#endif
