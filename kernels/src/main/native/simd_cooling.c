/* Coolings of a step: each unit makes one tile. */
#include "cooling.h"

#include <math.h>
#include <string.h>

static float *turns_of(const ts_turning *turning, int64_t cooling) {
  return turning->cooling_turns + cooling * turning->table.pairs * 2 * TS_BLOCK_TOKENS;
}

static int64_t exact_bytes(const ts_decoder *d) {
  return (int64_t)TS_BLOCK_TOKENS * d->head_dim * TS_ELEMENT_BYTES;
}

static const ts_place *place_of(const ts_decoder *d, const ts_layer *layer, int32_t form,
                                int64_t kv_head, int is_value) {
  const ts_place_pair *pair = &layer->cooled[(form - 1) * d->kv_heads + kv_head];
  return is_value ? &pair->value : &pair->key;
}

static uint8_t *tile_of(const ts_decoder *d, const ts_layer *layer, uint32_t ref, int64_t kv_head,
                        int is_value) {
  const ts_group *g = &d->groups[layer->group];
  int64_t slab = ref & TS_SLAB_MASK;
  int32_t form = (int32_t)(ref >> TS_FORM_SHIFT);
  if (form == 0) {
    return g->slabs + slab * g->slab_bytes + layer->index_in_group * g->layer_stride +
           kv_head * g->head_stride + (is_value ? g->value_offset : 0);
  }
  const ts_form *f = &g->forms[form - 1];
  return f->slabs + slab * f->slab_bytes + place_of(d, layer, form, kv_head, is_value)->at;
}

int64_t TS(cooling_units)(const ts_decoder *d, const ts_layer *layer) {
  return (int64_t)d->groups[layer->group].coolings.count * d->kv_heads * 2;
}

/* A tile is coded in the first of its forms that has a code; every later one is cut from the one
 * before. */
void TS(cool)(ts_decoder *d, const ts_layer *layer, int64_t unit, ts_cold *cold) {
  const ts_coolings *c = &d->groups[layer->group].coolings;
  int is_value = (int)(unit % 2);
  int64_t kv_head = unit / 2 % d->kv_heads, cooling = unit / 2 / d->kv_heads;
  uint32_t from = (uint32_t)c->from[cooling], to = (uint32_t)c->to[cooling];
  int32_t from_form = (int32_t)(from >> TS_FORM_SHIFT), form = (int32_t)(to >> TS_FORM_SHIFT);
  const uint8_t *source = tile_of(d, layer, from, kv_head, is_value);
  uint8_t *tile = tile_of(d, layer, to, kv_head, is_value);
  const ts_code *chain[TS_MAX_FORMS];
  ts_coder *coder = &cold->coder;
  int64_t since = ts_nanos();
  int32_t count = 0;
  for (int32_t f = form; f > 0 && place_of(d, layer, f, kv_head, is_value)->code; f--) count++;
  for (int32_t i = 0; i < count; i++) {
    chain[i] = place_of(d, layer, form - count + 1 + i, kv_head, is_value)->code;
  }
  if (count == 0) {
    memcpy(tile, source, (size_t)exact_bytes(d));
    return;
  }
  if (from_form > form - count) {
    int32_t start = from_form - (form - count + 1); /* the source's own code */
    TS(cut)(chain + start, count - start, source, tile, coder);
  } else {
    const ts_code *code = chain[0];
    ts_turns turns = {0, 0, 0};
    if (code->turn) {
      const ts_turning *t = &d->turnings[code->turning];
      turns = (ts_turns){t->table.pairing, t->table.pairs, turns_of(t, c->first + cooling)};
    }
    TS(encode)(chain, count, (const uint16_t *)source, &turns, tile, coder);
  }
  ts_meter *meter = &cold->meters[chain[count - 1]->meter];
  meter->coded++;
  meter->coding_nanos += ts_nanos() - since;
}

int64_t TS(turn_units)(const ts_decoder *d) { return (int64_t)d->coolings * d->turning_count; }

/* The turns of a cooling's 64 positions, in double precision so that far positions turn right. */
void TS(turn_cooling)(ts_decoder *d, int64_t unit) {
  int64_t cooling = unit / d->turning_count;
  const ts_turning *t = &d->turnings[unit % d->turning_count];
  const ts_group *g = d->groups;
  while (cooling >= g->coolings.first + g->coolings.count) g++;
  int64_t start = (int64_t)g->coolings.blocks[cooling - g->coolings.first] * TS_BLOCK_TOKENS;
  float *cosine = turns_of(t, cooling);
  for (int32_t p = 0; p < t->table.pairs; p++, cosine += 2 * TS_BLOCK_TOKENS) {
    float *sine = cosine + TS_BLOCK_TOKENS;
    for (int i = 0; i < TS_BLOCK_TOKENS; i++) {
      double angle = (double)(start + i) * t->frequencies[p];
      cosine[i] = (float)(cos(angle) * t->magnitude);
      sine[i] = (float)(sin(angle) * t->magnitude);
    }
  }
}
