/* Queries and weights as integers, in the basis of a code. */
#include <math.h>

#include "products.h"
#include "quantise.h"

enum { TOKENS = TS_BLOCK_TOKENS };

/* H x, or backwards: every power of two in the dimension is a block of its own. */
static void hadamard(const ts_code *code, float *x, int backwards) {
  int dim = code->dim;
  if (!backwards) {
    for (int i = 0; i < dim; i++) x[i] *= code->sign[i];
  }
  for (int first = 0, block; first < dim; first += block) {
    for (block = 1; 2 * block <= dim - first;) block *= 2;
    for (int half = 1; half < block; half *= 2) {
      for (int i = first; i < first + block; i += 2 * half) {
        for (int j = i; j < i + half; j++) {
          float a = x[j], b = x[j + half];
          x[j] = a + b;
          x[j + half] = a - b;
        }
      }
    }
    float unit = (float)(1 / sqrt((double)block));
    for (int i = first; i < first + block; i++) x[i] *= unit;
  }
  if (backwards) {
    for (int i = 0; i < dim; i++) x[i] *= code->sign[i];
  }
}

/* Steps of a query's and of a tile's weights largest element, by grade. With TS_BYTES two products with
 * levels of at most 255 (of keys, which are taken as unsigned) or 127 (of values) fit 16 bits; with the
 * levels of narrow codes, of at most 127 and 63, four of them. */
static const float QUERY_STEPS[TS_GRADES] = {TS_FINE_STEPS, 63};
static const float WEIGHT_STEPS[TS_GRADES] = {TS_FINE_STEPS, 127};

/* The pairs that the mean turns in: the fast ones, then the slow ones, which are summed directly, too,
 * where they are few. */
static void find_turning(const ts_code *code, const ts_turn_table *turn, ts_coded_query *q) {
  int32_t fast = 0;
  q->turning = 0;
  for (int p = 0; p < turn->pairs; p++) {
    int i = turn->pairing ? p : 2 * p, j = turn->pairing ? p + turn->pairs : 2 * p + 1;
    if (code->turn[i] == 0 && code->turn[j] == 0) continue;
    q->turning_pair[q->turning++] = (uint8_t)p;
    fast += p < turn->fast;
  }
  q->direct = q->turning - fast > TS_TURN_TERMS ? fast : q->turning;
}

/* (R m) . q at any position is, pair by pair, a cosine and a sine of the pair's angle. */
static void prepare_turn(const ts_code *code, const ts_turn_table *turn, int64_t r,
                         const ts_coded_query *q) {
  const float *query = q->query + r * q->stride;
  float *cosine = q->turn + r * 2 * turn->stride, *sine = cosine + turn->stride;
  vf_fill(cosine, 2 * turn->stride, 0);
  for (int p = 0; p < turn->pairs; p++) {
    int i = turn->pairing ? p : 2 * p, j = turn->pairing ? p + turn->pairs : 2 * p + 1;
    cosine[p] = query[i] * code->turn[i] + query[j] * code->turn[j];
    sine[p] = query[j] * code->turn[i] - query[i] * code->turn[j];
  }
  float sum = 0;
  for (int i = 2 * turn->pairs; i < code->dim; i++) sum += query[i] * code->turn[i];
  q->rest[r] = sum;
}

/* The channels of one grade, with zeros behind them. */
static void gather(const ts_code *code, const float *y, int grade, int padded, float *x) {
  vf_fill(x + padded - TS_GROUP_CHANNELS, TS_GROUP_CHANNELS, 0);
  for (int i = 0; i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    float *to = x + g->graded_at - code->grades[grade];
    if (g->grade == grade) memcpy(to, y + g->first, (size_t)g->channels * sizeof *x);
  }
}

/* The levels of row r, each grade by its own steps; as bytes and with their offsets only where they
 * are multiplied so. */
