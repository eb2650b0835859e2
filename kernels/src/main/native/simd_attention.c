#include "attention.h"

#include "exact.h"
#include "cooling.h"
#include "rows.h"
#include "simd.h"
#include "tile_format.h"

static const float LOG2_E = 1.442695041f;

enum { SLICE = 16 };

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

/* Takes away the scores that are out of view. */
INLINE void hide(float *score, ts_view view) {
  for (int i = 0; i < TS_BLOCK_TOKENS; i += LANES) {
    vi lane = vi_lanes() + i;
    vi seen = (lane < view.high) & ((lane >= view.low) | (lane < view.sinks));
    vf_store(score + i, vf_select(seen, vf_load(score + i), vf_all(-INFINITY)));
  }
}

/* Notes the sum of the weights that a tile has got from each query, as a logarithm. */
static void note_mass(const ts_queries *q, int64_t start, ts_partial part, const ts_scratch *s) {
  for (int64_t r = 0; r < q->rows; r++) {
    const float *weight = s->scores + r * TS_BLOCK_TOKENS;
    vf sum = vf_all(0);
    UNROLL for (int i = 0; i < TS_BLOCK_TOKENS; i += LANES) sum = sum + vf_load(weight + i);
    s->mass_logs[r * s->mass_stride + start / TS_BLOCK_TOKENS] = log2f(vf_sum(sum)) + part.max[r];
  }
}

/* The share of each tile in its query's weights: the largest over queries, and over the layers before. */
static void settle_mass(float *mass, const ts_queries *q, const ts_scratch *s) {
  for (int64_t r = 0; r < q->rows; r++) {
    const float *logs = s->mass_logs + r * s->mass_stride;
    float whole = s->whole_max[r] + log2f(s->whole_sum[r]);
    for (int64_t tile = 0; tile <= q->last / TS_BLOCK_TOKENS; tile++) {
      float share = exp2f(logs[tile] - whole);
      if (share > mass[tile]) mass[tile] = share;
    }
  }
}

/* Caps the scores of a tile that starts at position `start` and hides what a query does not see. */
static void limit(const ts_queries *q, int64_t start, float *scores) {
  int64_t position = q->position;
  for (int64_t first = 0; first < q->rows; first += q->sharing, position++) {
    ts_view view = view_of(q, position, start);
    int sees_all = view.low == 0 && view.high == TS_BLOCK_TOKENS;
    for (int64_t r = first; r < first + q->sharing; r++) {
      float *score = scores + r * TS_BLOCK_TOKENS;
      if (q->soft_cap != 0) TS(soft_cap)(score, TS_BLOCK_TOKENS, q->soft_cap);
      if (!sees_all) hide(score, view);
    }
  }
}

/* largest[r] = the largest of `before` and of R rows' scores. */
INLINE void find_largest(const int R, const float *scores, const float *before, float *largest) {
  vf most[FOLD_ROWS];
  UNROLL for (int r = 0; r < R; r++) {
    most[r] = vf_load(scores + r * TS_BLOCK_TOKENS);
    UNROLL for (int i = LANES; i < TS_BLOCK_TOKENS; i += LANES) {
      most[r] = vf_max(most[r], vf_load(scores + r * TS_BLOCK_TOKENS + i));
    }
  }
  vf_largests(R, most, largest);
  UNROLL for (int r = 0; r < R; r++) largest[r] = largest[r] > before[r] ? largest[r] : before[r];
}

/* R rows' scores as weights; moves their sums on. */
INLINE void find_weights(const int R, const float *shift, const float *decay, float *scores,
                         float *sums) {
  vf sum[FOLD_ROWS];
  float added[FOLD_ROWS];
  UNROLL for (int r = 0; r < R; r++) sum[r] = vf_all(0);
  for (int i = 0; i < TS_BLOCK_TOKENS; i += LANES) {
    UNROLL for (int r = 0; r < R; r++) {
      float *score = scores + r * TS_BLOCK_TOKENS + i;
      vf weight = vf_exp2_falling(vf_load(score) - vf_all(shift[r]));
      vf_store(score, weight);
      sum[r] = sum[r] + weight;
    }
  }
  vf_sums(R, sum, added);
  UNROLL for (int r = 0; r < R; r++) sums[r] = sums[r] * decay[r] + added[r];
}

