/* A decoder and the step that is in hand. Java fills it through the functions at the end; only C
 * knows the layout. */
#ifndef TESSERA_DECODER_H
#define TESSERA_DECODER_H

#include "coded.h"
#include "gemm.h"
#include "team.h"

/* The matrices and vectors of a layer, in the order of WeightRole. */
enum {
  ROLE_EMBEDDING,
  ROLE_OUTPUT_NORM,
  ROLE_OUTPUT,
  ROLE_ATTENTION_NORM,
  ROLE_QUERY,
  ROLE_KEY,
  ROLE_VALUE,
  ROLE_QUERY_BIAS,
  ROLE_KEY_BIAS,
  ROLE_VALUE_BIAS,
  ROLE_QUERY_NORM,
  ROLE_KEY_NORM,
  ROLE_ATTENTION_OUTPUT,
  ROLE_POST_ATTENTION_NORM,
  ROLE_FEED_FORWARD_NORM,
  ROLE_GATE,
  ROLE_UP,
  ROLE_DOWN,
  ROLE_POST_FEED_FORWARD_NORM,
  ROLES
};

enum { ACTIVATION_SILU, ACTIVATION_GELU_TANH };
enum { PAIRING_INTERLEAVED, PAIRING_SPLIT };

/* A split is the part of a context that one partial result (m, d, o) covers. Splits lie at fixed
 * positions, so that a query's result is the same however the work is cut. */
enum { SPLIT_TILES = 4 };

/* Where a form keeps one tile of a layer and KV head, and how: with no code, a copy of the exact tile. */
typedef struct {
  int64_t at; /* in the slab */
  const ts_code *code;
} ts_place;

typedef struct {
  ts_place key, value;
} ts_place_pair;

typedef struct {
  ts_matrix matrices[ROLES];
  const float *vectors[ROLES]; /* zero-padded to a multiple of 32; null where the model has none */
  int32_t group, index_in_group, rope;
  ts_place_pair *cooled; /* [forms][kv_heads]; null in a group that never cools */
} ts_layer;

/* The slabs of one cooled form and, for the step in hand, its references. */
typedef struct {
  uint8_t *slabs;
  int64_t slab_bytes;
  const int32_t *refs;
} ts_form;

/* Blocks that take a cooler form in the step in hand (StepBatch.Coolings). */
typedef struct {
  int32_t count, first; /* first: coolings of the groups before */
  const int32_t *blocks, *from, *to;
} ts_coolings;

/* The tiles of a layer group and, for the step in hand, its block tables (StepBatch.BlockTables). */
typedef struct {
  uint8_t *slabs;
  int64_t slab_bytes, layer_stride, head_stride, value_offset;
  int32_t window, sink_tokens;
  int32_t form_count; /* besides the exact one; 0 in a group that never cools */
  ts_form forms[TS_MAX_FORMS];
  ts_coolings coolings;
  const int32_t *starts, *first_blocks, *sink_blocks, *refs;
  const int32_t *read_forms; /* of the entries of the tables; null where the rule decides */
  /* Where the step leaves what attention it gives to each entry; null where that is not asked for. */
  float *mass;      /* [kv_heads][entries] */
  float *mass_logs; /* [heads][entries], of the layer in hand: logarithms to base 2 of the weights */
  struct ts_item *items;
  int64_t item_count;
} ts_group;

typedef struct {
  int32_t pairing, pairs;
  float magnitude;
  double *frequencies; /* [pairs] */
  float *turns;        /* [rows]{ cos[pairs], sin[pairs] }, of the step in hand */
} ts_rope;

/* A rotation by which means of codes turn. */
typedef struct {
  float magnitude;
  double *frequencies; /* [pairs] */
  ts_turn_table table;
  float *cooling_turns; /* [coolings][pairs]{ cos[64], sin[64] }, of the step in hand */
} ts_turning;

/* A piece of attention: some rows of one sequence, over some splits, for each KV head. */
typedef struct ts_item {
  int32_t sequence, row, rows, position;
  int32_t first_split, end_split;
  int32_t parts; /* items that share these rows */
  int32_t cell;  /* the rows' place among the arrival counters */
  int64_t slot;  /* where the rows' partial results begin among the partials; with parts > 1 */
} ts_item;

/* Partial results of some rows: m, d, o. */
typedef struct {
  float *max, *sum; /* [rows] */
  float *out;       /* [rows][stride] */
} ts_partial;

/* What coding and reading the tiles of a format has taken. Readings are timed now and then only: a
 * clock would be seen in each. */
typedef struct {
  int64_t coded, coding_nanos, read, timed, timed_nanos;
} ts_meter;

/* What one thread needs for tiles that cool. */
typedef struct {
  ts_meter meters[TS_MAX_METERS];
  int64_t folds;
  ts_coder coder;
  ts_coded_scratch coded;
  ts_coded_query queries[TS_MAX_FORMS]; /* of the item in hand */
  ts_partial part, whole;               /* of coded values, in their basis */
} ts_cold;