static void grade_query(const ts_code *code, const float *y, int64_t r, int has_bytes,
                        const ts_coded_query *q) {
  int16_t *levels = q->levels + r * q->stride;
  for (int grade = 0; grade < TS_GRADES; grade++) {
    int begin = code->grades[grade], count = code->grades[grade + 1] - begin;
    if (!count) continue;
    int padded = (count + TS_GROUP_CHANNELS - 1) / TS_GROUP_CHANNELS * TS_GROUP_CHANNELS;
    const int is_only = count == code->dim; /* then the order is that of the groups */
    float gathered[TS_MAX_DIM];
    int16_t taken[TS_MAX_DIM];
    if (!is_only) gather(code, y, grade, padded, gathered);
    const float *x = is_only ? y : gathered;
    vf inverse;
    q->scale[grade * q->rows + r] = step_of(x, padded, QUERY_STEPS[grade], &inverse);
    to_levels(x, padded, inverse, is_only ? levels : taken);
    if (!is_only) memcpy(levels + begin, taken, (size_t)count * sizeof *taken);
    if (!has_bytes || grade == TS_FINE) continue;
    uint8_t bytes[TS_MAX_DIM];
    to_bytes(x, padded, inverse, bytes);
    memcpy(q->bytes + r * q->stride + begin, bytes, (size_t)count);
  }
  for (int grade = 0; has_bytes && grade < TS_GRADES; grade++) q->offsets[grade * q->rows + r] = 0;
  for (int i = 0; has_bytes && i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    if (g->grade == TS_GRADES) continue;
    int32_t sum = 0;
    for (int c = 0; c < g->channels; c++) sum += levels[g->graded_at + c];
    q->offsets[g->grade * q->rows + r] += TS_OFFSET(g->levels.width) * sum;
  }
}

enum { BASIS_VECTORS = 32 / LANES };

/* y = x A of R rows in a learned basis, whose rows are padded with zeros to `stride`. */
INLINE void multiply_basis(const int R, const int V, const float *basis, int64_t stride, int dim,
                           const float *x, float *y) {
  vf sum[FOLD_ROWS][BASIS_VECTORS];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) sum[r][v] = vf_all(0);
  }
  for (int i = 0; i < dim; i++) {
    vf column[BASIS_VECTORS];
    UNROLL for (int v = 0; v < V; v++) column[v] = vf_load(basis + i * stride + v * LANES);
    UNROLL for (int r = 0; r < R; r++) {
      vf all = vf_all(x[r * stride + i]);
      UNROLL for (int v = 0; v < V; v++) sum[r][v] = vf_fma(all, column[v], sum[r][v]);
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) vf_store(y + r * TS_MAX_DIM + v * LANES, sum[r][v]);
  }
}

INLINE void change_basis(const int R, const ts_code *code, int64_t stride, const float *x, float *y) {
  int64_t j = 0;
  for (; j + 32 <= stride; j += 32) {
    multiply_basis(R, BASIS_VECTORS, code->query + j, stride, code->dim, x, y + j);
  }
  for (; j < stride; j += 16) {
    multiply_basis(R, 16 / LANES, code->query + j, stride, code->dim, x, y + j);
  }
}

/* R rows from row `first` on, in the form of the code. */
INLINE void take_rows(const int R, const ts_code *code, const ts_turn_table *turn, int64_t first,
                      const ts_coded_query *q) {
  const int has_bytes = TS_FUSES && code->coding == TS_CODING_TOKENS;
  const float *query = q->query + first * q->stride;
  float y[FOLD_ROWS * TS_MAX_DIM];
  if (code->query) change_basis(R, code, q->stride, query, y);
  for (int r = 0; r < R; r++) {
    float *row = y + r * TS_MAX_DIM;
    if (!code->query) {
      memcpy(row, query + r * q->stride, (size_t)q->stride * sizeof *row);
      if (code->coding != TS_CODING_CHANNELS) hadamard(code, row, 0);
    }
    for (int i = 0; i < code->dim; i++) row[i] *= code->unit[i];
    grade_query(code, row, first + r, has_bytes, q);
    if (code->turn) prepare_turn(code, turn, first + r, q);
  }
}

