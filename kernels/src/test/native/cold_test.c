/* Coded tiles by the kernels of two instruction sets: the same bytes, and the same results but for the
 * order in which floats are added. ISA names the one that is compared with AVX2.
 *
 * It needs no operating system: bare/ runs it on an emulated CPU. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coded.h"
#include "synthetic.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define OTHER(name) JOIN(ts_##name, ISA)

#define DECLARE_(isa)                                                                              \
  void ts_encode_##isa(const ts_code *const *, int32_t, const uint16_t *, const ts_turns *, uint8_t *, \
                       ts_coder *);                                                                \
  void ts_code_query_##isa(const ts_code *, const ts_turn_table *, ts_coded_query *);              \
  void ts_code_scores_##isa(const ts_code *, const ts_turn_table *, int64_t, const uint8_t *,      \
                            const ts_coded_query *, float *, const uint8_t *, ts_coded_scratch *); \
  void ts_code_values_##isa(const ts_code *, const uint8_t *, int64_t, const float *, const float *, \
                            float *, int64_t, const uint8_t *, ts_coded_scratch *);
#define DECLARE(isa) DECLARE_(isa)
DECLARE(avx2)
DECLARE(ISA)

enum { TOKENS = TS_BLOCK_TOKENS, MOST_ROWS = 24 };

/* Float sums of at most 256 terms in another order. */
static const float TOLERANCE = 2e-6f;

static float uniform(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (float)(state >> 40) / 16777216;
}

static float bell(void) {
  float sum = -3;
  for (int i = 0; i < 6; i++) sum += uniform();
  return sum * 1.41f;
}

/* Room for `count` elements and a vector behind them. */
static void *room(int64_t count, int64_t bytes) { return calloc(1, (size_t)(count * bytes + 64)); }

/* ---- codes ---- */

static void make_levels(ts_code *code, int group, int width) {
  float bounds[TS_MAX_CODES] = {0};
  int8_t levels[TS_MAX_CODES] = {0};
  int count = 1 << width, most = width > TS_SMALL_WIDTH ? 127 : 63;
  float step = width == 0 ? 0 : width == TS_BYTE_WIDTH ? 1 : 2.5f / (float)most;
  for (int k = 0; width < TS_BYTE_WIDTH && count > 1 && k < count; k++) {
    levels[k] = (int8_t)((2 * k - (count - 1)) * most / (count - 1));
    if (k) bounds[k - 1] = (float)(levels[k - 1] + levels[k]) * step / 2;
  }
  ts_code_group_levels(code, group, 0, width, step, bounds, levels);
}

static ts_code *make_code(int dim, const int *widths, int is_key, int spared) {
  int groups = (dim + TS_GROUP_CHANNELS - 1) / TS_GROUP_CHANNELS;
  int64_t offsets[TS_MAX_GROUPS + 7];
  int of_groups[TS_MAX_GROUPS];
  for (int g = 0; g < groups; g++) of_groups[g] = widths[g % 4];
  place_sections(dim, of_groups, is_key, spared, offsets);
  float sigma[TS_MAX_DIM] = {0};
  for (int i = 0; i < dim; i++) sigma[i] = 0.5f + uniform();
  ts_code *code = ts_code_new(dim, TS_CODING_TOKENS, is_key, is_key, spared, groups, offsets, sigma,
                              0, 0, 0, 0);
  for (int g = 0; g < groups; g++) make_levels(code, g, of_groups[g]);
  return code;
}

/* ---- what the functions work on ---- */

static ts_coded_query make_query(int dim, int rows, const float *query) {
  int64_t stride = (dim + 15) / 16 * 16;
  return (ts_coded_query){
      .rows = rows,
      .stride = stride,
      .query = query,
      .levels = room(rows * stride, sizeof(int16_t)),
      .bytes = room(rows * stride, 1),
      .offsets = room(TS_GRADES * rows, sizeof(int32_t)),
      .scale = room(TS_GRADES * rows, sizeof(float)),
      .base = room(rows, sizeof(float)),
      .rest = room(rows, sizeof(float)),
  };
}

