#include "rows.h"

#include "simd.h"
#include "tile_format.h"

enum { MAX_HEAD_DIM = 256 };

void TS(normalise)(const float *x, const float *weight, int64_t width, float epsilon, float *out) {
  vf even = vf_all(0), odd = vf_all(0);
  int64_t i = 0;
  for (; i + LANES < width; i += 2 * LANES) {
    vf a = vf_load(x + i), b = vf_load(x + i + LANES);
    even = vf_fma(a, a, even);
    odd = vf_fma(b, b, odd);
  }
  if (i < width) {
    vf a = vf_load(x + i);
    even = vf_fma(a, a, even);
  }
  vf factor = vf_all(1.0f / sqrtf(vf_sum(even + odd) / (float)width + epsilon));
  for (i = 0; i < width; i += LANES) {
    vf_store(out + i, vf_load(x + i) * factor * vf_load(weight + i));
  }
}

void TS(rotate)(float *head, const ts_rope *rope, int64_t row) {
  int32_t pairs = rope->pairs;
  const float *cosine = rope->turns + row * 2 * pairs, *sine = cosine + pairs;
  if (rope->pairing == PAIRING_SPLIT) {
    for (int32_t i = 0; i < pairs; i++) {
      float a = head[i], b = head[i + pairs];
      head[i] = a * cosine[i] - b * sine[i];
      head[i + pairs] = b * cosine[i] + a * sine[i];
    }
  } else {
    for (int32_t i = 0; i < pairs; i++) {
      float a = head[2 * i], b = head[2 * i + 1];
      head[2 * i] = a * cosine[i] - b * sine[i];
      head[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
  }
}

void TS(gate)(float *gate, const float *up, int64_t count, int32_t activation) {
  for (int64_t i = 0; i < count; i += LANES) {
    vf g = vf_load(gate + i), z = g;
    if (activation == ACTIVATION_GELU_TANH) {
      /* 0.5 (1 + tanh z) is the logistic function of 2 z. */
      z = g * vf_fma(g * g, vf_all(2 * 0.044715f * 0.7978845608f), vf_all(2 * 0.7978845608f));
    }
    vf_store(gate + i, g / (vf_exp(-z) + 1.0f) * vf_load(up + i));
  }
}

void TS(soft_cap)(float *x, int64_t count, float cap) {
  for (int64_t i = 0; i < count; i += LANES) {
    vf_store(x + i, cap * vf_tanh(vf_load(x + i) / cap));
  }
}

/* Copies a head with its bias and clears what a vector reads beyond it. */
INLINE void take_head(const float *x, const float *bias, int32_t dim, float *out) {
  for (int32_t i = 0; i < dim; i++) out[i] = bias ? x[i] + bias[i] : x[i];
  for (int32_t i = dim; i % 16; i++) out[i] = 0;
}

void TS(load_query)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t head,
                    float scale, float *out) {
  int32_t dim = d->head_dim;
  const float *bias = layer->vectors[ROLE_QUERY_BIAS], *norm = layer->vectors[ROLE_QUERY_NORM];
  take_head(d->qkv + row * d->qkv_stride + head * dim, bias ? bias + head * dim : 0, dim, out);
  if (norm) TS(normalise)(out, norm, dim, d->norm_epsilon, out);
  if (layer->rope >= 0) TS(rotate)(out, &d->ropes[layer->rope], row);
  for (int32_t i = 0; i < dim; i++) out[i] *= scale;
}

/* Where a block stands in the tables: a window group's have gaps (StepBatch.BlockTables). */
static int64_t entry_of(const ts_group *group, int32_t sequence, int64_t block) {
  int64_t sinks = group->sink_blocks[sequence];
  int64_t entry = block < sinks ? block : sinks + block - group->first_blocks[sequence];
  return group->starts[sequence] + entry;
}

uint16_t *TS(key_tile)(const ts_decoder *d, const ts_layer *layer, int32_t sequence, int64_t block,
                       int64_t kv_head) {
  const ts_group *group = &d->groups[layer->group];
  uint32_t ref = (uint32_t)group->refs[entry_of(group, sequence, block)];
  uint8_t *slab = group->slabs + (int64_t)(ref & TS_SLAB_MASK) * group->slab_bytes;
  return (uint16_t *)(slab + layer->index_in_group * group->layer_stride +
                      kv_head * group->head_stride);
}

ts_cooled TS(cooled)(const ts_decoder *d, const ts_layer *layer, int32_t sequence, int64_t block,
                     int32_t form, int64_t kv_head) {
  const ts_group *group = &d->groups[layer->group];
  const ts_form *f = &group->forms[form - 1];
  uint32_t ref = (uint32_t)f->refs[entry_of(group, sequence, block)];
  const uint8_t *slab = f->slabs + (int64_t)(ref & TS_SLAB_MASK) * f->slab_bytes;
  const ts_place_pair *place = &layer->cooled[(form - 1) * d->kv_heads + kv_head];
  return (ts_cooled){slab + place->key.at, slab + place->value.at};
}

void TS(load_key)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t kv_head,
                  float *out) {
  int32_t dim = d->head_dim;
  const float *bias = layer->vectors[ROLE_KEY_BIAS], *norm = layer->vectors[ROLE_KEY_NORM];
  const float *key = d->qkv + row * d->qkv_stride + d->key_at + kv_head * dim;
  take_head(key, bias ? bias + kv_head * dim : 0, dim, out);
  if (norm) TS(normalise)(out, norm, dim, d->norm_epsilon, out);
  if (layer->rope >= 0) TS(rotate)(out, &d->ropes[layer->rope], row);
}

