#include "channel.h"
#include "fused.h"
#include "levels.h"
#include "pairs.h"
#include "quantise.h"

enum {
  TOKENS = TS_BLOCK_TOKENS,
  BLOCK_ROWS = TS_LEVEL == 3 ? 12 : TS_LEVEL == 2 ? 6 : 2,
  SLICE = 16,
  VECTORS = SLICE / LANES,
};

/* ---- levels as pairs ---- */

/* Levels of `count` elements as pairs, [depth / 2][lanes][2]. */
INLINE void unpack_width(const ts_code_group *g, const int width, const int lanes,
                         const uint8_t *codes, int64_t count, int16_t *out) {
  vb tables[4];
  UNROLL for (int i = 0; i < 4; i++) tables[i] = vb_table(g->lookup[i]);
  const int across = lanes / 8; /* vectors of a quad */
  for (int64_t chunk = 0; chunk < count / CHUNK; chunk++, out += CHUNK) {
    ts_planes planes = planes_of(codes, width, count, chunk);
    UNROLL for (int n = 0; n < CHUNK / UNIT; n++) {
      int16_t *to = out + n / across * (4 * lanes) + n % across * 16;
      vb levels = levels_of(planes, width, n, tables);
      vb first = vb_first_pairs(levels), last = vb_last_pairs(levels);
      memcpy(to, &first, sizeof first);
      memcpy(to + 2 * lanes, &last, sizeof last);
    }
  }
}

INLINE void unpack_lanes(const ts_code_group *g, const int lanes, const uint8_t *codes,
                         int16_t *out) {
  int64_t count = (int64_t)g->channels * TOKENS;
  switch (g->levels.width) {
    case 1: unpack_width(g, 1, lanes, codes, count, out); break;
    case 2: unpack_width(g, 2, lanes, codes, count, out); break;
    case 3: unpack_width(g, 3, lanes, codes, count, out); break;
    case 4: unpack_width(g, 4, lanes, codes, count, out); break;
    case 5: unpack_width(g, 5, lanes, codes, count, out); break;
    case 6: unpack_width(g, 6, lanes, codes, count, out); break;
    case 8: unpack_width(g, 8, lanes, codes, count, out); break;
    default: break;
  }
}

static void unpack_keys(const ts_code_group *g, const uint8_t *codes, int16_t *out) {
  unpack_lanes(g, TOKENS, codes, out);
}

static void unpack_values(const ts_code_group *g, const uint8_t *codes, int16_t *out) {
  if (g->channels == TS_GROUP_CHANNELS) {
    unpack_lanes(g, TS_GROUP_CHANNELS, codes, out);
  } else {
    unpack_lanes(g, TS_GROUP_CHANNELS / 2, codes, out);
  }
}

/* ---- products of pairs ---- */

INLINE vi vi_all(int32_t x) { return x - (vi)vf_all(0); }

/* sum + the products of pairs of 16 bits, in each lane. */
INLINE vi vi_dot(vi sum, vi a, vi b) {
#if TS_LEVEL == 3 && !defined(TS_EMULATE_AVX512)
  return (vi)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)a, (__m512i)b);
#elif TS_LEVEL >= 2
  union {
    vi all;
    __m256i part[LANES / 8];
  } s = {sum}, x = {a}, y = {b};
  UNROLL for (int i = 0; i < LANES / 8; i++) {
    s.part[i] = _mm256_add_epi32(s.part[i], _mm256_madd_epi16(x.part[i], y.part[i]));
  }
  return s.all;
#else
  vi low = (a << 16 >> 16) * (b << 16 >> 16);
  return sum + low + (a >> 16) * (b >> 16);
#endif
}

INLINE vi vi_load(const void *p) {
  vi v;
  memcpy(&v, p, sizeof v);
  return v;
}

INLINE int32_t pair_at(const int16_t *p) {
  int32_t pair;
  memcpy(&pair, p, sizeof pair);
  return pair;
}

/* sum[r][v] = the products of `depth` pairs of R rows with V vectors of lanes. */
INLINE void multiply(const int R, const int V, int64_t depth, const int16_t *a, int64_t a_stride,
                     const int16_t *b, int64_t b_stride, vi (*sum)[4 * VECTORS]) {
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) sum[r][v] = vi_all(0);
  }
  for (int64_t k = 0; k < depth; k++, a += 2, b += b_stride) {
    vi column[4 * VECTORS];
    UNROLL for (int v = 0; v < V; v++) column[v] = vi_load(b + v * 2 * LANES);
    UNROLL for (int r = 0; r < R; r++) {
      vi pair = vi_all(pair_at(a + r * a_stride));
      UNROLL for (int v = 0; v < V; v++) sum[r][v] = vi_dot(sum[r][v], pair, column[v]);
    }
  }
}

