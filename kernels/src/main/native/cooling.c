/* Cooled forms of a decoder: their places, and the memory that reading and writing them takes. */
#define _DEFAULT_SOURCE
#include "cooling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "memory.h"

int ts_decoder_rule(ts_decoder *d, int32_t first_blocks, int32_t forms, const int32_t *age_blocks) {
  d->rule.first_blocks = first_blocks;
  d->rule.forms = forms;
  memcpy(d->rule.age_blocks, age_blocks, (size_t)forms * sizeof *age_blocks);
  int64_t places = (int64_t)forms * d->kv_heads;
  d->places = calloc((size_t)(d->layer_count * places + 1), sizeof *d->places);
  return d->places ? 0 : -1;
}

void ts_decoder_form(ts_decoder *d, int32_t group, int32_t form, uint8_t *slabs,
                     int64_t slab_bytes) {
  ts_group *g = &d->groups[group];
  g->forms[form - 1] = (ts_form){.slabs = slabs, .slab_bytes = slab_bytes};
  if (g->form_count < form) g->form_count = form;
}

int ts_decoder_code(ts_decoder *d, ts_code *code) {
  ts_code **codes = realloc(d->codes, (size_t)(d->code_count + 1) * sizeof *codes);
  if (!codes) return -1;
  d->codes = codes;
  d->codes[d->code_count++] = code;
  return 0;
}

int32_t ts_decoder_turning(ts_decoder *d, int32_t pairing, int32_t pairs, float magnitude,
                           const double *frequencies) {
  size_t bytes = (size_t)pairs * sizeof *frequencies;
  ts_turning *all = realloc(d->turnings, (size_t)(d->turning_count + 1) * sizeof *all);
  double *copy = malloc(bytes + 1);
  if (all) d->turnings = all;
  if (!all || !copy) {
    free(copy);
    return -1;
  }
  memcpy(copy, frequencies, bytes);
  all[d->turning_count] = (ts_turning){
      .magnitude = magnitude, .frequencies = copy, .table = {.pairing = pairing, .pairs = pairs}};
  return d->turning_count++;
}

void ts_decoder_place(ts_decoder *d, int32_t layer, int32_t form, int32_t kv_head,
                      int32_t is_value, int64_t at, const ts_code *code) {
  ts_layer *l = &d->layers[layer];
  l->cooled = d->places + (int64_t)layer * d->rule.forms * d->kv_heads;
  ts_place_pair *pair = &l->cooled[(form - 1) * d->kv_heads + kv_head];
  *(is_value ? &pair->value : &pair->key) = (ts_place){at, code};
}

/* ---- memory ---- */

enum { HALF_TILE = TS_BLOCK_TOKENS / 2 };

static int64_t blocks_of(const ts_decoder *d) { return d->max_positions / TS_BLOCK_TOKENS + 1; }

static int32_t padded_pairs(int32_t pairs) { return (pairs + 15) / 16 * 16; }

static ts_partial take_partial(ts_arena *arena, int64_t rows, int64_t dim) {
  ts_partial p = {
      .max = ts_take(arena, rows, sizeof(float)),
      .sum = ts_take(arena, rows, sizeof(float)),
      .out = ts_take(arena, rows * dim, sizeof(float)),
  };
  return p;
}

static void take_cold(ts_decoder *d, ts_arena *arena, ts_scratch *s) {
  int64_t rows = d->partial_rows, dim = (d->head_dim + 15) / 16 * 16;
  ts_cold *cold = ts_take(arena, 1, sizeof *cold);
  ts_cold unused, *c = arena->base ? cold : &unused;
  c->coded.weights = ts_take(arena, TS_GRADES * rows * TS_BLOCK_TOKENS, sizeof(int16_t));
  c->coded.weight_bytes = ts_take(arena, TS_GRADES * rows * TS_BLOCK_TOKENS, sizeof(uint8_t));
  c->coded.weight_scale = ts_take(arena, TS_GRADES * rows, sizeof(float));
  c->coded.weight_sums = ts_take(arena, TS_GRADES * rows, sizeof(int32_t));
  for (int32_t form = 0; form < d->rule.forms; form++) {
    c->queries[form] = (ts_coded_query){
        .levels = ts_take(arena, rows * dim, sizeof(int16_t)),
        .bytes = ts_take(arena, rows * dim, sizeof(int8_t)),
        .offsets = ts_take(arena, TS_GRADES * rows, sizeof(int32_t)),
        .scale = ts_take(arena, TS_GRADES * rows, sizeof(float)),
        .base = ts_take(arena, rows, sizeof(float)),
        .turn = ts_take(arena, rows * 2 * padded_pairs(d->head_dim / 2), sizeof(float)),
        .rest = ts_take(arena, rows, sizeof(float)),
    };
  }
  c->part = take_partial(arena, rows, dim);
  c->whole = take_partial(arena, rows, dim);
  if (arena->base) s->cold = cold;
}

