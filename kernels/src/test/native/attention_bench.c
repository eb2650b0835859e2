/* Attention alone, over synthetic caches, of exact tiles and of every coded form: one decoder step's
 * attention in one layer, all forms in turn, round by round.
 *
 *   attention_bench [tokens] [head dimension] [queries per KV head] [sequences] [rows] [rounds] [threads]
 *
 * One thread is measured by its CPU time, several by the clock on the wall.
 *
 * A line for each form: time, ratio to exact in the same rounds (median), bytes of tiles read per
 * second, and how far the result is from the exact one, relative to its size. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decoder.h"
#include "memory.h"
#include "synthetic.h"

enum { KV_HEADS = 3, MAX_THREADS = 16, TOKENS = TS_BLOCK_TOKENS, FIRST = 1, AGE = 4, MAX_ROUNDS = 64 };

#define DECLARE(isa)                                                                               \
  int32_t ts_attend_##isa(ts_decoder *, int32_t);                                                  \
  void ts_encode_##isa(const ts_code *const *, int32_t, const uint16_t *, const ts_turns *, uint8_t *, \
                       ts_coder *);
DECLARE(portable)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

static int32_t (*attend)(ts_decoder *, int32_t);
static void (*encode)(const ts_code *const *, int32_t, const uint16_t *, const ts_turns *, uint8_t *,
                      ts_coder *);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double uniform(void) {
  static uint64_t state = 1;
  state = state * 6364136223846793005u + 1442695040888963407u;
  return ((double)(state >> 11) + 0.5) / 9007199254740992.0;
}

static float gauss(void) {
  return (float)(sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()));
}

/* ---- forms ---- */

typedef struct {
  const char *name;
  int widths[2][4]; /* of keys and of values, for four groups, and so on */
  int is_learned, spared;
  int turns; /* pairs of a turning mean, the fastest first */
} form_spec;

static const form_spec FORMS[] = {
    {"exact", {{0}}, 0, 0, 0},
    {"i8", {{8, 8, 8, 8}, {8, 8, 8, 8}}, 0, 0, 0},
    {"p4", {{4, 4, 4, 4}, {4, 4, 4, 4}}, 0, 0, 0},
    {"p3", {{3, 3, 3, 3}, {3, 3, 3, 3}}, 0, 0, 0},
    {"p2", {{2, 2, 2, 2}, {2, 2, 2, 2}}, 0, 0, 0},
    {"p4 turning", {{4, 4, 4, 4}, {4, 4, 4, 4}}, 0, 0, 6},
    {"p4 all turn", {{4, 4, 4, 4}, {4, 4, 4, 4}}, 0, 0, TS_MAX_PAIRS},
    {"p2 turning", {{2, 2, 2, 2}, {2, 2, 2, 2}}, 0, 0, 6},
    {"s4 (5433)", {{5, 4, 3, 4}, {4, 4, 4, 4}}, 1, 0, 0},
    {"s4 turning", {{5, 4, 3, 4}, {4, 4, 4, 4}}, 1, 0, 6},
    {"s4+1 turning", {{5, 4, 3, 4}, {4, 4, 4, 4}}, 1, 1, 6},
    {"s3+1", {{5, 3, 2, 2}, {3, 3, 3, 3}}, 1, 1, 0},
    {"s3+1 turning", {{5, 3, 2, 2}, {3, 3, 3, 3}}, 1, 1, 6},
};
enum { FORM_COUNT = sizeof FORMS / sizeof *FORMS };

/* Lloyd's code for the unit Gaussian, roughly: enough for a benchmark. */
static void make_levels(ts_code *code, int group, int width) {
  enum { GRID = 4001 };
  float bounds[TS_MAX_CODES] = {0};
  double level[TS_MAX_CODES] = {0};
  int8_t bytes[TS_MAX_CODES] = {0};
  int count = 1 << width;
  if (width == TS_BYTE_WIDTH) {
    ts_code_group_levels(code, group, 0, width, 1, bounds, bytes);
    return;
  }
  for (int i = 0; i + 1 < count; i++) bounds[i] = (float)((i + 1 - count / 2) * 4.5 / count);
  for (int turn = 0; turn < 60; turn++) {
    double sum[TS_MAX_CODES] = {0}, weight[TS_MAX_CODES] = {0};
    for (int i = 0, k = 0; i < GRID; i++) {
      double x = -6 + 12.0 * i / (GRID - 1), p = exp(-x * x / 2);
      while (k + 1 < count && x > bounds[k]) k++;
      sum[k] += p * x;
      weight[k] += p;
    }
    for (int k = 0; k < count; k++) level[k] = weight[k] > 0 ? sum[k] / weight[k] : level[k];
    for (int k = 0; k + 1 < count; k++) bounds[k] = (float)((level[k] + level[k + 1]) / 2);
  }
  for (int k = 0; k < count / 2; k++) { /* to the bit as symmetric as the Gaussian */
    level[count - 1 - k] = -level[k];
    if (k + 1 < count / 2) bounds[count - 2 - k] = -bounds[k];
  }
  if (count > 1) bounds[count / 2 - 1] = 0;
  float step = (float)(level[count - 1] / (width > TS_SMALL_WIDTH ? 127 : 63));
  for (int k = 0; k < count; k++) bytes[k] = (int8_t)rint(level[k] / step);
  ts_code_group_levels(code, group, 0, width, width ? step : 0, bounds, bytes);
}

