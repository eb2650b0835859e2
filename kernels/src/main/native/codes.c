#include "codes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *copy_of(const float *x, int64_t count) {
  float *copy = malloc((size_t)count * sizeof *copy);
  if (copy) memcpy(copy, x, (size_t)count * sizeof *copy);
  return copy;
}

static float *transposed(const float *x, int64_t dim) {
  int64_t stride = (dim + 15) / 16 * 16;
  float *copy = calloc((size_t)(dim * stride), sizeof *copy);
  for (int64_t i = 0; copy && i < dim * dim; i++) copy[i % dim * stride + i / dim] = x[i];
  return copy;
}

/* Signs are drawn by splitmix64 (Steele et al., 2014). */
static void draw_signs(float *sign, int32_t dim) {
  uint64_t state = 0x7e55e7a;
  for (int32_t i = 0; i < dim; i++) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    sign[i] = (z ^ (z >> 31)) >> 63 ? -1.0f : 1.0f;
  }
}

ts_code *ts_code_new(int32_t dim, int32_t coding, int32_t is_key, int32_t is_centred, int32_t spared,
                     int32_t groups, const int64_t *offsets, const float *sigma,
                     const float *forward, const float *query, const float *turn, int32_t turning) {
  ts_code *code = calloc(1, sizeof *code);
  if (!code) return 0;
  code->dim = dim;
  code->group_count = groups;
  code->coding = coding;
  code->is_key = is_key;
  code->is_centred = is_centred;
  code->spared = spared;
  for (int32_t g = 0; g < groups; g++) {
    int32_t first = g * TS_GROUP_CHANNELS, left = dim - first;
    code->groups[g].first = first;
    code->groups[g].channels = left < TS_GROUP_CHANNELS ? left : TS_GROUP_CHANNELS;
    code->groups[g].first_code = coding == TS_CODING_PAIRS ? first / 2 : first;
    code->groups[g].codes = code->groups[g].channels / (coding == TS_CODING_PAIRS ? 2 : 1);
    code->groups[g].at = offsets[g];
  }
  const int64_t *sections = offsets + groups;
  code->scales_at = sections[0];
  code->zeros_at = sections[1];
  code->mean_at = sections[2];
  code->mean_scale_at = sections[3];
  code->spare_index_at = sections[4];
  code->spare_at = sections[5];
  code->bytes = sections[6];
  memcpy(code->sigma, sigma, (size_t)dim * sizeof *sigma);
  draw_signs(code->sign, dim);
  if (coding == TS_CODING_PAIRS) code->pairs = calloc((size_t)dim / 2, sizeof *code->pairs);
  int64_t square = (int64_t)dim * dim;
  if (forward) code->forward = copy_of(forward, square);
  if (query) code->query = transposed(query, dim);
  if (turn) code->turn = copy_of(turn, dim);
  code->turning = turning;
  int has_pairs = coding != TS_CODING_PAIRS || code->pairs;
  if (has_pairs && !forward == !code->forward && !query == !code->query && !turn == !code->turn) {
    return code;
  }
  ts_code_free(code);
  return 0;
}

static void fill_lookup(int32_t width, const int8_t *levels, int8_t lookup[4][16]) {
  for (int n = 0; n < 16; n++) {
    switch (width) {
      case 1: lookup[0][n] = levels[n & 1]; break;
      case 2: lookup[0][n] = levels[n & 3]; break;
      case 3: lookup[0][n] = levels[(n & 3) << 1 | (n >> 2 & 1)]; break;
      case 4: lookup[0][n] = levels[n]; break;
      case 5:
        for (int k = 0; k < 2; k++) lookup[k][n] = levels[2 * n + k];
        break;
      case 6:
        for (int k = 0; k < 4; k++) lookup[k][n] = levels[4 * n + k];
        break;
      default: break;
    }
  }
}