/* Turns the scores of a tile that starts at position `start` into weights, and moves the partial
 * result's maximum and sum on. A lane that a query does not see scores minus infinity: it weighs exactly
 * nothing. */
static void weigh(const ts_queries *q, int64_t start, ts_partial part, ts_scratch *s) {
  const int64_t rows = q->rows;
  float *new_max = s->new_max, *decay = s->decay, *scores = s->scores;
  const vf nothing = vf_all(-INFINITY);
  if (q->window || q->soft_cap != 0 || start + TS_BLOCK_TOKENS > q->position + 1) {
    limit(q, start, scores);
  }
#define LARGEST(R) find_largest(R, scores + r * TS_BLOCK_TOKENS, part.max + r, new_max + r)
  EACH_FOLD(rows, LARGEST)
  for (int64_t r = 0; r < rows; r += LANES) {
    /* A query that has seen nothing yet has no maximum to subtract. */
    vf m = vf_load(new_max + r), shift = vf_select(m == nothing, vf_all(0), m);
    vf_store(decay + r, vf_exp2_falling(vf_load(part.max + r) - shift));
    vf_store(part.max + r, m);
    vf_store(new_max + r, shift);
  }
#define WEIGHTS(R) \
  find_weights(R, new_max + r, decay + r, scores + r * TS_BLOCK_TOKENS, part.sum + r)
  EACH_FOLD(rows, WEIGHTS)
  if (s->mass_logs) note_mass(q, start, part, s);
}