static ts_code *make_code(const form_spec *form, int dim, int is_key) {
  int groups = (dim + TS_GROUP_CHANNELS - 1) / TS_GROUP_CHANNELS, spared = is_key ? form->spared : 0;
  int64_t offsets[TS_MAX_GROUPS + 7];
  int widths[TS_MAX_GROUPS];
  for (int g = 0; g < groups; g++) widths[g] = form->widths[is_key ? 0 : 1][g * 4 / groups];
  place_sections(dim, widths, is_key, spared, offsets);
  float sigma[TS_MAX_DIM] = {0}, mean[TS_MAX_DIM] = {0}, *forward = 0, *inverse = 0;
  for (int i = 0; i < dim; i++) {
    sigma[i] = 1;
    if (i % (dim / 2) < form->turns) mean[i] = gauss();
  }
  if (form->is_learned && is_key) { /* any orthogonal basis: a reflection */
    float v[TS_MAX_DIM], norm = 0;
    for (int i = 0; i < dim; i++) {
      v[i] = gauss();
      norm += v[i] * v[i];
    }
    forward = malloc((size_t)dim * (size_t)dim * sizeof *forward);
    inverse = malloc((size_t)dim * (size_t)dim * sizeof *inverse);
    for (int i = 0; i < dim * dim; i++) {
      forward[i] = (float)(i / dim == i % dim) - 2 * v[i / dim] * v[i % dim] / norm;
      inverse[i] = forward[i];
    }
  }
  ts_code *code = ts_code_new(dim, TS_CODING_TOKENS, is_key, is_key, spared, groups, offsets, sigma, forward,
                              inverse, form->turns && is_key ? mean : 0, 0);
  for (int g = 0; g < groups; g++) make_levels(code, g, widths[g]);
  free(forward);
  free(inverse);
  return code;
}

/* ---- decoders ---- */

typedef struct {
  ts_decoder *d;
  ts_code *key, *value;
  int32_t *starts, *zeros, *refs, *cooled;
  double seconds[MAX_ROUNDS];
  int64_t bytes; /* of tiles that a round reads */
  float *out;
} subject;

typedef struct {
  int64_t tokens, dim, sharing, sequences, rows, blocks;
  int32_t threads;
  uint8_t *slabs; /* the same exact tiles for all */
  int64_t slab_bytes;
} setting;