INLINE vf vf_of(vi x) { return __builtin_convertvector(x, vf); }

/* scores += the products with S slices of keys, by the tokens' and the rows' scales. */
INLINE void score_block(const int R, const int S, int64_t depth, const int16_t *a, int64_t a_stride,
                        const int16_t *b, const float *token_scale, const float *row_scale,
                        float *scores) {
  vi sum[BLOCK_ROWS][4 * VECTORS];
  multiply(R, S * VECTORS, depth, a, a_stride, b, 2 * TOKENS, sum);
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < S * VECTORS; v++) {
      vf scale = vf_load(token_scale + v * LANES) * vf_all(row_scale[r]);
      float *at = scores + r * TOKENS + v * LANES;
      vf_store(at, vf_fma(vf_of(sum[r][v]), scale, vf_load(at)));
    }
  }
}

/* out = out * decay + the products with one group of values, by the channels' units and rows' scales. */
INLINE void value_block(const int R, const int V, const int lanes, const int16_t *a,
                        const int16_t *b, const float *unit, const float *row_scale,
                        const float *decay, float *out, int64_t stride) {
  vi sum[BLOCK_ROWS][4 * VECTORS];
  multiply(R, V, TOKENS / 2, a, TOKENS, b, 2 * lanes, sum);
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) {
      float *at = out + r * stride + v * LANES;
      vf scale = vf_load(unit + v * LANES) * vf_all(row_scale[r]);
      vf_store(at, vf_fma(vf_of(sum[r][v]), scale, vf_load(at) * vf_all(decay[r])));
    }
  }
}

/* Rows in blocks of nearly equal size, each by a case of its own. */
#define EACH_BLOCK(rows)                                                        \
  for (int64_t blocks_ = ((rows) + BLOCK_ROWS - 1) / BLOCK_ROWS, i_ = 0; i_ < blocks_; i_++)
#define BLOCK_FIRST(rows) ((rows) * i_ / blocks_)
#define BLOCK_COUNT(rows) ((rows) * (i_ + 1) / blocks_ - BLOCK_FIRST(rows))
#if TS_LEVEL == 3
#define EACH_COUNT(CASE) \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#elif TS_LEVEL == 2
#define EACH_COUNT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#else
#define EACH_COUNT(CASE) CASE(1) CASE(2)
#endif

/* scores += a slice's products in the channels of one grade. */
static void score_slice(const ts_code *code, int grade, const ts_coded_query *q,
                        const int16_t *pairs, const float *token_scale, float *scores) {
  int64_t begin = code->grades[grade], depth = (code->grades[grade + 1] - begin) / 2;
  const int16_t *levels = q->levels + begin, *b = pairs + begin * TOKENS;
  const float *scale = q->scale + grade * q->rows;
  EACH_BLOCK(q->rows) {
    int64_t first = BLOCK_FIRST(q->rows);
    switch (BLOCK_COUNT(q->rows)) {
#define SCORE(R)                                                                          \
  case R:                                                                                 \
    score_block(R, 1, depth, levels + first * q->stride, q->stride, b, token_scale,       \
                scale + first, scores + first * TOKENS);                                  \
    break;
      EACH_COUNT(SCORE)
    }
  }
}

static void value_group(int64_t rows, const ts_code_group *g, const float *unit,
                        const float *decay, float *out, int64_t stride,
                        const ts_coded_scratch *s) {
  const int16_t *weights = s->weights + g->grade * rows * TOKENS;
  const float *scale = s->weight_scale + g->grade * rows;
  EACH_BLOCK(rows) {
    int64_t first = BLOCK_FIRST(rows);
    switch (BLOCK_COUNT(rows)) {
#define MIX(R)                                                                                   \
  case R:                                                                                        \
    value_block(R, VECTORS, TS_GROUP_CHANNELS, weights + first * TOKENS, s->pairs, unit,         \
                scale + first, decay + first, out + g->first + first * stride, stride);          \
    break;
      EACH_COUNT(MIX)
    }
  }
}

/* ---- the scores of a tile ---- */

