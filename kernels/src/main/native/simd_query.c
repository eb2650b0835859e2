/* Queries and weights as integers, in the basis of a code. */
#include <math.h>

#include "coded.h"
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
 * levels of at most 255 (of keys, which are taken as unsigned) or 127 (of values) fit 16 bits, with
 * TS_COARSE four of them. */
static const float QUERY_STEPS[TS_GRADES] = {TS_FINE_STEPS, 63, 31};
static const float WEIGHT_STEPS[TS_GRADES] = {TS_FINE_STEPS, 127, 63};

/* (R m) . q at any position is, pair by pair, a cosine and a sine of the pair's angle. */
static void prepare_turn(const ts_code *code, const ts_turn_table *turn, const float *query,
                         float *coefficient, float *rest) {
  int pairs = turn->pairs;
  for (int p = 0; p < pairs; p++) {
    int i = turn->pairing ? p : 2 * p, j = turn->pairing ? p + pairs : 2 * p + 1;
    coefficient[p] = query[i] * code->turn[i] + query[j] * code->turn[j];
    coefficient[pairs + p] = query[j] * code->turn[i] - query[i] * code->turn[j];
  }
  float sum = 0;
  for (int i = 2 * pairs; i < code->dim; i++) sum += query[i] * code->turn[i];
  *rest = sum;
}

/* The levels of row r, each grade by its own steps. */
static void grade_query(const ts_code *code, const float *y, int64_t r, const ts_coded_query *q) {
  int16_t *levels = q->levels + r * q->stride;
  for (int grade = 0; grade < TS_GRADES; grade++) {
    int begin = code->grades[grade], count = code->grades[grade + 1] - begin;
    if (!count) continue;
    float x[TS_MAX_DIM] = {0};
    int16_t taken[TS_MAX_DIM];
    uint8_t bytes[TS_MAX_DIM];
    for (int i = 0; i < code->group_count; i++) {
      const ts_code_group *g = &code->groups[i];
      if (g->grade != grade) continue;
      memcpy(x + g->graded_at - begin, y + g->first, (size_t)g->channels * sizeof *x);
    }
    vf inverse;
    int padded = (count + 15) / 16 * 16;
    q->scale[grade * q->rows + r] = step_of(x, padded, QUERY_STEPS[grade], &inverse);
    to_levels(x, padded, inverse, taken);
    to_bytes(x, padded, inverse, bytes);
    memcpy(levels + begin, taken, (size_t)count * sizeof *taken);
    memcpy(q->bytes + r * q->stride + begin, bytes, (size_t)count);
  }
  for (int i = 0; i < code->group_count; i++) {
    const ts_code_group *g = &code->groups[i];
    int32_t sum = 0;
    for (int c = 0; g->grade < TS_GRADES && c < g->channels; c++) sum += levels[g->graded_at + c];
    q->sums[r * TS_MAX_GROUPS + i] = sum;
  }
}

void TS(code_query)(const ts_code *code, const ts_turn_table *turn, const ts_coded_query *q) {
  int dim = code->dim;
  for (int64_t r = 0; r < q->rows; r++) {
    const float *query = q->query + r * q->stride;
    float y[TS_MAX_DIM] = {0};
    if (code->query) {
      for (int i = 0; i < dim; i++) {
        const float *row = code->query + i * dim;
        for (int j = 0; j < dim; j++) y[j] += query[i] * row[j];
      }
    } else {
      memcpy(y, query, (size_t)dim * sizeof *y);
      if (code->coding != TS_CODING_CHANNELS) hadamard(code, y, 0);
    }
    for (int i = 0; i < dim; i++) y[i] *= code->unit[i];
    grade_query(code, y, r, q);
    if (code->turn) prepare_turn(code, turn, query, q->turn + r * 2 * turn->pairs, q->rest + r);
  }
}

void TS(code_restore)(const ts_code *code, int64_t rows, float *out, int64_t stride) {
  for (int64_t r = 0; r < rows; r++) hadamard(code, out + r * stride, 1);
}

void TS(code_weights)(const ts_code *code, int64_t rows, const float *weights,
                      const float *token_scale, int is_fused, ts_coded_scratch *s) {
  for (int64_t r = 0; r < rows; r++) {
    float scaled[TOKENS];
    UNROLL for (int t = 0; t < TOKENS; t += LANES) {
      vf_store(scaled + t, vf_load(weights + r * TOKENS + t) * vf_load(token_scale + t));
    }
    for (int grade = 0; grade < TS_GRADES; grade++) {
      if (code->grades[grade] == code->grades[grade + 1]) continue;
      int64_t at = grade * rows + r;
      vf inverse;
      s->weight_scale[at] = step_of(scaled, TOKENS, WEIGHT_STEPS[grade], &inverse);
      if (is_fused && grade != TS_FINE) {
        to_bytes(scaled, TOKENS, inverse, s->weight_bytes + at * TOKENS);
      } else {
        to_levels(scaled, TOKENS, inverse, s->weights + at * TOKENS);
      }
    }
  }
}