static void make_subject(subject *s, const setting *w, const form_spec *form, int is_exact) {
  int64_t all = w->blocks * w->sequences, tile = TOKENS * w->dim * 2;
  ts_decoder *d = s->d = ts_decoder_new(1, 1, 1);
  int heads = (int)(KV_HEADS * w->sharing), dim = (int)w->dim;
  double frequencies[TS_MAX_DIM / 2];
  for (int i = 0; i < dim / 2; i++) frequencies[i] = pow(100000, -2.0 * i / dim);
  ts_decoder_shape(d, 32, 32, heads, KV_HEADS, dim, 32, 0, 1e-5f, 1, (float)(1 / sqrt(dim)), 0, 0);
  ts_decoder_layer(d, 0, 0, 0, 0);
  ts_decoder_group(d, 0, w->slabs, w->slab_bytes, w->slab_bytes, 2 * tile, tile, 0, 0);
  ts_decoder_rope(d, 0, 1, dim / 2, 1, frequencies);
  ts_decoder_ready(d, w->threads, (int32_t)(w->rows * w->sequences), 1, (int32_t)w->sequences,
                   (int32_t)(w->blocks * TOKENS));
  s->refs = malloc((size_t)all * sizeof *s->refs);
  s->cooled = malloc((size_t)all * sizeof *s->cooled);
  for (int64_t i = 0; i < all; i++) {
    s->refs[i] = (int32_t)i;
    s->cooled[i] = (int32_t)(1u << TS_FORM_SHIFT | (uint32_t)i);
  }
  if (!is_exact) {
    int32_t age = AGE;
    s->key = make_code(form, dim, 1);
    s->value = make_code(form, dim, 0);
    int64_t pair = s->key->bytes + s->value->bytes, slab = KV_HEADS * pair;
    uint8_t *slabs = ts_memory_reserve(slab * all);
    ts_decoder_rule(d, FIRST, 1, &age);
    ts_decoder_form(d, 0, 1, slabs, slab);
    if (form->turns) ts_decoder_turning(d, 1, dim / 2, 1, frequencies);
    ts_decoder_code(d, s->key);
    ts_decoder_code(d, s->value);
    for (int h = 0; h < KV_HEADS; h++) {
      ts_decoder_place(d, 0, 1, h, 0, h * pair, s->key);
      ts_decoder_place(d, 0, 1, h, 1, h * pair + s->key->bytes, s->value);
    }
    ts_decoder_cool(d);
    ts_coder *coder = malloc(sizeof *coder);
    float *turns = malloc((size_t)dim * TOKENS * sizeof *turns);
    for (int64_t i = 0; i < all; i++) {
      for (int p = 0; form->turns && p < dim / 2; p++) {
        for (int t = 0; t < TOKENS; t++) {
          double angle = (double)(i % w->blocks * TOKENS + t) * frequencies[p];
          turns[p * 2 * TOKENS + t] = (float)cos(angle);
          turns[p * 2 * TOKENS + TOKENS + t] = (float)sin(angle);
        }
      }
      ts_turns turn = {1, dim / 2, turns};
      for (int h = 0; h < KV_HEADS; h++) {
        const uint16_t *exact = (const uint16_t *)(w->slabs + i * w->slab_bytes + h * 2 * tile);
        uint8_t *to = slabs + i * slab + h * pair;
        encode((const ts_code *const[]){s->key}, 1, exact, &turn, to, coder);
        encode((const ts_code *const[]){s->value}, 1, exact + tile / 2, &turn, to + s->key->bytes,
               coder);
      }
    }
    free(coder);
    free(turns);
  }
  s->starts = calloc((size_t)w->sequences * 3 + 2, sizeof *s->starts);
  s->zeros = calloc((size_t)w->sequences + 1, sizeof *s->zeros);
  int32_t *row_starts = s->starts + w->sequences + 1;
  int32_t *positions = calloc((size_t)w->sequences, sizeof *positions);
  for (int64_t i = 0; i <= w->sequences; i++) {
    s->starts[i] = (int32_t)(i * w->blocks);
    row_starts[i] = (int32_t)(i * w->rows);
    if (i < w->sequences) positions[i] = (int32_t)(w->tokens - w->rows);
  }
  ts_decoder_tables(d, 0, s->starts, s->zeros, s->zeros, s->refs);
  if (!is_exact) ts_decoder_cooled_refs(d, 0, 1, s->cooled);
  int32_t *ids = calloc((size_t)(w->rows * w->sequences), sizeof *ids);
  ts_decoder_batch(d, (int32_t)(w->rows * w->sequences), (int32_t)w->sequences, 0, ids, row_starts,
                   positions, ids);
  int64_t hot = is_exact ? w->blocks : FIRST + AGE + 1;
  int64_t cold_bytes = is_exact ? 0 : s->key->bytes + s->value->bytes;
  s->bytes = w->sequences * KV_HEADS * (hot * 2 * tile + (w->blocks - hot) * cold_bytes);
  float *cosines = d->ropes[0].turns;
  for (int64_t row = 0; row < w->rows * w->sequences; row++) {
    for (int p = 0; p < dim / 2; p++) {
      double angle = d->row_position[row] * frequencies[p];
      cosines[row * dim + p] = (float)cos(angle);
      cosines[row * dim + dim / 2 + p] = (float)sin(angle);
    }
  }
}

/* ---- rounds ---- */

typedef struct {
  ts_decoder *d;
  int32_t thread;
  int turns;
  double cpu_seconds;
} job;

static void *work(void *at) {
  job *j = at;
  struct timespec t;
  for (int i = 0; i < j->turns; i++) attend(j->d, j->thread);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  j->cpu_seconds = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
  return 0;
}