/* base[r] += R rows' products with the mean, which is `scale` times its levels. */
INLINE void add_mean(const int R, const float *query, int64_t stride, int64_t dim,
                     const uint8_t *levels, float scale, float *base) {
  vf sum[2][FOLD_ROWS]; /* of the even and of the odd vectors */
  float product[FOLD_ROWS];
  UNROLL for (int r = 0; r < R; r++) sum[0][r] = sum[1][r] = vf_all(0);
  int64_t i = 0;
  for (; i + 2 * LANES <= dim; i += 2 * LANES) {
    UNROLL for (int odd = 0; odd < 2; odd++) {
      vf mean = vf_load_bytes(levels + i + odd * LANES);
      UNROLL for (int r = 0; r < R; r++) {
        sum[odd][r] = vf_fma(vf_load(query + r * stride + i + odd * LANES), mean, sum[odd][r]);
      }
    }
  }
  for (int odd = 0; i < dim; i += LANES, odd++) {
    uint8_t rest[LANES] = {0};
    memcpy(rest, levels + i, LANES > 8 && dim - i < LANES ? 8 : LANES);
    vf mean = vf_load_bytes(rest);
    UNROLL for (int r = 0; r < R; r++) {
      sum[odd][r] = vf_fma(vf_load(query + r * stride + i), mean, sum[odd][r]);
    }
  }
  UNROLL for (int r = 0; r < R; r++) sum[0][r] = sum[0][r] + sum[1][r];
  vf_sums(R, sum[0], product);
  UNROLL for (int r = 0; r < R; r++) base[r] += product[r] * scale;
}

/* base[r] = what all scores of a row have: its product with the tile's mean, and with what of the
 * turning mean does not turn. */
static void find_base(const ts_code *code, const uint8_t *tile, const ts_coded_query *q) {
  for (int64_t r = 0; r < q->rows; r++) q->base[r] = code->turn ? q->rest[r] : 0;
  if (!code->is_centred) return;
  const uint8_t *levels = tile + code->mean_at;
  const float scale = ts_half(tile + code->mean_scale_at);
#define ADD_MEAN(R) \
  add_mean(R, q->query + r * q->stride, q->stride, code->dim, levels, scale, q->base + r)
  EACH_FOLD(q->rows, ADD_MEAN)
}

/* scores[r] = R rows' products with a key; each row's terms are added in order. */
INLINE void score_key(const int R, const float *query, int64_t stride, int64_t dim,
                      const uint8_t *key, float *scores) {
  vf sum[FOLD_ROWS];
  float score[FOLD_ROWS];
  UNROLL for (int r = 0; r < R; r++) sum[r] = vf_all(0);
  for (int64_t i = 0; i < dim; i += LANES) {
    uint16_t half[LANES] = {0};
    if (LANES > 8 && dim - i < LANES) {
      memcpy(half, key + i * TS_ELEMENT_BYTES, 8 * sizeof *half);
    } else {
      memcpy(half, key + i * TS_ELEMENT_BYTES, sizeof half);
    }
    vf column = vf_load_half(half);
    UNROLL for (int r = 0; r < R; r++) {
      sum[r] = vf_fma(vf_load(query + r * stride + i), column, sum[r]);
    }
  }
  vf_sums(R, sum, score);
  UNROLL for (int r = 0; r < R; r++) scores[r * TOKENS] = score[r];
}

/* Spared tokens have the scores of an exact tile. */
static void score_spared(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                         float *scores) {
  for (int32_t n = 0; n < code->spared; n++) {
    const uint8_t *key = tile + code->spare_at + (int64_t)n * code->dim * TS_ELEMENT_BYTES;
    float *score = scores + tile[code->spare_index_at + n];
#define SCORE_KEY(R) \
  score_key(R, q->query + r * q->stride, q->stride, code->dim, key, score + r * TOKENS)
    EACH_FOLD(q->rows, SCORE_KEY)
  }
}

INLINE void fetch(const uint8_t *next, int64_t from, int64_t to) {
  if (!next) return;
  for (int64_t i = from; i < to; i += 64) __builtin_prefetch(next + i);
}

INLINE void load_scales(const uint8_t *at, float *scale) {
  const uint16_t *half = (const uint16_t *)at;
  UNROLL for (int t = 0; t < TOKENS; t += LANES) vf_store(scale + t, vf_load_half(half + t));
}