/* What one thread needs for itself. */
typedef struct {
  float *row;            /* [widest row] */
  ts_activations normed; /* one row */
  ts_activations mixed;  /* one row: the attention's output */
  float *gate, *up;      /* [GATE_ROWS][32] */
  float *query;          /* [tile rows][head_dim] */
  float *scores;         /* [tile rows][64] */
  float *slice;          /* [max(head_dim, 64)][16] */
  float *part, *whole;   /* [tile rows][padded head_dim] */
  float *part_max, *part_sum, *whole_max, *whole_sum, *decay, *new_max; /* [tile rows, padded] */
  ts_cold *cold;         /* null where nothing cools */
  float *mass_logs;      /* of the item in hand: [queries], mass_stride apart, of tiles; or null */
  int64_t mass_stride;
} ts_scratch;

/* Which form of a block a query reads: CoolingRule. */
typedef struct {
  int32_t first_blocks, forms;
  int32_t age_blocks[TS_MAX_FORMS];
} ts_rule;

enum { TIMED_FOLDS = 61 }; /* one of so many is timed: no multiple of the tiles of a split */
enum { GATE_ROWS = 64, ROW_CHUNK = 256, QUERY_TILE = 96, LOGIT_PANELS = 8 };

typedef struct ts_decoder {
  int32_t vocabulary, hidden, heads, kv_heads, head_dim, feed_forward, activation;
  float norm_epsilon, embedding_scale, attention_scale, attention_soft_cap, logit_soft_cap;
  int32_t layer_count, group_count, rope_count;
  int32_t max_rows, max_logit_rows, max_sequences, max_positions;
  ts_layer *layers;
  ts_group *groups;
  ts_rope *ropes;
  ts_layer outside; /* embedding, output norm, output */

  /* the step in hand */
  int32_t rows, sequences, logit_row_count, stores; /* stores: some sequence has several rows */
  const int32_t *token_ids, *row_starts, *first_positions, *logit_rows;

  /* activations; a row's stride is its width padded to 32 */
  int32_t sharing;                             /* query heads per KV head */
  int32_t tile_tokens;                         /* tokens of a query tile */
  int64_t hidden_stride, qkv_stride, key_at, value_at, mixed_stride, logit_stride;
  float *x, *qkv, *mixed, *projected, *logits; /* [rows][stride] */
  ts_activations normed, mixed_in, fed, last;
  int32_t *row_sequence, *row_position;        /* [rows] */
  float *capture; /* [layers][max_rows][heads + 2 kv_heads][head_dim], or null: see TS(capture) */

  /* attention */
  ts_rule rule;
  int64_t partial_capacity, partial_rows; /* floats; rows of an item at most, padded */
  float *partials; /* [splits][kv_heads][hot, and cold where tiles cool]{ m[], d[], o[][] } of items */
  _Atomic int32_t *head_arrivals;   /* [cells][kv_heads] */
  _Atomic int32_t *cell_arrivals;   /* [cells] */

  ts_scratch *scratch; /* [threads] */
  ts_team team;
  void *memory; /* everything above that is not the model's */
  int64_t memory_bytes;

  /* cooled forms */
  int32_t coolings, max_coolings; /* of the step in hand; what there is room for, which grows */
  int32_t code_count, turning_count;
  ts_code **codes; /* ours to free */
  ts_turning *turnings;
  ts_place_pair *places;
  void *cold_memory;
  int64_t cold_bytes;
} ts_decoder;

static inline int64_t ts_padded(int64_t n) { return (n + TS_BLOCK - 1) / TS_BLOCK * TS_BLOCK; }

/* The form in which queries of a sequence in block `query` read block `block` of a group that cools:
 * such a group frees no blocks, so that its tables begin with block 0. */
static inline int32_t ts_form_of(const ts_rule *rule, const ts_group *g, int32_t sequence,
                                 int64_t query, int64_t block) {
  int32_t form = 0;
  if (g->read_forms) return g->read_forms[g->starts[sequence] + block];
  if (block < rule->first_blocks) return 0;
  while (form < rule->forms && query - block > rule->age_blocks[form]) form++;
  return form;
}

/* Floats of the partial results of some rows of an item, for one split and KV head. */
static inline int64_t ts_partial_floats(const ts_decoder *d, const ts_group *g, int64_t rows) {
  int64_t dim = (d->head_dim + 15) / 16 * 16;
  return (2 * ((rows + 15) / 16 * 16) + rows * dim) * (g->form_count ? 2 : 1);
}

/* Whether any layer normalises what it adds to the residual stream. */
static inline int ts_has_post_norms(const ts_decoder *d) {
  const ts_layer *layer = &d->layers[0];
  return layer->vectors[ROLE_POST_ATTENTION_NORM] || layer->vectors[ROLE_POST_FEED_FORWARD_NORM];
}

/* A block of memory that is handed out in pieces; with no base it only counts. */
typedef struct {
  uint8_t *base;
  int64_t used;
} ts_arena;

void *ts_take(ts_arena *arena, int64_t count, int64_t bytes);

/* ---- called from Java, in this order ---- */