static double run(ts_decoder *d, int turns) {
  pthread_t threads[MAX_THREADS];
  job jobs[MAX_THREADS];
  double start = now();
  for (int i = 0; i < d->team.threads; i++) {
    jobs[i] = (job){d, i, turns, 0};
    pthread_create(&threads[i], 0, work, &jobs[i]);
  }
  for (int i = 0; i < d->team.threads; i++) pthread_join(threads[i], 0);
  return (d->team.threads == 1 ? jobs[0].cpu_seconds : now() - start) / turns;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(const double *x, int count) {
  double sorted[MAX_ROUNDS];
  memcpy(sorted, x, (size_t)count * sizeof *x);
  qsort(sorted, (size_t)count, sizeof *sorted, ascending);
  return sorted[count / 2];
}

int main(int argc, char **argv) {
  int64_t given[7] = {32768, 64, 3, 1, 1, 7, 2};
  for (int i = 1; i < argc && i <= 7; i++) given[i - 1] = atoll(argv[i]);
  setting w = {
      .tokens = given[0],
      .dim = given[1],
      .sharing = given[2],
      .sequences = given[3],
      .rows = given[4],
      .blocks = (given[0] + TOKENS - 1) / TOKENS,
      .threads = (int32_t)(given[6] < MAX_THREADS ? given[6] : MAX_THREADS),
  };
  int rounds = (int)(given[5] < MAX_ROUNDS ? given[5] : MAX_ROUNDS);
  attend = ts_attend_portable;
  encode = ts_encode_portable;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) attend = ts_attend_avx2, encode = ts_encode_avx2;
  if (__builtin_cpu_supports("avx512vnni")) attend = ts_attend_avx512, encode = ts_encode_avx512;
#endif
  int64_t tile = TOKENS * w.dim * 2, all = w.blocks * w.sequences;
  w.slab_bytes = KV_HEADS * 2 * tile;
  w.slabs = ts_memory_reserve(w.slab_bytes * all);
  uint16_t *halves = (uint16_t *)w.slabs;
  enum { NOISE = 1 << 16 };
  static uint16_t noise[NOISE];
  for (int i = 0; i < NOISE; i++) noise[i] = half_of(gauss());
  uint64_t state = 1;
  for (int64_t i = 0; i < w.slab_bytes / 2 * all; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    halves[i] = noise[state >> 48];
  }
  static subject subjects[FORM_COUNT];
  for (int i = 0; i < FORM_COUNT; i++) {
    make_subject(&subjects[i], &w, &FORMS[i], i == 0);
    ts_decoder *d = subjects[i].d;
    for (int64_t row = 0; row < w.rows * w.sequences; row++) {
      for (int64_t j = 0; j < d->qkv_stride; j++) {
        d->qkv[row * d->qkv_stride + j] = (float)((row * 131 + j * 71) % 97) / 48 - 1;
      }
    }
    run(d, 1);
  }
  printf("%lld tokens, head dimension %lld, %lld queries per KV head, %lld sequences, %lld rows, "
         "%d threads: %.1f MB exact\n",
         (long long)w.tokens, (long long)w.dim, (long long)w.sharing, (long long)w.sequences,
         (long long)w.rows, w.threads, (double)subjects[0].bytes * 1e-6);
  double once = run(subjects[0].d, 1);
  int turns = once > 0.04 ? 1 : (int)(0.04 / once) + 1;
  const char *only = argc > 8 ? argv[8] : 0; /* a form, for a profiler */
  for (int round = 0; round < rounds; round++) {
    for (int i = 0; i < FORM_COUNT; i++) {
      if (only && strcmp(only, FORMS[i].name)) continue;
      subjects[i].seconds[round] = run(subjects[i].d, turns);
    }
  }
  const ts_decoder *exact = subjects[0].d;
  int64_t width = KV_HEADS * w.sharing * w.dim;
  for (int i = 0; !only && i < FORM_COUNT; i++) {
    double ratio[MAX_ROUNDS], error = 0, size = 0;
    for (int round = 0; round < rounds; round++) {
      ratio[round] = subjects[0].seconds[round] / subjects[i].seconds[round];
    }
    const ts_decoder *d = subjects[i].d;
    for (int64_t row = 0; row < w.rows * w.sequences; row++) {
      for (int64_t j = 0; j < width; j++) {
        double a = exact->mixed[row * exact->mixed_stride + j], b = d->mixed[row * d->mixed_stride + j];
        error += (a - b) * (a - b);
        size += a * a;
      }
    }
    double seconds = median(subjects[i].seconds, rounds);
    printf("%-14s %9.3f ms  %5.2fx  %6.2f GB/s  %8.1f MB  error %.4f\n", FORMS[i].name, seconds * 1e3,
           median(ratio, rounds), (double)subjects[i].bytes / seconds * 1e-9,
           (double)subjects[i].bytes * 1e-6, sqrt(error / size));
  }
  return 0;
}