void TS(load_value)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t kv_head,
                    float *out) {
  int32_t dim = d->head_dim;
  const float *bias = layer->vectors[ROLE_VALUE_BIAS];
  const float *value = d->qkv + row * d->qkv_stride + d->value_at + kv_head * dim;
  take_head(value, bias ? bias + kv_head * dim : 0, dim, out);
}

void TS(store)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t kv_head) {
  int32_t dim = d->head_dim;
  float x[MAX_HEAD_DIM];
  uint16_t half[MAX_HEAD_DIM];
  int64_t position = d->row_position[row], slot = position % TS_BLOCK_TOKENS;
  uint16_t *keys = TS(key_tile)(d, layer, d->row_sequence[row], position / TS_BLOCK_TOKENS, kv_head);
  uint16_t *values = keys + d->groups[layer->group].value_offset / TS_ELEMENT_BYTES;

  TS(load_key)(d, layer, row, kv_head, x);
  for (int32_t i = 0; i < dim; i += LANES) vf_store_half(half + i, vf_load(x + i));
  for (int32_t i = 0; i < dim; i++) keys[TS_KEY_INDEX(dim, slot, i)] = half[i];

  TS(load_value)(d, layer, row, kv_head, x);
  for (int32_t i = 0; i < dim; i += LANES) vf_store_half(half + i, vf_load(x + i));
  memcpy(values + TS_VALUE_INDEX(dim, slot, 0), half, dim * sizeof *half);
}

void TS(capture)(const ts_decoder *d, const ts_layer *layer, int64_t row) {
  int64_t dim = d->head_dim, vectors = d->heads + 2 * d->kv_heads;
  float x[MAX_HEAD_DIM];
  float *out = d->capture + ((layer - d->layers) * d->max_rows + row) * vectors * dim;
  for (int64_t i = 0; i < vectors; i++) {
    int64_t kv_head = i - d->heads;
    if (kv_head < 0) {
      TS(load_query)(d, layer, row, i, d->attention_scale, x);
    } else if (kv_head < d->kv_heads) {
      TS(load_key)(d, layer, row, kv_head, x);
    } else {
      TS(load_value)(d, layer, row, kv_head - d->kv_heads, x);
    }
    memcpy(out + i * dim, x, dim * sizeof *x);
  }
}

void TS(feed)(const float *x, const ts_matrix *const *readers, int count, int64_t row,
              const ts_activations *a) {
  int filled[2] = {0, 0};
  for (int i = 0; i < count; i++) {
    int form = ts_kind_is_float(readers[i]->kind) != 0;
    if (!filled[form]) TS(quantise)(x, readers[i]->columns, readers[i]->kind, row, 0, a);
    filled[form] = 1;
  }
}
