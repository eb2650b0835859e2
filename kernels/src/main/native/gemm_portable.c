/* Matrix products in plain C: the definition that the vector kernels reproduce bit by bit, and the
 * kernel of machines for which there is no other. */
#include <math.h>
#include <string.h>

#include "gemm.h"
#include "gemm_tiles.h"

enum { ROWS = 8 }; /* activation rows that share an unpacked tile */

/* Below this the quotient 127 / absmax or the scale leaves the normal floats. */
static const float SMALLEST_ABSMAX = 0x1p-119f;

static void quantise_block(const float *x, const ts_activations *a, int64_t at) {
  uint32_t largest = 0; /* as bits: the order of magnitudes, with NaN above infinity */
  for (int k = 0; k < TS_BLOCK; k++) {
    uint32_t bits;
    memcpy(&bits, x + k, 4);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  int finite = largest < 0x7f800000;
  float absmax;
  memcpy(&absmax, &largest, 4);
  int representable = finite && absmax >= SMALLEST_ABSMAX;
  float scale = !finite ? NAN : representable ? absmax / 127 : 0;
  float inverse = representable ? 127 / absmax : 0;
  int16_t sums[2] = {0, 0};
  for (int k = 0; k < TS_BLOCK; k++) {
    /* Adding and taking away 1.5 * 2^23 rounds to the nearest integer, ties to even. */
    float rounded = representable ? (x[k] * inverse + 0x1.8p23f) - 0x1.8p23f : 0;
    a->q[at * TS_BLOCK + k] = (int8_t)rounded;
    sums[k / 16] = (int16_t)(sums[k / 16] + (int8_t)rounded);
  }
  memcpy(a->sum + at * 2, sums, sizeof sums);
  a->scale[at] = scale;
  a->total[at] = scale * (float)(sums[0] + sums[1]);
}

void TS(quantise)(const float *x, int64_t columns, int32_t kind, int64_t row, int64_t first_block,
                  const ts_activations *a) {
  int64_t blocks = (columns + TS_BLOCK - 1) / TS_BLOCK, at = row * a->blocks + first_block;
  if (ts_kind_is_float(kind)) {
    float *to = a->x + at * TS_BLOCK;
    memcpy(to, x, (size_t)columns * sizeof *x);
    memset(to + columns, 0, (size_t)(blocks * TS_BLOCK - columns) * sizeof *x);
    return;
  }
  for (int64_t b = 0; b < columns / TS_BLOCK; b++) quantise_block(x + b * TS_BLOCK, a, at + b);
  if (columns % TS_BLOCK != 0) {
    float last[TS_BLOCK] = {0};
    memcpy(last, x + columns / TS_BLOCK * TS_BLOCK, (size_t)(columns % TS_BLOCK) * sizeof *x);
    quantise_block(last, a, at + blocks - 1);
  }
}

/* A tile as the arithmetic sees it: input by input, outputs side by side. */
typedef struct {
  int16_t weight[TS_BLOCK][TS_PANEL]; /* codes less the zero point */
  float scale[TS_PANEL];
  float minimum[TS_PANEL];
  int32_t factor[2][TS_PANEL]; /* of each 16 inputs */
} open_tile;

static void open_codes(ts_layout layout, const uint8_t *tile, open_tile *to) {
  for (int k = 0; k < TS_BLOCK; k++) {
    int group = k / 4;
    const uint8_t *low = tile + (layout.bits == 8 ? group : group % 4) * 128 + k % 4;
    for (int r = 0; r < TS_PANEL; r++) {
      int code = low[4 * r];
      if (layout.bits < 8) code = code >> (group / 4 * 4) & 15;
      if (layout.bits == 5) code |= (tile[layout.high + 4 * r + k % 4] >> group & 1) << 4;
      if (layout.bits == 6) {
        code |= (tile[layout.high + group / 4 * 128 + 4 * r + k % 4] >> (group % 4 * 2) & 3) << 4;
      }
      to->weight[k][r] = (int16_t)(code - layout.zero);
    }
  }
}

static void open_halves(const uint8_t *from, float *to) {
  for (int r = 0; r < TS_PANEL; r++) {
    ts_half half;
    memcpy(&half, from + 2 * r, 2);
    to[r] = ts_half_to_float(half);
  }
}

static void open_all(ts_layout layout, const uint8_t *panel, int64_t block, open_tile *to) {
  const uint8_t *tile = panel + ts_tile_offset(layout, block);
  open_codes(layout, tile, to);
  if (!layout.header) {
    open_halves(tile + layout.scale, to->scale);
    if (layout.minimum >= 0) open_halves(tile + layout.minimum, to->minimum);
    for (int r = 0; r < TS_PANEL; r++) to->factor[0][r] = to->factor[1][r] = 1;
    return;
  }
  const uint8_t *header = panel + ts_header_offset(layout, block);
  open_halves(header, to->scale);
  int second = layout.minimum < 0 ? 32 : 0;
  for (int r = 0; r < TS_PANEL; r++) {
    to->factor[0][r] = (int8_t)tile[layout.scale + r];
    to->factor[1][r] = (int8_t)tile[layout.scale + second + r];
  }
  if (layout.minimum >= 0) {
    open_halves(header + 64, to->minimum);
    for (int r = 0; r < TS_PANEL; r++) to->minimum[r] *= -(float)tile[layout.minimum + r];
  }
}

static void dot(const open_tile *tile, const int8_t *q, int32_t *out) {
  int32_t half[2][TS_PANEL] = {{0}};
  for (int k = 0; k < TS_BLOCK; k++) {
    int32_t *sum = half[k / 16];
    for (int r = 0; r < TS_PANEL; r++) sum[r] += tile->weight[k][r] * q[k];
  }
  for (int r = 0; r < TS_PANEL; r++) {
    out[r] = tile->factor[0][r] * half[0][r] + tile->factor[1][r] * half[1][r];
  }
}

static void quantised_rows(const ts_matrix *w, const uint8_t *panel, const ts_activations *a,
                           int64_t first, int rows, float (*sum)[TS_PANEL]) {
  ts_layout layout = ts_layout_of(w->kind);
  open_tile tile;
  int32_t product[TS_PANEL];
  for (int64_t b = 0; b < w->blocks; b++) {
    open_all(layout, panel, b, &tile);
    for (int i = 0; i < rows; i++) {
      int64_t at = (first + i) * a->blocks + b;
      dot(&tile, a->q + at * TS_BLOCK, product);
      for (int r = 0; r < TS_PANEL; r++) {
        sum[i][r] = fmaf(tile.scale[r] * a->scale[at], (float)product[r], sum[i][r]);
      }
      if (layout.minimum < 0) continue;
      for (int r = 0; r < TS_PANEL; r++) {
        sum[i][r] = fmaf(tile.minimum[r], a->total[at], sum[i][r]);
      }
    }
  }
}

static void float_rows(const ts_matrix *w, const uint8_t *panel, const ts_activations *a,
                       int64_t first, int rows, float (*sum)[TS_PANEL]) {
  float weight[TS_PANEL];
  for (int64_t k = 0; k < w->blocks * TS_BLOCK; k++) {
    if (w->kind == TS_F32) {
      memcpy(weight, panel + k * sizeof weight, sizeof weight);
    } else if (w->kind == TS_F16) {
      open_halves(panel + k * TS_PANEL * 2, weight);
    } else {
      for (int r = 0; r < TS_PANEL; r++) {
        uint16_t top;
        memcpy(&top, panel + (k * TS_PANEL + r) * 2, 2);
        uint32_t bits = (uint32_t)top << 16;
        memcpy(weight + r, &bits, 4);
      }
    }
    for (int i = 0; i < rows; i++) {
      float x = a->x[(first + i) * a->blocks * TS_BLOCK + k];
      for (int r = 0; r < TS_PANEL; r++) sum[i][r] = fmaf(weight[r], x, sum[i][r]);
    }
  }
}

void TS(panel)(const ts_matrix *w, int64_t panel, const ts_activations *a, int64_t first,
               int64_t count, float *y, int64_t y_stride, int accumulate, const uint8_t *next) {
  (void)next;
  const uint8_t *data = w->data + panel * w->panel_bytes;
  for (int64_t i = 0; i < count; i += ROWS) {
    int rows = count - i < ROWS ? (int)(count - i) : ROWS;
    float sum[ROWS][TS_PANEL] = {{0}};
    if (ts_kind_is_float(w->kind)) {
      float_rows(w, data, a, first + i, rows, sum);
    } else {
      quantised_rows(w, data, a, first + i, rows, sum);
    }
    for (int m = 0; m < rows; m++) {
      float *to = y + (i + m) * y_stride;
      for (int r = 0; r < TS_PANEL; r++) to[r] = accumulate ? sum[m][r] + to[r] : sum[m][r];
    }
  }
}