static void free_query(ts_coded_query *q) {
  void *const all[] = {q->levels, q->bytes, q->offsets, q->scale, q->base, q->rest};
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static ts_coded_scratch *make_scratch(void) {
  ts_coded_scratch *s = room(1, sizeof *s);
  s->weights = room(TS_GRADES * MOST_ROWS * TOKENS, sizeof(int16_t));
  s->weight_bytes = room(TS_GRADES * MOST_ROWS * TOKENS, 1);
  s->weight_scale = room(TS_GRADES * MOST_ROWS, sizeof(float));
  s->weight_sums = room(TS_GRADES * MOST_ROWS, sizeof(int32_t));
  return s;
}

/* ---- comparisons ---- */

static int wrong;

static void require(int holds, const char *what, int dim, int code, int rows) {
  if (holds) return;
  wrong++;
  printf("%s differ: head dimension %d, code %d, %d rows\n", what, dim, code, rows);
}

static int are_close(const float *a, const float *b, int64_t count) {
  float most = 0, size = 0;
  for (int64_t i = 0; i < count; i++) {
    float difference = a[i] > b[i] ? a[i] - b[i] : b[i] - a[i], mine = a[i] < 0 ? -a[i] : a[i];
    if (a[i] != a[i] || b[i] != b[i]) return 0;
    if (difference > most) most = difference;
    if (mine > size) size = mine;
  }
  return most <= size * TOLERANCE;
}

static ts_coded_scratch *scratch[2];

static void compare_scores(const ts_code *code, const uint8_t *tile, int number, int rows) {
  int64_t stride = (code->dim + 15) / 16 * 16, count = rows * TOKENS;
  float *query = room(rows * stride, sizeof *query);
  float *a = room(count, sizeof *a), *b = room(count, sizeof *b);
  for (int64_t i = 0; i < rows * stride; i++) query[i] = i % stride < code->dim ? bell() : 0;
  ts_coded_query of_a = make_query(code->dim, rows, query), of_b = make_query(code->dim, rows, query);
  ts_code_query_avx2(code, 0, &of_a);
  OTHER(code_query)(code, 0, &of_b);
  ts_code_scores_avx2(code, 0, 1, tile, &of_a, a, 0, scratch[0]);
  OTHER(code_scores)(code, 0, 1, tile, &of_b, b, 0, scratch[1]);
  require(are_close(a, b, count), "scores", code->dim, number, rows);
  free_query(&of_a);
  free_query(&of_b);
  free(query);
  free(a);
  free(b);
}

static void compare_values(const ts_code *code, const uint8_t *tile, int number, int rows) {
  int64_t stride = (code->dim + 15) / 16 * 16, count = rows * stride;
  float *weights = room(rows * TOKENS, sizeof *weights), decay[MOST_ROWS];
  float *a = room(count, sizeof *a), *b = room(count, sizeof *b);
  for (int i = 0; i < rows * TOKENS; i++) weights[i] = uniform();
  for (int r = 0; r < rows; r++) decay[r] = uniform();
  for (int64_t i = 0; i < count; i++) a[i] = b[i] = i % stride < code->dim ? bell() : 0;
  ts_code_values_avx2(code, tile, rows, weights, decay, a, stride, 0, scratch[0]);
  OTHER(code_values)(code, tile, rows, weights, decay, b, stride, 0, scratch[1]);
  require(are_close(a, b, count), "values", code->dim, number, rows);
  free(weights);
  free(a);
  free(b);
}

static int compare_code(int dim, const int *widths, int number, int is_key) {
  ts_code *code = make_code(dim, widths, is_key, is_key ? number % 3 : 0);
  uint16_t *exact = room(dim * TOKENS, sizeof *exact);
  uint8_t *a = room(code->bytes, 1), *b = room(code->bytes, 1);
  ts_coder *coder = room(1, sizeof *coder);
  for (int i = 0; i < dim * TOKENS; i++) exact[i] = half_of(bell() + (float)(i / 16 % dim == 3));
  ts_encode_avx2((const ts_code *const[]){code}, 1, exact, 0, a, coder);
  OTHER(encode)((const ts_code *const[]){code}, 1, exact, 0, b, coder);
  require(!memcmp(a, b, (size_t)code->bytes), "tiles", dim, number, 0);
  int cases = 1;
  /* Few rows and many, and numbers of rows that no block of rows divides. */
  for (int rows = 1; rows <= MOST_ROWS; rows += rows < 8 ? 1 : 5, cases++) {
    (is_key ? compare_scores : compare_values)(code, a, number, rows);
  }
  free(exact);
  free(a);
  free(b);
  free(coder);
  ts_code_free(code);
  return cases;
}

int main(void) {
  static const int widths[][4] = {{1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}, {4, 4, 4, 4},
                                  {5, 5, 5, 5}, {6, 6, 6, 6}, {8, 8, 8, 8}, {5, 4, 3, 4},
                                  {6, 3, 2, 1}, {6, 5, 4, 2}, {0, 3, 4, 5}, {4, 6, 2, 6}};
  static const int dims[] = {64, 128, 80, 40};
  int cases = 0;
  for (int i = 0; i < 2; i++) scratch[i] = make_scratch();
  for (int d = 0; d < 4; d++) {
    for (int n = 0; n < (int)(sizeof widths / sizeof *widths); n++) {
      for (int is_key = 0; is_key < 2; is_key++) cases += compare_code(dims[d], widths[n], n, is_key);
    }
  }
  printf("%d comparisons, %d wrong\n", cases, wrong);
  return wrong != 0;
}