static const double REACH = HALF_TILE - 0.5; /* positions from the middle to the outermost */

static void fill_middle(const ts_decoder *d, const ts_turning *t, float *middle) {
  for (int64_t block = 0; block < blocks_of(d); block++, middle += 2 * t->table.stride) {
    double position = (double)block * TS_BLOCK_TOKENS + REACH;
    for (int32_t p = 0; p < t->table.stride; p++) {
      double angle = p < t->table.pairs ? position * t->frequencies[p] : 0;
      middle[p] = (float)(cos(angle) * t->magnitude);
      middle[t->table.stride + p] = (float)(sin(angle) * t->magnitude);
    }
  }
}

static void fill_inside(const ts_turning *t, float *inside) {
  for (int32_t p = 0; p < t->table.pairs; p++) {
    for (int i = 0; i < HALF_TILE; i++) {
      inside[2 * p * HALF_TILE + i] = (float)cos((i + 0.5) * t->frequencies[p]);
      inside[(2 * p + 1) * HALF_TILE + i] = (float)sin((i + 0.5) * t->frequencies[p]);
    }
  }
}

/* The series of cosine and sine to the ninth power: at one radian they are 3e-7 from the truth. */
static void fill_slow(const ts_turning *t, float *slow, float *powers) {
  for (int32_t p = t->table.fast; p < t->table.pairs; p++, slow += 2 * TS_TURN_STRIDE) {
    double term = 1;
    for (int i = 0; i < 2 * TS_TURN_TERMS; i++) {
      double sign = i / 2 % 2 ? -1 : 1;
      slow[i % 2 * TS_TURN_STRIDE + i / 2] = (float)(sign * term);
      term *= REACH * t->frequencies[p] / (i + 1);
    }
  }
  for (int i = 0; i < 2 * TS_TURN_TERMS; i++) {
    for (int j = 0; j < HALF_TILE; j++) {
      powers[i * HALF_TILE + j] = (float)pow((j + 0.5) / REACH, i);
    }
  }
}

/* Pairs up to the last one that turns by more than one radian. */
static int32_t fast_of(const ts_turning *t) {
  int32_t fast = t->table.pairs;
  while (fast > 0 && fabs(t->frequencies[fast - 1]) * REACH <= 1) fast--;
  return fast;
}

static void take_table(ts_decoder *d, ts_arena *arena, ts_turning *t) {
  int64_t pairs = t->table.pairs;
  t->table.fast = fast_of(t);
  t->table.stride = padded_pairs(t->table.pairs);
  float *middle = ts_take(arena, blocks_of(d) * 2 * t->table.stride, sizeof *middle);
  float *inside = ts_take(arena, pairs * TS_BLOCK_TOKENS, sizeof *inside);
  float *slow = ts_take(arena, (pairs - t->table.fast) * 2 * TS_TURN_STRIDE, sizeof *slow);
  float *powers = ts_take(arena, TS_TURN_TERMS * TS_BLOCK_TOKENS, sizeof *powers);
  if (!arena->base) return;
  fill_middle(d, t, middle);
  fill_inside(t, inside);
  fill_slow(t, slow, powers);
  t->table.middle = middle;
  t->table.inside = inside;
  t->table.slow = slow;
  t->table.powers = powers;
}

