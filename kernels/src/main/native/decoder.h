/* A decoder and the step that is in hand. Java fills it through the functions at the end; only C
 * knows the layout. */
#ifndef TESSERA_DECODER_H
#define TESSERA_DECODER_H

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

typedef struct {
  ts_matrix matrices[ROLES];
  const float *vectors[ROLES]; /* zero-padded to a multiple of 32; null where the model has none */
  int32_t group, index_in_group, rope;
} ts_layer;

/* The tiles of a layer group and, for the step in hand, its block tables (StepBatch.BlockTables). */
typedef struct {
  uint8_t *slabs;
  int64_t slab_bytes, layer_stride, head_stride, value_offset;
  int32_t window, sink_tokens;
  const int32_t *starts, *first_blocks, *sink_blocks, *refs;
  struct ts_item *items;
  int64_t item_count;
} ts_group;

typedef struct {
  int32_t pairing, pairs;
  float magnitude;
  double *frequencies; /* [pairs] */
  float *turns;        /* [rows]{ cos[pairs], sin[pairs] }, of the step in hand */
} ts_rope;

/* A piece of attention: some rows of one sequence, over some splits, for each KV head. */
typedef struct ts_item {
  int32_t sequence, row, rows, position;
  int32_t first_split, end_split;
  int32_t parts; /* items that share these rows */
  int32_t cell;  /* the rows' place among the arrival counters */
  int64_t slot;  /* first partial result of the rows, for split 0 and KV head 0; with parts > 1 */
} ts_item;

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
} ts_scratch;

enum { GATE_ROWS = 64, ROW_CHUNK = 256, QUERY_TILE = 48, LOGIT_PANELS = 8 };

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
  int64_t partial_capacity, partial_stride, partial_rows;
  float *partials;                  /* [capacity]{ m[partial_rows], d[..], o[..][padded head_dim] } */
  _Atomic int32_t *head_arrivals;   /* [cells][kv_heads] */
  _Atomic int32_t *cell_arrivals;   /* [cells] */

  ts_scratch *scratch; /* [threads] */
  ts_team team;
  void *memory; /* everything above that is not the model's */
  int64_t memory_bytes;
} ts_decoder;

static inline int64_t ts_padded(int64_t n) { return (n + TS_BLOCK - 1) / TS_BLOCK * TS_BLOCK; }

/* Whether any layer normalises what it adds to the residual stream. */
static inline int ts_has_post_norms(const ts_decoder *d) {
  const ts_layer *layer = &d->layers[0];
  return layer->vectors[ROLE_POST_ATTENTION_NORM] || layer->vectors[ROLE_POST_FEED_FORWARD_NORM];
}

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
/* The arrays of a step, which must stay valid until its end. */
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

/* The store and the attention of layer 0 alone, from d->qkv into d->mixed. */
int32_t TS(attend)(ts_decoder *d, int32_t thread);

#endif