void TS(code_query)(const ts_code *code, const ts_turn_table *turn, ts_coded_query *q) {
  if (code->turn) find_turning(code, turn, q);
#define TAKE_ROWS(R) take_rows(R, code, turn, r, q)
  EACH_FOLD(q->rows, TAKE_ROWS)
}

void TS(code_restore)(const ts_code *code, int64_t rows, float *out, int64_t stride) {
  for (int64_t r = 0; r < rows; r++) hadamard(code, out + r * stride, 1);
}

#if TS_FUSES
/* The sums of R rows' integers, from row `at` on, where levels have an offset. */
INLINE void sum_weights(const int R, const ts_code *code, int grade, int64_t at,
                        ts_coded_scratch *s) {
  const int is_fine_grade = grade == TS_FINE;
  if (is_fine_grade ? code->is_bytes : VALUES_ARE_SIGNED) return;
  vf lanes[FOLD_ROWS];
  float sums[FOLD_ROWS]; /* exact: of 64 integers of 16 bits */
  UNROLL for (int r = 0; r < R; r++) {
    const int16_t *weights = s->weights + (at + r) * TOKENS;
    const vw bytes = vw_load(s->weight_bytes + (at + r) * TOKENS), one = vw_quad(0x01010101);
    vw sum = vw_zero();
    for (int t = 0; is_fine_grade && t < TOKENS; t += VECTOR_BYTES / 2) {
      sum = add_dot(sum, vw_load(weights + t), vw_quad(0x00010001));
    }
    if (!is_fine_grade) sum = add_quads(1, 1, sum, &bytes, &one);
    lanes[r] = __builtin_convertvector((vi)sum, vf);
  }
  vf_sums(R, lanes, sums);
  UNROLL for (int r = 0; r < R; r++) s->weight_sums[at + r] = (int32_t)sums[r];
}
#endif

/* The integers of R rows of weights, from row `first` on. */
INLINE void weigh_rows(const int R, const ts_code *code, int64_t rows, int64_t first,
                       const float *weights, const float *token_scale, int has_bytes,
                       ts_coded_scratch *s) {
  float scaled[FOLD_ROWS * TOKENS], largest[LANES] = {0};
  vf most[FOLD_ROWS];
  UNROLL for (int r = 0; r < R; r++) {
    most[r] = vf_all(0);
    UNROLL for (int t = 0; t < TOKENS; t += LANES) {
      vf weight = vf_load(weights + (first + r) * TOKENS + t) * vf_load(token_scale + t);
      vf_store(scaled + r * TOKENS + t, weight);
      most[r] = vf_max(most[r], weight); /* neither weights nor scales are negative */
    }
  }
  vf_largests(R, most, largest);
  for (int grade = 0; grade < TS_GRADES; grade++) {
    if (code->grades[grade] == code->grades[grade + 1]) continue;
    float inverse[LANES], step[LANES];
    steps_of(vf_load(largest), WEIGHT_STEPS[grade], step, inverse);
    UNROLL for (int r = 0; r < R; r++) {
      int64_t at = grade * rows + first + r;
      s->weight_scale[at] = step[r];
      if (has_bytes && grade != TS_FINE) {
        to_bytes(scaled + r * TOKENS, TOKENS, vf_all(inverse[r]), s->weight_bytes + at * TOKENS);
      } else {
        to_levels(scaled + r * TOKENS, TOKENS, vf_all(inverse[r]), s->weights + at * TOKENS);
      }
    }
#if TS_FUSES
    if (has_bytes) sum_weights(R, code, grade, grade * rows + first, s);
#endif
  }
}

void TS(code_weights)(const ts_code *code, int64_t rows, const float *weights,
                      const float *token_scale, int has_bytes, ts_coded_scratch *s) {
#define WEIGH_ROWS(R) weigh_rows(R, code, rows, r, weights, token_scale, has_bytes, s)
  EACH_FOLD(rows, WEIGH_ROWS)
}