static void place(ts_decoder *d, ts_arena *arena) {
  for (int32_t i = 0; i < d->team.threads; i++) {
    take_cold(d, arena, arena->base ? &d->scratch[i] : 0);
  }
  for (int32_t i = 0; i < d->turning_count; i++) take_table(d, arena, &d->turnings[i]);
}

static int64_t code_bytes(const ts_code *code) {
  int64_t square = (int64_t)code->dim * code->dim;
  return (int64_t)sizeof *code + (code->forward ? square * (int64_t)sizeof *code->forward : 0) +
         (code->query ? square * (int64_t)sizeof *code->query : 0) +
         (code->turn ? code->dim * (int64_t)sizeof *code->turn : 0) +
         (code->pairs ? code->dim / 2 * (int64_t)sizeof *code->pairs : 0);
}

int64_t ts_decoder_cool(ts_decoder *d) {
  ts_arena counting = {0, 0};
  place(d, &counting);
  d->cold_memory = ts_memory_reserve(counting.used);
  if (!d->cold_memory) return -1;
  d->cold_bytes = counting.used;
  ts_arena arena = {d->cold_memory, 0};
  place(d, &arena);
  int64_t bytes = d->cold_bytes;
  for (int32_t i = 0; i < d->code_count; i++) bytes += code_bytes(d->codes[i]);
  return bytes;
}

/* ---- a step ---- */

static int make_room(ts_decoder *d, int32_t coolings) {
  if (coolings <= d->max_coolings) return 0;
  for (int32_t i = 0; i < d->turning_count; i++) {
    ts_turning *t = &d->turnings[i];
    int64_t floats = (int64_t)t->table.pairs * 2 * TS_BLOCK_TOKENS;
    float *turns = realloc(t->cooling_turns, (size_t)(2 * coolings * floats) * sizeof *turns + 1);
    if (!turns) return -1;
    t->cooling_turns = turns;
  }
  d->max_coolings = 2 * coolings;
  return 0;
}

int ts_decoder_coolings(ts_decoder *d, int32_t group, int32_t count, const int32_t *blocks,
                        int32_t *from, const int32_t *to) {
  /* A tile that is itself made in this step need not be waited for: its own source serves. */
  for (int32_t i = 0; i < count; i++) {
    for (int32_t j = 0; j < i; j++) {
      if (from[i] == to[j]) from[i] = from[j];
    }
  }
  if (group == 0) d->coolings = 0;
  d->groups[group].coolings =
      (ts_coolings){.count = count, .first = d->coolings, .blocks = blocks, .from = from, .to = to};
  d->coolings += count;
  return make_room(d, d->coolings);
}

void ts_decoder_cooled_refs(ts_decoder *d, int32_t group, int32_t form, const int32_t *refs) {
  d->groups[group].forms[form - 1].refs = refs;
}

void ts_decoder_read_forms(ts_decoder *d, int32_t group, const int32_t *read_forms) {
  d->groups[group].read_forms = read_forms;
}

void ts_decoder_mass(ts_decoder *d, int32_t group, float *mass, float *logs) {
  d->groups[group].mass = mass;
  d->groups[group].mass_logs = logs;
}

int64_t ts_nanos(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

void ts_decoder_meters(const ts_decoder *d, int32_t count, ts_meter *meters) {
  memset(meters, 0, (size_t)count * sizeof *meters);
  for (int32_t thread = 0; thread < d->team.threads; thread++) {
    for (int32_t i = 0; i < count; i++) {
      const ts_meter *own = &d->scratch[thread].cold->meters[i];
      meters[i].coded += own->coded;
      meters[i].coding_nanos += own->coding_nanos;
      meters[i].read += own->read;
      meters[i].timed += own->timed;
      meters[i].timed_nanos += own->timed_nanos;
    }
  }
}

void ts_cooling_free(ts_decoder *d) {
  for (int32_t i = 0; i < d->code_count; i++) ts_code_free(d->codes[i]);
  for (int32_t i = 0; i < d->turning_count; i++) {
    free(d->turnings[i].frequencies);
    free(d->turnings[i].cooling_turns);
  }
  free(d->turnings);
  free(d->codes);
  free(d->places);
  if (d->cold_memory) ts_memory_release(d->cold_memory, d->cold_bytes);
}