ts_decoder *ts_decoder_new(int32_t layers, int32_t groups, int32_t ropes);
void ts_decoder_shape(ts_decoder *d, int32_t vocabulary, int32_t hidden, int32_t heads,
                      int32_t kv_heads, int32_t head_dim, int32_t feed_forward, int32_t activation,
                      float norm_epsilon, float embedding_scale, float attention_scale,
                      float attention_soft_cap, float logit_soft_cap);
/* Layer -1 takes the weights that belong to no layer. */
void ts_decoder_layer(ts_decoder *d, int32_t layer, int32_t group, int32_t index_in_group,
                      int32_t rope);
void ts_decoder_matrix(ts_decoder *d, int32_t layer, int32_t role, int32_t kind, int32_t rows,
                       int32_t columns, uint8_t *data);
void ts_decoder_vector(ts_decoder *d, int32_t layer, int32_t role, const float *data);
void ts_decoder_group(ts_decoder *d, int32_t group, uint8_t *slabs, int64_t slab_bytes,
                      int64_t layer_stride, int64_t head_stride, int64_t value_offset,
                      int32_t window, int32_t sink_tokens);
int ts_decoder_rope(ts_decoder *d, int32_t rope, int32_t pairing, int32_t pairs, float magnitude,
                    const double *frequencies);
/* Packs `rows` rows of a tensor from row `first_row`, a multiple of 32, on. */
void ts_decoder_pack(ts_decoder *d, int32_t layer, int32_t role, const uint8_t *source,
                     int64_t first_row, int64_t rows);
/* Allocates what steps need. Returns its bytes, or -1 if memory could not be had. */
int64_t ts_decoder_ready(ts_decoder *d, int32_t threads, int32_t rows, int32_t logit_rows,
                         int32_t sequences, int32_t positions);
/* Cooled forms, after ts_decoder_ready: the rule, the slabs of every form from 1 on, every tile's
 * place, and then the memory that they need. A code is given away; tiles may share it. */
int ts_decoder_rule(ts_decoder *d, int32_t first_blocks, int32_t forms, const int32_t *age_blocks);
void ts_decoder_form(ts_decoder *d, int32_t group, int32_t form, uint8_t *slabs,
                     int64_t slab_bytes);
int ts_decoder_code(ts_decoder *d, ts_code *code);
/* A rotation that codes name by its index, which is returned; -1 if memory could not be had. */
int32_t ts_decoder_turning(ts_decoder *d, int32_t pairing, int32_t pairs, float magnitude,
                           const double *frequencies);
void ts_decoder_place(ts_decoder *d, int32_t layer, int32_t form, int32_t kv_head,
                      int32_t is_value, int64_t at, const ts_code *code);
/* Bytes of the scratch that cooled forms take, and of their codes; -1 if memory could not be had. */
int64_t ts_decoder_cool(ts_decoder *d);
/* What all threads have counted so far under the first `count` meters. Between steps. */
void ts_decoder_meters(const ts_decoder *d, int32_t count, ts_meter *meters);
/* The arrays of a step, which must stay valid until its end; for every group in turn, from group 0 on.
 * `from` may be changed. -1 if memory could not be had. */
int ts_decoder_coolings(ts_decoder *d, int32_t group, int32_t count, const int32_t *blocks,
                        int32_t *from, const int32_t *to);
void ts_decoder_cooled_refs(ts_decoder *d, int32_t group, int32_t form, const int32_t *refs);
void ts_decoder_read_forms(ts_decoder *d, int32_t group, const int32_t *read_forms);
/* Where the following steps leave the attention mass of sequences of one row: see ts_group. */
void ts_decoder_mass(ts_decoder *d, int32_t group, float *mass, float *logs);
void ts_decoder_tables(ts_decoder *d, int32_t group, const int32_t *starts,
                       const int32_t *first_blocks, const int32_t *sink_blocks,
                       const int32_t *refs);
void ts_decoder_batch(ts_decoder *d, int32_t rows, int32_t sequences, int32_t logit_rows,
                      const int32_t *token_ids, const int32_t *row_starts,
                      const int32_t *first_positions, const int32_t *logit_row);
float *ts_decoder_logits(ts_decoder *d); /* [logit rows][stride] */
int64_t ts_decoder_logit_stride(ts_decoder *d);
/* What ts_attend reads and writes: rows of { q, k, v } and of the heads' outputs, each part padded to
 * 32. */
float *ts_decoder_qkv(ts_decoder *d);
float *ts_decoder_mixed(ts_decoder *d);
/* Where the following steps leave their rows' queries, keys and values; null for nowhere. */
void ts_decoder_capture(ts_decoder *d, float *capture);
/* Ends the step in hand with failure on every thread. */
void ts_decoder_break(ts_decoder *d);
void ts_decoder_free(ts_decoder *d);

/* One thread's share of a step; every thread of the team calls it. 0, or -1 if another failed. */
int32_t TS(step)(ts_decoder *d, int32_t thread);

/* The store, the coolings and the attention of layer 0 alone, from d->qkv into d->mixed. */
int32_t TS(attend)(ts_decoder *d, int32_t thread);

#endif