/* scores += the products with a tile of keys, which is unpacked for all rows. */
static void score_many(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                       const float *token_scale, float *scores, const uint8_t *next,
                       ts_coded_scratch *s) {
  const int has_bytes = TS_FUSES && code->coding == TS_CODING_TOKENS;
  for (int g = 0; g < code->group_count; g++) {
    const ts_code_group *group = &code->groups[g];
    if (group->grade == TS_GRADES) continue;
    fetch(next, group->at, group->at + (int64_t)group->channels * TOKENS / 8 * group->levels.width);
    if (has_bytes && group->grade == TS_BYTES) continue;
    int16_t *pairs = s->pairs + group->graded_at * TOKENS;
    if (code->pairs) {
      TS(pairs_of_keys)(code, group, tile + group->at, pairs);
    } else {
      unpack_keys(group, tile + group->at, pairs);
    }
  }
  for (int slice = 0; slice < TOKENS; slice += SLICE) {
    for (int grade = 0; grade < TS_GRADES; grade++) {
      if (code->grades[grade] == code->grades[grade + 1]) continue;
      if (has_bytes && grade == TS_BYTES) continue;
      score_slice(code, grade, q, s->pairs + slice * 2, token_scale + slice, scores + slice);
    }
  }
  if (has_bytes) TS(many_scores)(code, tile, q, token_scale, scores, s);
}

void TS(code_scores)(const ts_code *code, const ts_turn_table *turn, int64_t block,
                     const uint8_t *tile, const ts_coded_query *q, float *scores,
                     const uint8_t *next, ts_coded_scratch *s) {
  float token_scale[TOKENS];
  find_base(code, tile, q);
  if (code->coding == TS_CODING_CHANNELS) {
    vf_fill(token_scale, TOKENS, 1);
    TS(channel_query)(code, tile, q);
  } else {
    load_scales(tile + code->scales_at, token_scale);
  }
  const int is_fused = TS_FUSES && q->rows <= TS_FUSED_ROWS && code->coding == TS_CODING_TOKENS;
  if (code->turn) {
    TS(turned_scores)(turn, block, q, q->base, scores);
  } else if (!is_fused) {
    for (int64_t r = 0; r < q->rows; r++) vf_fill(scores + r * TOKENS, TOKENS, q->base[r]);
  }
  if (is_fused) {
    TS(fused_scores)(code, tile, q, token_scale, code->turn ? 0 : q->base, scores, next);
  } else {
    score_many(code, tile, q, token_scale, scores, next, s);
  }
  fetch(next, code->scales_at, code->bytes);
  if (code->spared) score_spared(code, tile, q, scores);
}

/* ---- the values of a tile ---- */

/* out = out * decay: of a group of values nothing is stored, as they are all zero. */
static void decay_group(const ts_code_group *g, int64_t rows, const float *decay, float *out,
                        int64_t stride) {
  for (int64_t r = 0; r < rows; r++) {
    float *at = out + g->first + r * stride;
    for (int c = 0; c < g->channels; c++) at[c] *= decay[r];
  }
}

/* Unpacks each group of a tile's values for all rows. */
static void mix_many(const ts_code *code, const uint8_t *tile, int64_t rows, const float *decay,
                     float *out, int64_t stride, const uint8_t *next, ts_coded_scratch *s) {
  for (int i = 0; i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    if (g->grade == TS_GRADES) {
      decay_group(g, rows, decay, out, stride);
      continue;
    }
    fetch(next, g->at, g->at + (int64_t)g->channels * TOKENS / 8 * g->levels.width);
    if (TS_FUSES && code->is_whole && g->grade == TS_BYTES) {
      TS(many_values)(code, g, tile, rows, decay, out, stride, s);
      continue;
    }
    float unit[SLICE] = {0};
    memcpy(unit, code->unit + g->first, (size_t)g->channels * sizeof *unit);
    if (code->pairs) {
      TS(pairs_of_values)(code, g, tile + g->at, s->pairs);
    } else {
      unpack_values(g, tile + g->at, s->pairs);
    }
    if (g->channels < TS_GROUP_CHANNELS && !code->pairs) { /* to rows of 16 lanes, from the last row on */
      for (int row = TOKENS / 2 - 1; row >= 0; row--) {
        memmove(s->pairs + row * 32, s->pairs + row * 16, 16 * sizeof *s->pairs);
        memset(s->pairs + row * 32 + 16, 0, 16 * sizeof *s->pairs);
      }
    }
    value_group(rows, g, unit, decay, out, stride, s);
  }
}

void TS(code_values)(const ts_code *code, const uint8_t *tile, int64_t rows, const float *weights,
                     const float *decay, float *out, int64_t stride, const uint8_t *next,
                     ts_coded_scratch *s) {
  float token_scale[TOKENS];
  load_scales(tile + code->scales_at, token_scale);
  TS(code_weights)(code, rows, weights, token_scale, TS_FUSES && code->is_whole, s);
  if (TS_FUSES && rows <= TS_FUSED_ROWS && code->is_whole) {
    TS(fused_values)(code, tile, rows, s, decay, out, stride, next);
  } else {
    mix_many(code, tile, rows, decay, out, stride, next, s);
  }
  fetch(next, code->scales_at, code->bytes);
}
