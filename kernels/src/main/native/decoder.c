/* What of a decoder does not depend on the instruction set: its memory and the plan of a step. */
#include "decoder.h"

#include <stdlib.h>
#include <string.h>

#include "cooling.h"
#include "memory.h"
#include "plan.h"
#include "tile_format.h"

ts_decoder *ts_decoder_new(int32_t layers, int32_t groups, int32_t ropes) {
  ts_decoder *d = aligned_alloc(128, (sizeof *d + 127) / 128 * 128);
  if (!d) return 0;
  memset(d, 0, sizeof *d);
  d->layers = calloc((size_t)layers + 1, sizeof *d->layers);
  d->groups = calloc((size_t)groups + 1, sizeof *d->groups);
  d->ropes = calloc((size_t)ropes + 1, sizeof *d->ropes);
  d->layer_count = layers;
  d->group_count = groups;
  d->rope_count = ropes;
  if (!d->layers || !d->groups || !d->ropes) {
    ts_decoder_free(d);
    return 0;
  }
  return d;
}

void ts_decoder_shape(ts_decoder *d, int32_t vocabulary, int32_t hidden, int32_t heads,
                      int32_t kv_heads, int32_t head_dim, int32_t feed_forward, int32_t activation,
                      float norm_epsilon, float embedding_scale, float attention_scale,
                      float attention_soft_cap, float logit_soft_cap) {
  d->vocabulary = vocabulary;
  d->hidden = hidden;
  d->heads = heads;
  d->kv_heads = kv_heads;
  d->head_dim = head_dim;
  d->feed_forward = feed_forward;
  d->activation = activation;
  d->norm_epsilon = norm_epsilon;
  d->embedding_scale = embedding_scale;
  d->attention_scale = attention_scale;
  d->attention_soft_cap = attention_soft_cap;
  d->logit_soft_cap = logit_soft_cap;
}

static ts_layer *layer_of(ts_decoder *d, int32_t layer) {
  return layer < 0 ? &d->outside : &d->layers[layer];
}

void ts_decoder_layer(ts_decoder *d, int32_t layer, int32_t group, int32_t index_in_group,
                      int32_t rope) {
  d->layers[layer].group = group;
  d->layers[layer].index_in_group = index_in_group;
  d->layers[layer].rope = rope;
}

void ts_decoder_matrix(ts_decoder *d, int32_t layer, int32_t role, int32_t kind, int32_t rows,
                       int32_t columns, uint8_t *data) {
  layer_of(d, layer)->matrices[role] = (ts_matrix){
      .kind = kind,
      .rows = rows,
      .columns = columns,
      .panels = (rows + TS_PANEL - 1) / TS_PANEL,
      .blocks = (columns + TS_BLOCK - 1) / TS_BLOCK,
      .panel_bytes = ts_panel_bytes(kind, columns),
      .data = data,
  };
}

void ts_decoder_vector(ts_decoder *d, int32_t layer, int32_t role, const float *data) {
  layer_of(d, layer)->vectors[role] = data;
}

void ts_decoder_group(ts_decoder *d, int32_t group, uint8_t *slabs, int64_t slab_bytes,
                      int64_t layer_stride, int64_t head_stride, int64_t value_offset,
                      int32_t window, int32_t sink_tokens) {
  d->groups[group] = (ts_group){
      .slabs = slabs,
      .slab_bytes = slab_bytes,
      .layer_stride = layer_stride,
      .head_stride = head_stride,
      .value_offset = value_offset,
      .window = window,
      .sink_tokens = sink_tokens,
  };
}

int ts_decoder_rope(ts_decoder *d, int32_t rope, int32_t pairing, int32_t pairs, float magnitude,
                    const double *frequencies) {
  double *copy = malloc((size_t)(pairs + 1) * sizeof *copy);
  if (!copy) return -1;
  memcpy(copy, frequencies, (size_t)pairs * sizeof *copy);
  d->ropes[rope] = (ts_rope){
      .pairing = pairing, .pairs = pairs, .magnitude = magnitude, .frequencies = copy};
  return 0;
}

void ts_decoder_pack(ts_decoder *d, int32_t layer, int32_t role, const uint8_t *source,
                     int64_t first_row, int64_t rows) {
  ts_pack(&layer_of(d, layer)->matrices[role], source, rows, first_row / TS_PANEL, 1);
}

void *ts_take(ts_arena *arena, int64_t count, int64_t bytes) {
  int64_t at = arena->used;
  arena->used += (count * bytes + 127) / 128 * 128;
  return arena->base ? arena->base + at : 0;
}

