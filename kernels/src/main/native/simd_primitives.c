/* Single operations, for tests and benchmarks. */
#include <stdlib.h>

#include "memory.h"
#include "rows.h"

/* y[tokens][rows] = x[tokens][columns] * W^T of a tensor as it lies in a file. 0, or -1 without
 * memory. */
int32_t TS(multiply)(int32_t kind, int32_t rows, int32_t columns, const uint8_t *source,
                     const float *x, int32_t tokens, float *y);

/* y[rows][width] = rms_norm(x) * weight. */
int32_t TS(rms_norm)(const float *x, const float *weight, int32_t rows, int32_t width,
                     float epsilon, float *y);

int32_t TS(multiply)(int32_t kind, int32_t rows, int32_t columns, const uint8_t *source,
                     const float *x, int32_t tokens, float *y) {
  ts_matrix m = {.kind = kind, .rows = rows, .columns = columns};
  m.panels = (rows + TS_PANEL - 1) / TS_PANEL;
  m.blocks = (columns + TS_BLOCK - 1) / TS_BLOCK;
  m.panel_bytes = ts_panel_bytes(kind, columns);
  int64_t blocks = (int64_t)m.blocks * tokens, stride = (int64_t)m.panels * TS_PANEL;
  uint8_t *data = ts_memory_reserve(m.panels * m.panel_bytes);
  ts_activations a = {
      .blocks = m.blocks,
      .x = calloc(blocks * TS_BLOCK, sizeof *a.x),
      .q = calloc(blocks, TS_BLOCK),
      .scale = calloc(blocks, sizeof *a.scale),
      .total = calloc(blocks, sizeof *a.total),
      .sum = calloc(blocks * 2, sizeof *a.sum),
  };
  float *wide = calloc(stride * tokens, sizeof *wide);
  int complete = data && a.x && a.q && a.scale && a.total && a.sum && wide;
  if (complete) {
    m.data = data;
    ts_pack(&m, source, rows, 0, 1);
    for (int32_t i = 0; i < tokens; i++) {
      TS(quantise)(x + (int64_t)i * columns, columns, kind, i, 0, &a);
    }
    for (int32_t panel = 0; panel < m.panels; panel++) {
      TS(panel)(&m, panel, &a, 0, tokens, wide + panel * TS_PANEL, stride, 0, 0);
    }
    for (int32_t i = 0; i < tokens; i++) {
      for (int32_t j = 0; j < rows; j++) y[(int64_t)i * rows + j] = wide[i * stride + j];
    }
  }
  if (data) ts_memory_release(data, m.panels * m.panel_bytes);
  free(a.x);
  free(a.q);
  free(a.scale);
  free(a.total);
  free(a.sum);
  free(wide);
  return complete ? 0 : -1;
}

int32_t TS(rms_norm)(const float *x, const float *weight, int32_t rows, int32_t width,
                     float epsilon, float *y) {
  int64_t padded = ts_padded(width);
  float *row = calloc(padded, sizeof *row), *scale = calloc(padded, sizeof *scale);
  if (row && scale) {
    for (int32_t i = 0; i < width; i++) scale[i] = weight[i];
    for (int64_t r = 0; r < rows; r++) {
      for (int32_t i = 0; i < width; i++) row[i] = x[r * width + i];
      TS(normalise)(row, scale, width, epsilon, row);
      for (int32_t i = 0; i < width; i++) y[r * width + i] = row[i];
    }
  }
  int complete = row && scale;
  free(row);
  free(scale);
  return complete ? 0 : -1;
}