static int32_t grade_of(const ts_code *code, int32_t width) {
  if (width == 0) return TS_GRADES;
  return width > TS_BYTES_WIDTH || code->coding != TS_CODING_TOKENS ? TS_FINE : TS_BYTES;
}

static void order_by_grade(ts_code *code) {
  int32_t at = 0;
  code->is_whole = code->coding == TS_CODING_TOKENS && code->dim % TS_GROUP_CHANNELS == 0;
  for (int32_t grade = 0; grade <= TS_GRADES; grade++) {
    code->grades[grade] = at;
    for (int32_t i = 0; grade < TS_GRADES && i < code->group_count; i++) {
      ts_code_group *g = &code->groups[i];
      g->grade = grade_of(code, g->levels.width);
      if (g->grade == TS_GRADES) code->is_whole = 0;
      if (g->grade != grade) continue;
      g->graded_at = at;
      at += g->channels;
    }
  }
}

/* Whether codes of one group go on in the next one's: their planes are not apart, as with 3, 5 and 6
 * bits. */
static int goes_on(const ts_code *code, int32_t group) {
  const ts_code_group *a = &code->groups[group], *b = a + 1;
  int32_t width = a->levels.width;
  return group + 1 < code->group_count && width != 3 && width != 5 && width != 6 &&
         width == b->levels.width && !memcmp(a->lookup, b->lookup, sizeof a->lookup);
}

static void find_runs(ts_code *code) {
  ts_code_run *run = code->runs;
  for (int32_t grade = 0; grade < TS_GRADES; grade++) {
    ts_code_run *first = run;
    for (int32_t g = 0; g < code->group_count; g++) {
      if (code->groups[g].grade != grade) continue;
      *run = (ts_code_run){.group = g, .channels = code->groups[g].channels, .is_first = run == first};
      for (; goes_on(code, g); g++) run->channels += code->groups[g + 1].channels;
      run++;
    }
    if (run > first) run[-1].is_last = 1;
  }
  code->run_count = (int32_t)(run - code->runs);
}

void ts_code_group_levels(ts_code *code, int32_t group, int32_t is_full, int32_t width, float step,
                          const float *bounds, const int8_t *levels) {
  ts_code_group *g = &code->groups[group];
  ts_levels *to = is_full ? &g->full : &g->levels;
  to->width = width;
  to->step = step;
  if (width < TS_BYTE_WIDTH) {
    memcpy(to->bounds, bounds, ((1u << width) - 1) * sizeof *bounds);
    memcpy(to->levels, levels, 1u << width);
  }
  code->is_bytes = width == TS_BYTE_WIDTH;
  if (!is_full) {
    g->full = g->levels;
    g->code_width = width;
    fill_lookup(width, g->levels.levels, g->lookup);
    for (int32_t i = g->first; i < g->first + g->channels; i++) code->unit[i] = code->sigma[i] * step;
    order_by_grade(code);
    find_runs(code);
  }
  if (g->full.width != g->levels.width) code->is_cut = 1;
}

void ts_code_meter(ts_code *code, int32_t meter) { code->meter = meter; }

void ts_code_pair(ts_code *code, int32_t pair, int32_t count, float step, const int8_t *levels) {
  ts_pair *p = &code->pairs[pair];
  int32_t width = 0;
  while (1 << width < count) width++;
  ts_code_group *g = &code->groups[2 * pair / TS_GROUP_CHANNELS];
  g->code_width = width;
  g->levels.width = g->full.width = width / 2; /* bits of a channel */
  p->count = count;
  p->step = step;
  for (int i = 0; i < 2; i++) {
    memcpy(p->levels[i], levels + i * count, (size_t)count);
    fill_lookup(width, p->levels[i], p->lookup[i]);
    code->unit[2 * pair + i] = step;
  }
  order_by_grade(code);
}

void ts_code_free(ts_code *code) {
  if (!code) return;
  free(code->forward);
  free(code->query);
  free(code->turn);
  free(code->pairs);
  free(code);
}
