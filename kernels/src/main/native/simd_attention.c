#include "attention.h"

#include "cooling.h"
#include "rows.h"
#include "simd.h"
#include "tile_format.h"

static const float LOG2_E = 1.442695041f;

/* Products of R rows with a slice of 16 columns take R * 16 / LANES accumulators. */
enum { SLICE = 16, VECTORS = SLICE / LANES, BLOCK_ROWS = TS_LEVEL == 3 ? 12 : 6 };

/* Rows up to which halves are converted as they are used; above, a slice is converted once for all
 * rows. The values are the same, so are the results. */
enum { DIRECT_ROWS = 6 };

/* c[r][s * 16 ..] = c * decay[r] + sum over k of a[r][k] * b[s][k][..], in the order of k, for R rows
 * and S slices. One line of `prefetch` is fetched ahead for each k and pair of slices. */
#define DEFINE_PRODUCT(NAME, TYPE, LOAD)                                                         \
  INLINE void NAME(const int R, const int S, int64_t depth, const float *a, int64_t a_stride,    \
                   const TYPE *b, int64_t b_stride, int64_t slice_stride, float *c,              \
                   int64_t c_stride, const float *decay, const char *prefetch) {                 \
    vf sum[BLOCK_ROWS][4 * VECTORS];                                                             \
    UNROLL for (int r = 0; r < R; r++) {                                                         \
      UNROLL for (int v = 0; v < S * VECTORS; v++) {                                             \
        sum[r][v] = decay ? vf_load(c + r * c_stride + v * LANES) * vf_all(decay[r]) : vf_all(0); \
      }                                                                                          \
    }                                                                                            \
    for (int64_t k = 0; k < depth; k++, b += b_stride) {                                         \
      if (prefetch) {                                                                            \
        __builtin_prefetch(prefetch);                                                            \
        if (S == 4) __builtin_prefetch(prefetch + 64);                                           \
        prefetch += S == 4 ? 128 : 64;                                                           \
      }                                                                                          \
      if (R > S * VECTORS) { /* whichever is fewer stays in registers */                         \
        vf column[4 * VECTORS];                                                                  \
        UNROLL for (int v = 0; v < S * VECTORS; v++) {                                           \
          column[v] = LOAD(b + v / VECTORS * slice_stride + v % VECTORS * LANES);                \
        }                                                                                        \
        UNROLL for (int r = 0; r < R; r++) {                                                     \
          vf weight = vf_all(a[r * a_stride + k]);                                               \
          UNROLL for (int v = 0; v < S * VECTORS; v++) {                                         \
            sum[r][v] = vf_fma(weight, column[v], sum[r][v]);                                    \
          }                                                                                      \
        }                                                                                        \
      } else {                                                                                   \
        vf weight[BLOCK_ROWS];                                                                   \
        UNROLL for (int r = 0; r < R; r++) weight[r] = vf_all(a[r * a_stride + k]);              \
        UNROLL for (int v = 0; v < S * VECTORS; v++) {                                           \
          vf column = LOAD(b + v / VECTORS * slice_stride + v % VECTORS * LANES);                \
          UNROLL for (int r = 0; r < R; r++) sum[r][v] = vf_fma(weight[r], column, sum[r][v]);   \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
    UNROLL for (int r = 0; r < R; r++) {                                                         \
      UNROLL for (int v = 0; v < S * VECTORS; v++) vf_store(c + r * c_stride + v * LANES, sum[r][v]); \
    }                                                                                            \
  }

DEFINE_PRODUCT(float_product, float, vf_load)
DEFINE_PRODUCT(half_product, uint16_t, vf_load_half)

#define PRODUCT_CASE(R, S) \
  case R:                  \
    PRODUCT(R, S, depth, a, a_stride, b, b_stride, slice_stride, c, c_stride, decay, prefetch); \
    break;

/* One slice in floats, any number of rows. */
static void multiply_slice(int64_t rows, int64_t depth, const float *a, int64_t a_stride,
                           const float *b, float *c, int64_t c_stride, const float *decay) {
  const int64_t b_stride = SLICE, slice_stride = 0;
  const char *prefetch = 0;
  /* Near-equal blocks: a last block of one row would leave the multipliers idle. */
  int64_t blocks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
  for (int64_t i = 0; i < blocks; i++) {
    int64_t count = rows * (i + 1) / blocks - rows * i / blocks;
    switch (count) {
#define PRODUCT float_product
      PRODUCT_CASE(1, 1)
      PRODUCT_CASE(2, 1)
      PRODUCT_CASE(3, 1)
      PRODUCT_CASE(4, 1)
      PRODUCT_CASE(5, 1)
      PRODUCT_CASE(6, 1)
#if TS_LEVEL == 3
      PRODUCT_CASE(7, 1)
      PRODUCT_CASE(8, 1)
      PRODUCT_CASE(9, 1)
      PRODUCT_CASE(10, 1)
      PRODUCT_CASE(11, 1)
      PRODUCT_CASE(12, 1)
#endif
#undef PRODUCT
    }
    a += count * a_stride;
    c += count * c_stride;
    if (decay) decay += count;
  }
}

/* Several slices straight from halves, for few rows. Returns the slices done. */
static int64_t multiply_halves(int64_t rows, int64_t slices, int64_t depth, const float *a,
                               int64_t a_stride, const uint16_t *b, int64_t b_stride,
                               int64_t slice_stride, float *c, int64_t c_stride,
                               const float *decay, const char *prefetch) {
  int64_t wide = LANES == 16 || rows == 1 ? 4 : rows <= 3 ? 2 : 1;
  int64_t done = 0;
  for (; done + wide <= slices; done += wide) {
    switch (rows) {
#define PRODUCT half_product
      PRODUCT_CASE(1, 4)
#if TS_LEVEL == 3
      PRODUCT_CASE(2, 4)
      PRODUCT_CASE(3, 4)
      PRODUCT_CASE(4, 4)
      PRODUCT_CASE(5, 4)
      PRODUCT_CASE(6, 4)
#else
      PRODUCT_CASE(2, 2)
      PRODUCT_CASE(3, 2)
      PRODUCT_CASE(4, 1)
      PRODUCT_CASE(5, 1)
      PRODUCT_CASE(6, 1)
#endif
    }
    b += wide * slice_stride;
    c += wide * SLICE;
    if (prefetch) prefetch += depth * (wide == 4 ? 128 : 64);
  }
  for (; done < slices; done++) {
    switch (rows) {
      PRODUCT_CASE(1, 1)
      PRODUCT_CASE(2, 1)
      PRODUCT_CASE(3, 1)
      PRODUCT_CASE(4, 1)
      PRODUCT_CASE(5, 1)
      PRODUCT_CASE(6, 1)
#undef PRODUCT
    }
    b += slice_stride;
    c += SLICE;
  }
  return done;
}

/* Converts [depth][16] halves; of the last, narrower slice of a head only `width` columns exist. */
INLINE void widen(const uint16_t *b, int64_t b_stride, int64_t depth, int64_t width, float *out) {
  if (width == SLICE) {
    for (int64_t k = 0; k < depth; k++) {
      UNROLL for (int v = 0; v < VECTORS; v++) {
        vf_store(out + k * SLICE + v * LANES, vf_load_half(b + k * b_stride + v * LANES));
      }
    }
    return;
  }
  for (int64_t k = 0; k < depth; k++) {
    uint16_t row[SLICE] = {0};
    memcpy(row, b + k * b_stride, width * sizeof *row);
    UNROLL for (int v = 0; v < VECTORS; v++) {
      vf_store(out + k * SLICE + v * LANES, vf_load_half(row + v * LANES));
    }
  }
}

typedef struct {
  int64_t rows;     /* queries: tokens of the item times heads that share the KV head */
  int64_t sharing;  /* the query of token t and head h of the group is t * sharing + h */
  int64_t position; /* of the first token */
  int64_t last;     /* position of the last token */
  int64_t dim, stride; /* elements of a head; between rows of query, part and whole */
  int64_t window, sinks;
  float soft_cap;
} ts_queries;

/* Which lanes of a tile a token sees: [low, high) and those below `sinks`. */
typedef struct {
  int32_t low, high, sinks;
} ts_view;

INLINE ts_view view_of(const ts_queries *q, int64_t position, int64_t start) {
  int64_t high = position + 1 - start, low = q->window ? high - q->window : 0;
  int64_t sinks = q->window ? q->sinks - start : 0;
  if (high > TS_BLOCK_TOKENS) high = TS_BLOCK_TOKENS;
  if (high < 0) high = 0;
  if (low < 0) low = 0;
  if (low > TS_BLOCK_TOKENS) low = TS_BLOCK_TOKENS;
  if (sinks < 0) sinks = 0;
  return (ts_view){(int32_t)low, (int32_t)high, (int32_t)(sinks < high ? sinks : high)};
}

INLINE float largest_of(const float *score) {
  vf largest = vf_load(score);
  UNROLL for (int i = LANES; i < TS_BLOCK_TOKENS; i += LANES) {
    largest = vf_max(largest, vf_load(score + i));
  }
  return vf_largest(largest);
}

/* Takes away the scores that are out of view; returns the largest that is left. */
INLINE float hide(float *score, ts_view view) {
  const vf nothing = vf_all(-INFINITY);
  vf largest = nothing;
  for (int i = 0; i < TS_BLOCK_TOKENS; i += LANES) {
    vi lane = vi_lanes() + i;
    vi seen = (lane < view.high) & ((lane >= view.low) | (lane < view.sinks));
    vf visible = vf_select(seen, vf_load(score + i), nothing);
    vf_store(score + i, visible);
    largest = vf_max(largest, visible);
  }
  return vf_largest(largest);
}

/* Fetches a part of an exact tile's keys or values ahead, into the second cache. */
INLINE void fetch_share(const char *at, int64_t dim, int64_t part, int64_t parts) {
  int64_t lines = TS_BLOCK_TOKENS * dim * TS_ELEMENT_BYTES / 64, end = lines * (part + 1) / parts;
  for (int64_t i = lines * part / parts; i < end; i++) __builtin_prefetch(at + i * 64, 0, 2);
}

/* scores[row][64] of an exact tile, for the first `lanes` tokens. */
static void exact_scores(const ts_queries *q, const uint16_t *keys, int64_t lanes, const char *next,
                         ts_scratch *s) {
  int64_t groups = (lanes + SLICE - 1) / SLICE, done = 0;
  if (q->rows <= DIRECT_ROWS) {
    done = multiply_halves(q->rows, TS_BLOCK_TOKENS / TS_KEY_LANES, q->dim, s->query, q->stride, keys,
                           TS_KEY_LANES, q->dim * TS_KEY_LANES, s->scores, TS_BLOCK_TOKENS, 0, next);
  }
  for (; done < groups; done++) {
    if (next && q->rows > DIRECT_ROWS) fetch_share(next, q->dim, done, groups);
    widen(keys + done * q->dim * TS_KEY_LANES, TS_KEY_LANES, q->dim, SLICE, s->slice);
    multiply_slice(q->rows, q->dim, s->query, q->stride, s->slice, s->scores + done * SLICE,
                   TS_BLOCK_TOKENS, 0);
  }
}

/* out = out * decay + the values of an exact tile by their weights, in s->scores. */
static void exact_values(const ts_queries *q, const uint16_t *values, int64_t lanes, float *out,
                         const char *next, ts_scratch *s) {
  int64_t done = 0, slices = q->dim / SLICE;
  if (q->rows <= DIRECT_ROWS) {
    done = multiply_halves(q->rows, slices, lanes, s->scores, TS_BLOCK_TOKENS, values, q->dim, SLICE,
                           out, q->stride, s->decay, next);
  }
  for (; done * SLICE < q->dim; done++) {
    int64_t width = q->dim - done * SLICE < SLICE ? q->dim - done * SLICE : SLICE;
    if (next && q->rows > DIRECT_ROWS) fetch_share(next, q->dim, done, q->stride / SLICE);
    widen(values + done * SLICE, q->dim, lanes, width, s->slice);
    multiply_slice(q->rows, lanes, s->scores, TS_BLOCK_TOKENS, s->slice, out + done * SLICE,
                   q->stride, s->decay);
  }
}

/* Turns the scores of a tile that starts at position `start` into weights, and moves the partial
 * result's maximum and sum on. A lane that a query does not see scores minus infinity: it weighs exactly
 * nothing. */
static void weigh(const ts_queries *q, int64_t start, ts_partial part, ts_scratch *s) {
  int64_t rows = q->rows;
  float *new_max = s->new_max;
  const vf nothing = vf_all(-INFINITY);
  int64_t position = q->position;
  for (int64_t first = 0; first < rows; first += q->sharing, position++) {
    ts_view view = view_of(q, position, start);
    int sees_all = view.low == 0 && view.high == TS_BLOCK_TOKENS;
    for (int64_t r = first; r < first + q->sharing; r++) {
      float *score = s->scores + r * TS_BLOCK_TOKENS;
      if (q->soft_cap != 0) TS(soft_cap)(score, TS_BLOCK_TOKENS, q->soft_cap);
      float largest = sees_all ? largest_of(score) : hide(score, view);
      new_max[r] = largest > part.max[r] ? largest : part.max[r];
    }
  }
  for (int64_t r = 0; r < rows; r += LANES) {
    /* A query that has seen nothing yet has no maximum to subtract. */
    vf m = vf_load(new_max + r), shift = vf_select(m == nothing, vf_all(0), m);
    vf_store(s->decay + r, vf_exp2_falling(vf_load(part.max + r) - shift));
    vf_store(part.max + r, m);
    vf_store(new_max + r, shift);
  }
  for (int64_t r = 0; r < rows; r++) {
    float *score = s->scores + r * TS_BLOCK_TOKENS;
    vf shift = vf_all(new_max[r]), sum = vf_all(0);
    UNROLL for (int i = 0; i < TS_BLOCK_TOKENS; i += LANES) {
      vf weight = vf_exp2_falling(vf_load(score + i) - shift);
      vf_store(score + i, weight);
      sum = sum + weight;
    }
    part.sum[r] = part.sum[r] * s->decay[r] + vf_sum(sum);
  }
}

/* Folds an exact tile into the partial result of every query. */
static void fold_exact(const ts_queries *q, int64_t tile, const uint16_t *keys,
                       const uint16_t *values, const uint16_t *next, ts_partial part,
                       ts_scratch *s) {
  int64_t start = tile * TS_BLOCK_TOKENS;
  int64_t lanes = q->last + 1 - start; /* what lies behind was not written yet */
  if (lanes > TS_BLOCK_TOKENS) lanes = TS_BLOCK_TOKENS;
  exact_scores(q, keys, lanes, (const char *)next, s);
  weigh(q, start, part, s);
  exact_values(q, values, lanes, part.out,
               next ? (const char *)next + ((const char *)values - (const char *)keys) : 0, s);
}

/* The same for a tile of a cooled form, whose keys or values may still be exact. `next` is the tile of
 * the same form to fetch ahead, or null. Coded values go into `cold`, in their basis. */
static void fold_cooled(const ts_decoder *d, const ts_layer *layer, const ts_queries *q,
                        int64_t kv_head, int64_t tile, int32_t form, ts_cooled at, ts_cooled next,
                        ts_partial hot, ts_partial cold, ts_scratch *s) {
  const ts_place_pair *place = &layer->cooled[(form - 1) * d->kv_heads + kv_head];
  const ts_code *key = place->key.code, *value = place->value.code;
  ts_cold *c = s->cold;
  const int is_timed = c->folds++ % TIMED_FOLDS == 0;
  if (key) {
    int64_t since = is_timed ? ts_nanos() : 0;
    const ts_turn_table *turn = key->turn ? &d->turnings[key->turning].table : 0;
    ts_coded_query *query = &c->queries[form - 1];
    if (!query->rows) {
      query->rows = q->rows;
      query->stride = q->stride;
      query->query = s->query;
      TS(code_query)(key, turn, query);
    }
    TS(code_scores)(key, turn, tile, at.key, query, s->scores, next.key, &c->coded);
    ts_note_read(c, key, since);
  } else {
    exact_scores(q, (const uint16_t *)at.key, TS_BLOCK_TOKENS, (const char *)next.key, s);
  }
  ts_partial part = value ? cold : hot;
  weigh(q, tile * TS_BLOCK_TOKENS, part, s);
  if (value) {
    int64_t since = is_timed ? ts_nanos() : 0;
    TS(code_values)(value, at.value, q->rows, s->scores, s->decay, part.out, q->stride, next.value,
                    &c->coded);
    ts_note_read(c, value, since);
  } else {
    exact_values(q, (const uint16_t *)at.value, TS_BLOCK_TOKENS, part.out,
                 (const char *)next.value, s);
  }
}

/* Merges partial results of `rows` queries: into += part. Empty parts change nothing. */
static void merge(int64_t rows, int64_t stride, ts_partial into, ts_partial part) {
  for (int64_t r = 0; r < rows; r++) {
    float largest = part.max[r] > into.max[r] ? part.max[r] : into.max[r];
    float shift = largest == -INFINITY ? 0 : largest;
    float mine = vf_exp2_falling(vf_all(into.max[r] - shift))[0];
    float theirs = vf_exp2_falling(vf_all(part.max[r] - shift))[0];
    into.max[r] = largest;
    into.sum[r] = into.sum[r] * mine + part.sum[r] * theirs;
    float *o = into.out + r * stride;
    for (int64_t i = 0; i < stride; i += LANES) {
      vf sum = vf_load(o + i) * vf_all(mine);
      vf_store(o + i, vf_fma(vf_load(part.out + r * stride + i), vf_all(theirs), sum));
    }
  }
}

static void clear(int64_t rows, int64_t stride, ts_partial p) {
  for (int64_t r = 0; r < rows; r++) {
    p.max[r] = -INFINITY;
    p.sum[r] = 0;
  }
  memset(p.out, 0, rows * stride * sizeof *p.out);
}

static void copy(int64_t rows, int64_t stride, ts_partial to, ts_partial from) {
  memcpy(to.max, from.max, rows * sizeof *to.max);
  memcpy(to.sum, from.sum, rows * sizeof *to.sum);
  memcpy(to.out, from.out, rows * stride * sizeof *to.out);
}

/* Whether any token of the item sees any position of a tile. */
INLINE int is_seen(const ts_queries *q, int64_t tile) {
  int64_t start = tile * TS_BLOCK_TOKENS;
  return !q->window || start < q->sinks || start + TS_BLOCK_TOKENS > q->position + 1 - q->window;
}

/* The first tile from `tile` on that the item sees, or `end`. */
INLINE int64_t seen_from(const ts_queries *q, int64_t tile, int64_t end) {
  while (tile < end && !is_seen(q, tile)) tile++;
  return tile;
}

/* The partial results of the item's tiles from `tile` to `split_end`, into `hot` and `cold`; the tile
 * behind them, below `end`, is fetched ahead. Returns the first tile not done. */
static int64_t fold_split(const ts_decoder *d, const ts_layer *layer, const ts_queries *q,
                          const ts_item *item, int64_t kv_head, int64_t tile, int64_t split_end,
                          int64_t end, ts_partial hot, ts_partial cold, ts_scratch *s) {
  const ts_group *group = &d->groups[layer->group];
  const int64_t value_offset = group->value_offset / TS_ELEMENT_BYTES;
  const int64_t block = q->position / TS_BLOCK_TOKENS; /* where tiles cool, of every query */
  while (tile < split_end) {
    int64_t next_tile = seen_from(q, tile + 1, end);
    int32_t form = group->form_count ? ts_form_of(&d->rule, block, tile) : 0;
    int fetches = next_tile < end &&
                  (!group->form_count || ts_form_of(&d->rule, block, next_tile) == form);
    if (form) {
      ts_cooled next = {0, 0};
      if (fetches) next = TS(cooled)(d, layer, item->sequence, next_tile, form, kv_head);
      fold_cooled(d, layer, q, kv_head, tile, form,
                  TS(cooled)(d, layer, item->sequence, tile, form, kv_head), next, hot, cold, s);
    } else {
      const uint16_t *keys = TS(key_tile)(d, layer, item->sequence, tile, kv_head);
      const uint16_t *next =
          fetches ? TS(key_tile)(d, layer, item->sequence, next_tile, kv_head) : 0;
      fold_exact(q, tile, keys, keys + value_offset, next, hot, s);
    }
    tile = next_tile;
  }
  return tile;
}

/* The finished rows: o / d, into the head's place in `mixed`. */
static void finish(ts_decoder *d, const ts_item *item, const ts_queries *q, int64_t kv_head,
                   const ts_scratch *s) {
  for (int64_t r = 0; r < q->rows; r++) {
    int64_t row = item->row + r / q->sharing, head = kv_head * q->sharing + r % q->sharing;
    float inverse = 1.0f / s->whole_sum[r];
    float *out = d->mixed + row * d->mixed_stride + head * q->dim;
    for (int64_t i = 0; i < q->dim; i++) out[i] = s->whole[r * q->stride + i] * inverse;
  }
}

/* The place of a split's partial result, of hot or of cold values. */
static ts_partial partial_of(const ts_decoder *d, const ts_group *g, const ts_item *item,
                             const ts_queries *q, int64_t split, int64_t kv_head, int is_cold) {
  int64_t floats = ts_partial_floats(d, g, q->rows), rows = (q->rows + 15) / 16 * 16;
  float *at = d->partials + item->slot + (split * d->kv_heads + kv_head) * floats;
  if (is_cold) at += floats / 2;
  return (ts_partial){at, at + rows, at + 2 * rows};
}

/* Counts an arrival; true for the last of `expected`, which finds the counter at 0 again. */
static int is_last(_Atomic int32_t *counter, int32_t expected) {
  if (expected == 1) return 1;
  if (atomic_fetch_add_explicit(counter, 1, memory_order_acq_rel) + 1 < expected) return 0;
  atomic_store_explicit(counter, 0, memory_order_relaxed);
  return 1;
}

static void merge_parts(const ts_decoder *d, const ts_group *g, const ts_item *item,
                        const ts_queries *q, int64_t kv_head, int is_cold, ts_partial whole) {
  int64_t splits = q->last / (SPLIT_TILES * TS_BLOCK_TOKENS) + 1;
  for (int64_t split = 0; split < splits; split++) {
    ts_partial part = partial_of(d, g, item, q, split, kv_head, is_cold);
    int is_empty = g->form_count && part.max[0] == -INFINITY; /* for all rows, then */
    if (!is_empty) merge(q->rows, q->stride, whole, part);
  }
}

/* Hot and cold values meet, once the cold ones are out of their basis. */
static void join(const ts_decoder *d, const ts_layer *layer, const ts_queries *q, int64_t kv_head,
                 ts_partial hot, ts_partial cold) {
  if (cold.max[0] == -INFINITY) return;
  const ts_code *code = 0; /* every form's values lie in one basis */
  for (int32_t form = 0; !code; form++) code = layer->cooled[form * d->kv_heads + kv_head].value.code;
  TS(code_restore)(code, q->rows, cold.out, q->stride);
  merge(q->rows, q->stride, hot, cold);
}

void TS(attend_item)(ts_decoder *d, const ts_layer *layer, const ts_item *item, int64_t kv_head,
                     const ts_matrix *reader, ts_scratch *s) {
  const ts_group *group = &d->groups[layer->group];
  ts_queries q = {
      .rows = (int64_t)item->rows * d->sharing,
      .sharing = d->sharing,
      .position = item->position,
      .last = item->position + item->rows - 1,
      .dim = d->head_dim,
      .stride = (d->head_dim + SLICE - 1) / SLICE * SLICE,
      .window = group->window,
      .sinks = group->sink_tokens,
      .soft_cap = d->attention_soft_cap * LOG2_E,
  };
  int64_t last_split = q.last / (SPLIT_TILES * TS_BLOCK_TOKENS);
  int is_single = d->row_starts[item->sequence + 1] - d->row_starts[item->sequence] == 1;
  if (is_single && item->end_split > last_split) TS(store)(d, layer, item->row, kv_head);
  for (int64_t r = 0; r < q.rows; r++) {
    TS(load_query)(d, layer, item->row + r / q.sharing, kv_head * q.sharing + r % q.sharing,
                   d->attention_scale * LOG2_E, s->query + r * q.stride);
  }
  for (int32_t form = 0; form < group->form_count; form++) s->cold->queries[form].rows = 0;

  /* Hot first, then cold where tiles cool. */
  const int kinds = group->form_count ? 2 : 1;
  ts_partial part[2] = {{s->part_max, s->part_sum, s->part}};
  ts_partial whole[2] = {{s->whole_max, s->whole_sum, s->whole}};
  if (kinds == 2) {
    part[1] = s->cold->part;
    whole[1] = s->cold->whole;
  }
  for (int i = 0; i < kinds; i++) clear(q.rows, q.stride, whole[i]);
  int64_t end = (int64_t)item->end_split * SPLIT_TILES;
  if (end > q.last / TS_BLOCK_TOKENS + 1) end = q.last / TS_BLOCK_TOKENS + 1;
  int64_t tile = seen_from(&q, (int64_t)item->first_split * SPLIT_TILES, end);
  for (int64_t split = item->first_split; split < item->end_split; split++) {
    int64_t split_end = (split + 1) * SPLIT_TILES < end ? (split + 1) * SPLIT_TILES : end;
    int found = tile < split_end;
    for (int i = 0; i < kinds; i++) clear(q.rows, q.stride, part[i]);
    if (found) {
      tile = fold_split(d, layer, &q, item, kv_head, tile, split_end, end, part[0], part[1], s);
    }
    for (int i = 0; i < kinds; i++) {
      if (item->parts > 1) {
        copy(q.rows, q.stride, partial_of(d, group, item, &q, split, kv_head, i), part[i]);
      } else if (found && !(kinds == 2 && part[i].max[0] == -INFINITY)) {
        merge(q.rows, q.stride, whole[i], part[i]);
      }
    }
  }
  if (item->parts > 1) {
    if (!is_last(&d->head_arrivals[item->cell * d->kv_heads + kv_head], item->parts)) return;
    for (int i = 0; i < kinds; i++) merge_parts(d, group, item, &q, kv_head, i, whole[i]);
  }
  if (kinds == 2) join(d, layer, &q, kv_head, whole[0], whole[1]);
  finish(d, item, &q, kv_head, s);
  if (reader && is_last(&d->cell_arrivals[item->cell], d->kv_heads)) {
    for (int32_t i = 0; i < item->rows; i++) {
      int64_t row = item->row + i;
      TS(quantise)(d->mixed + row * d->mixed_stride, reader->columns, reader->kind, row, 0,
                   &d->mixed_in);
    }
  }
}