/* Folds an exact tile into the partial result of every query. */
static void fold_exact(const ts_queries *q, int64_t tile, ts_cooled at, ts_cooled next,
                       ts_partial part, ts_scratch *s) {
  int64_t start = tile * TS_BLOCK_TOKENS;
  int64_t lanes = q->last + 1 - start; /* what lies behind was not written yet */
  if (lanes > TS_BLOCK_TOKENS) lanes = TS_BLOCK_TOKENS;
  TS(exact_scores)(q->rows, q->stride, q->dim, (const uint16_t *)at.key, lanes,
                   (const char *)next.key, s);
  weigh(q, start, part, s);
  TS(exact_values)(q->rows, q->stride, q->dim, (const uint16_t *)at.value, lanes, part.out,
                   (const char *)next.value, s);
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
    TS(exact_scores)(q->rows, q->stride, q->dim, (const uint16_t *)at.key, TS_BLOCK_TOKENS,
                     (const char *)next.key, s);
  }
  ts_partial part = value ? cold : hot;
  weigh(q, tile * TS_BLOCK_TOKENS, part, s);
  if (value) {
    int64_t since = is_timed ? ts_nanos() : 0;
    TS(code_values)(value, at.value, q->rows, s->scores, s->decay, part.out, q->stride, next.value,
                    &c->coded);
    ts_note_read(c, value, since);
  } else {
    TS(exact_values)(q->rows, q->stride, q->dim, (const uint16_t *)at.value, TS_BLOCK_TOKENS,
                     part.out, (const char *)next.value, s);
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

/* Whether any token of the item sees any position of a tile. */
INLINE int is_seen(const ts_queries *q, int64_t tile) {
  int64_t start = tile * TS_BLOCK_TOKENS;
  return !q->window || start < q->sinks || start + TS_BLOCK_TOKENS > q->position + 1 - q->window;
}

/* A tile that an item reads, in the form that its queries read. */
typedef struct {
  int64_t tile; /* `end` behind the last */
  int32_t form;
  ts_cooled at;
} ts_met;

/* The first tile from `tile` on that the item sees. */
static ts_met meet(const ts_decoder *d, const ts_layer *layer, const ts_queries *q,
                   const ts_item *item, int64_t kv_head, int64_t tile, int64_t end) {
  const ts_group *group = &d->groups[layer->group];
  while (tile < end && !is_seen(q, tile)) tile++;
  ts_met met = {.tile = tile};
  if (tile >= end) return met;
  if (group->form_count) { /* where tiles cool, an item's queries are of one block */
    int64_t block = q->position / TS_BLOCK_TOKENS;
    met.form = ts_form_of(&d->rule, group, item->sequence, block, tile);
  }
  if (met.form) {
    met.at = TS(cooled)(d, layer, item->sequence, tile, met.form, kv_head);
  } else {
    met.at.key = (const uint8_t *)TS(key_tile)(d, layer, item->sequence, tile, kv_head);
    met.at.value = met.at.key + group->value_offset;
  }
  return met;
}

/* The partial results of the item's tiles from `now` to `split_end`, into `hot` and `cold`; the tile
 * behind them, below `end`, is fetched ahead. Returns the first tile not done. */
static ts_met fold_split(const ts_decoder *d, const ts_layer *layer, const ts_queries *q,
                         const ts_item *item, int64_t kv_head, ts_met now, int64_t split_end,
                         int64_t end, ts_partial hot, ts_partial cold, ts_scratch *s) {
  while (now.tile < split_end) {
    ts_met next = meet(d, layer, q, item, kv_head, now.tile + 1, end);
    int fetches = next.tile < end && next.form == now.form;
    ts_cooled ahead = fetches ? next.at : (ts_cooled){0, 0};
    if (now.form) {
      fold_cooled(d, layer, q, kv_head, now.tile, now.form, now.at, ahead, hot, cold, s);
    } else {
      fold_exact(q, now.tile, now.at, ahead, hot, s);
    }
    now = next;
  }
  return now;
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

  float *mass = 0;
  s->mass_logs = 0;
  if (group->mass && is_single) {
    s->mass_stride = group->starts[d->sequences];
    s->mass_logs = group->mass_logs + kv_head * q.sharing * s->mass_stride +
                   group->starts[item->sequence];
    mass = group->mass + kv_head * s->mass_stride + group->starts[item->sequence];
  }

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
  ts_met now = meet(d, layer, &q, item, kv_head, (int64_t)item->first_split * SPLIT_TILES, end);
  for (int64_t split = item->first_split; split < item->end_split; split++) {
    int64_t split_end = (split + 1) * SPLIT_TILES < end ? (split + 1) * SPLIT_TILES : end;
    int found = now.tile < split_end;
    for (int i = 0; i < kinds; i++) {
      if (item->parts > 1) part[i] = partial_of(d, group, item, &q, split, kv_head, i);
      clear(q.rows, q.stride, part[i]);
    }
    if (found) {
      now = fold_split(d, layer, &q, item, kv_head, now, split_end, end, part[0], part[1], s);
    }
    for (int i = 0; item->parts == 1 && found && i < kinds; i++) {
      if (kinds == 2 && part[i].max[0] == -INFINITY) continue;
      merge(q.rows, q.stride, whole[i], part[i]);
    }
  }
  if (item->parts > 1) {
    if (!is_last(&d->head_arrivals[item->cell * d->kv_heads + kv_head], item->parts)) return;
    for (int i = 0; i < kinds; i++) merge_parts(d, group, item, &q, kv_head, i, whole[i]);
  }
  if (kinds == 2) join(d, layer, &q, kv_head, whole[0], whole[1]);
  if (mass) settle_mass(mass, &q, s);
  finish(d, item, &q, kv_head, s);
  if (reader && is_last(&d->cell_arrivals[item->cell], d->kv_heads)) {
    for (int32_t i = 0; i < item->rows; i++) {
      int64_t row = item->row + i;
      TS(quantise)(d->mixed + row * d->mixed_stride, reader->columns, reader->kind, row, 0,
                   &d->mixed_in);
    }
  }
}