static ts_activations take_activations(ts_arena *arena, int64_t rows, int64_t columns,
                                       int has_floats) {
  ts_activations a = {.blocks = ts_padded(columns) / TS_BLOCK};
  int64_t blocks = rows * a.blocks;
  if (has_floats) a.x = ts_take(arena, blocks * TS_BLOCK, sizeof *a.x);
  a.q = ts_take(arena, blocks * TS_BLOCK, sizeof *a.q);
  a.scale = ts_take(arena, blocks, sizeof *a.scale);
  a.total = ts_take(arena, blocks, sizeof *a.total);
  a.sum = ts_take(arena, blocks * 2, sizeof *a.sum);
  return a;
}

static int has_matrix(const ts_layer *layers, int32_t count, int (*is)(int32_t kind)) {
  for (int32_t i = 0; i < count; i++) {
    for (int32_t role = 0; role < ROLES; role++) {
      if (layers[i].matrices[role].data && is(layers[i].matrices[role].kind)) return 1;
    }
  }
  return 0;
}

static void take_scratch(ts_decoder *d, ts_arena *arena, ts_scratch *s, int floats) {
  int64_t heads_width = (int64_t)d->heads * d->head_dim;
  int64_t widest = d->hidden > d->feed_forward ? d->hidden : d->feed_forward;
  if (heads_width > widest) widest = heads_width;
  int64_t rows = d->partial_rows, dim = (d->head_dim + 15) / 16 * 16;
  ts_scratch t = {
      .row = ts_take(arena, ts_padded(widest), sizeof(float)),
      .normed = take_activations(arena, 1, d->hidden, floats),
      .mixed = take_activations(arena, 1, heads_width, floats),
      .gate = ts_take(arena, GATE_ROWS * TS_PANEL, sizeof(float)),
      .up = ts_take(arena, GATE_ROWS * TS_PANEL, sizeof(float)),
      .query = ts_take(arena, rows * dim, sizeof(float)),
      .scores = ts_take(arena, rows * TS_BLOCK_TOKENS, sizeof(float)),
      .slice = ts_take(arena, (dim > TS_BLOCK_TOKENS ? dim : TS_BLOCK_TOKENS) * 16, sizeof(float)),
      .part = ts_take(arena, rows * dim, sizeof(float)),
      .whole = ts_take(arena, rows * dim, sizeof(float)),
      .part_max = ts_take(arena, rows, sizeof(float)),
      .part_sum = ts_take(arena, rows, sizeof(float)),
      .whole_max = ts_take(arena, rows, sizeof(float)),
      .whole_sum = ts_take(arena, rows, sizeof(float)),
      .decay = ts_take(arena, rows, sizeof(float)),
      .new_max = ts_take(arena, rows, sizeof(float)),
  };
  if (s) *s = t;
}

static void place(ts_decoder *d, ts_arena *arena) {
  int floats = has_matrix(d->layers, d->layer_count, ts_kind_is_float) ||
               has_matrix(&d->outside, 1, ts_kind_is_float);
  int threads = d->team.threads;
  int64_t rows = d->max_rows;
  d->row_sequence = ts_take(arena, rows, sizeof *d->row_sequence);
  d->row_position = ts_take(arena, rows, sizeof *d->row_position);
  d->x = ts_take(arena, rows * d->hidden_stride, sizeof(float));
  d->qkv = ts_take(arena, rows * d->qkv_stride, sizeof(float));
  d->mixed = ts_take(arena, rows * d->mixed_stride, sizeof(float));
  d->projected = ts_has_post_norms(d) ? ts_take(arena, rows * d->hidden_stride, sizeof(float)) : 0;
  d->logits = ts_take(arena, d->max_logit_rows * d->logit_stride, sizeof(float));
  d->normed = take_activations(arena, rows, d->hidden, floats);
  d->mixed_in = take_activations(arena, rows, (int64_t)d->heads * d->head_dim, floats);
  d->fed = take_activations(arena, rows, d->feed_forward, floats);
  d->last = take_activations(arena, d->max_logit_rows, d->hidden, floats);
  if (has_matrix(d->layers, d->layer_count, ts_kind_is_wide)) {
    ts_activations *const read[] = {&d->normed, &d->mixed_in, &d->fed};
    for (int i = 0; i < 3; i++) {
      read[i]->wide = ts_take(arena, rows * read[i]->blocks * TS_BLOCK, sizeof(int16_t));
    }
  }
  if (has_matrix(&d->outside, 1, ts_kind_is_wide)) {
    d->last.wide = ts_take(arena, d->max_logit_rows * d->last.blocks * TS_BLOCK, sizeof(int16_t));
  }
  for (int32_t i = 0; i < d->rope_count; i++) {
    d->ropes[i].turns = ts_take(arena, rows * 2 * d->ropes[i].pairs, sizeof(float));
  }
  int64_t items = ts_plan_max_items(d);
  for (int32_t i = 0; i < d->group_count; i++) {
    d->groups[i].items = ts_take(arena, items, sizeof(ts_item));
  }
  int64_t cells = d->max_rows;
  d->head_arrivals = ts_take(arena, cells * d->kv_heads, sizeof(int32_t));
  d->cell_arrivals = ts_take(arena, cells, sizeof(int32_t));
  d->partials = ts_take(arena, d->partial_capacity, sizeof(float));
  d->scratch = ts_take(arena, threads, sizeof(ts_scratch));
  for (int i = 0; i < threads; i++) take_scratch(d, arena, d->scratch ? &d->scratch[i] : 0, floats);
  d->team.shares = ts_take(arena, threads, sizeof(ts_share));
}

int64_t ts_decoder_ready(ts_decoder *d, int32_t threads, int32_t rows, int32_t logit_rows,
                         int32_t sequences, int32_t positions) {
  d->team.threads = threads;
  d->max_rows = rows;
  d->max_logit_rows = logit_rows;
  d->max_sequences = sequences;
  d->max_positions = positions;
  int64_t width = (int64_t)d->heads * d->head_dim, kv_width = (int64_t)d->kv_heads * d->head_dim;
  d->sharing = d->heads / d->kv_heads;
  d->tile_tokens = d->sharing >= QUERY_TILE ? 1 : QUERY_TILE / d->sharing;
  d->partial_rows = (d->tile_tokens * d->sharing + 15) / 16 * 16;
  d->hidden_stride = ts_padded(d->hidden);
  d->mixed_stride = ts_padded(width);
  d->key_at = ts_padded(width);
  d->value_at = d->key_at + ts_padded(kv_width);
  d->qkv_stride = d->value_at + ts_padded(kv_width);
  d->logit_stride = ts_padded(d->vocabulary);
  d->partial_capacity = ts_plan_partials(d);
  ts_arena counting = {0, 0};
  place(d, &counting);
  d->memory = ts_memory_reserve(counting.used);
  if (!d->memory) return -1;
  d->memory_bytes = counting.used;
  ts_arena arena = {d->memory, 0};
  place(d, &arena);
  return d->memory_bytes;
}

void ts_decoder_tables(ts_decoder *d, int32_t group, const int32_t *starts,
                       const int32_t *first_blocks, const int32_t *sink_blocks,
                       const int32_t *refs) {
  ts_group *g = &d->groups[group];
  g->starts = starts;
  g->first_blocks = first_blocks;
  g->sink_blocks = sink_blocks;
  g->refs = refs;
}

void ts_decoder_batch(ts_decoder *d, int32_t rows, int32_t sequences, int32_t logit_rows,
                      const int32_t *token_ids, const int32_t *row_starts,
                      const int32_t *first_positions, const int32_t *logit_row) {
  d->rows = rows;
  d->sequences = sequences;
  d->logit_row_count = logit_rows;
  d->token_ids = token_ids;
  d->row_starts = row_starts;
  d->first_positions = first_positions;
  d->logit_rows = logit_row;
  d->stores = d->coolings > 0;
  for (int32_t s = 0; s < sequences; s++) {
    if (row_starts[s + 1] - row_starts[s] > 1) d->stores = 1;
    for (int32_t row = row_starts[s]; row < row_starts[s + 1]; row++) {
      d->row_sequence[row] = s;
      d->row_position[row] = first_positions[s] + row - row_starts[s];
    }
  }
  ts_plan(d);
}

float *ts_decoder_logits(ts_decoder *d) { return d->logits; }

int64_t ts_decoder_logit_stride(ts_decoder *d) { return d->logit_stride; }

float *ts_decoder_qkv(ts_decoder *d) { return d->qkv; }

float *ts_decoder_mixed(ts_decoder *d) { return d->mixed; }

void ts_decoder_capture(ts_decoder *d, float *capture) { d->capture = capture; }

void ts_decoder_break(ts_decoder *d) { ts_team_break(&d->team); }

void ts_decoder_free(ts_decoder *d) {
  ts_cooling_free(d);
  if (d->ropes) {
    for (int32_t i = 0; i < d->rope_count; i++) free(d->ropes[i].frequencies);
  }
  if (d->memory) ts_memory_release(d->memory, d->memory_bytes);
  free(d->layers);
  free(d->groups);
  free(d->ropes);
  free(d);
}
