/* The forward pass, phase by phase. Every thread runs the same program; a phase hands out units of
 * work, and each output is computed by one thread in one order, whoever that is.
 *
 * With a single row the norms are cheaper to repeat in every thread than to wait for. */
#include <stddef.h>

#include "attention.h"
#include "cooling.h"
#include "rows.h"
#include "simd.h"

typedef struct {
  ts_decoder *d;
  ts_scratch *scratch;
  int32_t thread;
  int repeats_norms;
} ts_worker;

#define FOR_UNITS(worker, unit) \
  for (int64_t unit; (unit = ts_team_take(&(worker)->d->team, (worker)->thread)) >= 0;)

static int64_t row_chunks(int64_t rows) { return (rows + ROW_CHUNK - 1) / ROW_CHUNK; }

/* Chunks are of nearly the same size: a last chunk of one row would read the weights for it alone. */
static int64_t first_row(const ts_decoder *d, int64_t chunk) {
  return d->rows * chunk / row_chunks(d->rows);
}

static const uint8_t *panel_data(const ts_matrix *m, int64_t panel) {
  return panel < m->panels ? m->data + panel * m->panel_bytes : NULL;
}

/* Cosines and sines of a row's position, in double precision so that far positions turn right. */
static void prepare_turns(const ts_rope *rope, int64_t row, int32_t position) {
  float *cosine = rope->turns + row * 2 * rope->pairs, *sine = cosine + rope->pairs;
  for (int32_t i = 0; i < rope->pairs; i++) {
    double angle = position * rope->frequencies[i];
    cosine[i] = (float)cos(angle) * rope->magnitude;
    sine[i] = (float)sin(angle) * rope->magnitude;
  }
}

static int embed(const ts_worker *w) {
  ts_decoder *d = w->d;
  if (!ts_team_phase(&d->team, w->thread, d->rows + TS(turn_units)(d))) return 0;
  FOR_UNITS(w, row) {
    if (row >= d->rows) {
      TS(turn_cooling)(d, row - d->rows);
      continue;
    }
    float *x = d->x + row * d->hidden_stride;
    ts_unpack_row(&d->outside.matrices[ROLE_EMBEDDING], d->token_ids[row], x);
    for (int32_t i = 0; i < d->hidden; i++) x[i] *= d->embedding_scale;
    for (int32_t i = 0; i < d->rope_count; i++) {
      prepare_turns(&d->ropes[i], row, d->row_position[row]);
    }
  }
  return 1;
}

/* Adds what the last projection computed to a row of the residual stream. */
static void add_projected(const ts_decoder *d, const float *post_norm, int64_t row) {
  float *x = d->x + row * d->hidden_stride, *y = d->projected + row * d->hidden_stride;
  if (post_norm) TS(normalise)(y, post_norm, d->hidden, d->norm_epsilon, y);
  for (int32_t i = 0; i < d->hidden; i++) x[i] += y[i];
}

/* What a projection reads: the residual stream, normalised for some matrices. */
typedef struct {
  const float *weight;
  const ts_matrix *const *readers;
  int count;
} ts_norm;

/* Normalises row `from` of the residual stream into activation row `to`. */
static void norm_row(const ts_worker *w, ts_norm norm, int64_t from, int64_t to,
                     const ts_activations *a) {
  ts_decoder *d = w->d;
  TS(normalise)(d->x + from * d->hidden_stride, norm.weight, d->hidden, d->norm_epsilon,
                w->scratch->row);
  TS(feed)(w->scratch->row, norm.readers, norm.count, to, a);
}

/* Normalises all rows, after adding what `post` has normed; then begins a phase that reads them.
 * Returns the activations, or null when the team broke. */
static const ts_activations *begin_normed(const ts_worker *w, const float *post, ts_norm norm,
                                          int adds, int64_t units) {
  ts_decoder *d = w->d;
  if (w->repeats_norms) {
    if (!ts_team_phase(&d->team, w->thread, units)) return NULL;
    norm_row(w, norm, 0, 0, &w->scratch->normed);
    return &w->scratch->normed;
  }
  if (!ts_team_phase(&d->team, w->thread, d->rows)) return NULL;
  FOR_UNITS(w, row) {
    if (adds && d->projected) add_projected(d, post, row);
    norm_row(w, norm, row, row, &d->normed);
  }
  return ts_team_phase(&d->team, w->thread, units) ? &d->normed : NULL;
}

/* Columns of `y`: the outputs of one matrix, for all rows, as units (row chunk, panel). */
typedef struct {
  const ts_matrix *matrix;
  float *y;
} ts_target;

static void project_unit(const ts_worker *w, const ts_activations *a, ts_target target,
                         int64_t chunk, int64_t panel, int64_t stride, int accumulate) {
  int64_t first = first_row(w->d, chunk), rows = first_row(w->d, chunk + 1) - first;
  TS(panel)(target.matrix, panel, a, first, rows, target.y + first * stride + panel * TS_PANEL, stride, accumulate,
            panel_data(target.matrix, panel + 1));
}

static int project_qkv(const ts_worker *w, const ts_layer *layer, const ts_layer *previous) {
  ts_decoder *d = w->d;
  const ts_target targets[3] = {
      {&layer->matrices[ROLE_QUERY], d->qkv},
      {&layer->matrices[ROLE_KEY], d->qkv + d->key_at},
      {&layer->matrices[ROLE_VALUE], d->qkv + d->value_at},
  };
  const ts_matrix *const readers[3] = {targets[0].matrix, targets[1].matrix, targets[2].matrix};
  const float *post = previous ? previous->vectors[ROLE_POST_FEED_FORWARD_NORM] : NULL;
  ts_norm norm = {layer->vectors[ROLE_ATTENTION_NORM], readers, 3};
  int64_t panels = 0;
  for (int i = 0; i < 3; i++) panels += targets[i].matrix->panels;
  const ts_activations *a =
      begin_normed(w, post, norm, previous != NULL, panels * row_chunks(d->rows));
  if (!a) return 0;
  FOR_UNITS(w, unit) {
    int64_t panel = unit % panels;
    int i = 0;
    while (panel >= targets[i].matrix->panels) panel -= targets[i++].matrix->panels;
    project_unit(w, a, targets[i], unit / panels, panel, d->qkv_stride, 0);
  }
  return 1;
}

/* Adds a matrix product to the residual stream, or leaves it in `projected` for a norm. */
static int project_back(const ts_worker *w, const ts_matrix *matrix, const ts_activations *a) {
  ts_decoder *d = w->d;
  ts_target target = {matrix, d->projected ? d->projected : d->x};
  if (!ts_team_phase(&d->team, w->thread, matrix->panels * row_chunks(d->rows))) return 0;
  FOR_UNITS(w, unit) {
    project_unit(w, a, target, unit / matrix->panels, unit % matrix->panels, d->hidden_stride,
                 !d->projected);
  }
  return 1;
}

static int attend(const ts_worker *w, const ts_layer *layer, const ts_matrix *reader) {
  ts_decoder *d = w->d;
  const ts_group *group = &d->groups[layer->group];
  if (d->stores) {
    if (!ts_team_phase(&d->team, w->thread, d->rows)) return 0;
    FOR_UNITS(w, row) {
      for (int32_t head = 0; head < d->kv_heads; head++) TS(store)(d, layer, row, head);
    }
  }
  if (d->capture) {
    if (!ts_team_phase(&d->team, w->thread, d->rows)) return 0;
    FOR_UNITS(w, row) TS(capture)(d, layer, row);
  }
  if (group->coolings.count) {
    if (!ts_team_phase(&d->team, w->thread, TS(cooling_units)(d, layer))) return 0;
    FOR_UNITS(w, unit) TS(cool)(d, layer, unit, w->scratch->cold);
  }
  if (!ts_team_phase(&d->team, w->thread, group->item_count * d->kv_heads)) return 0;
  FOR_UNITS(w, unit) {
    TS(attend_item)(d, layer, &group->items[unit / d->kv_heads], unit % d->kv_heads, reader,
                    w->scratch);
  }
  return 1;
}

/* Gate and up of 32 outputs, activated and quantised for down: a unit fills one block of its input. */
static int feed_forward(const ts_worker *w, const ts_layer *layer) {
  ts_decoder *d = w->d;
  const ts_matrix *gate = &layer->matrices[ROLE_GATE], *up = &layer->matrices[ROLE_UP];
  const ts_matrix *down = &layer->matrices[ROLE_DOWN];
  ts_scratch *s = w->scratch;
  const ts_matrix *const readers[2] = {gate, up};
  ts_norm norm = {layer->vectors[ROLE_FEED_FORWARD_NORM], readers, 2};
  const ts_activations *a = begin_normed(w, layer->vectors[ROLE_POST_ATTENTION_NORM], norm, 1,
                                         gate->panels * row_chunks(d->rows));
  if (!a) return 0;
  FOR_UNITS(w, unit) {
    int64_t panel = unit % gate->panels, chunk = unit / gate->panels;
    int64_t end = first_row(d, chunk + 1);
    for (int64_t row = first_row(d, chunk); row < end; row += GATE_ROWS) {
      int64_t rows = end - row < GATE_ROWS ? end - row : GATE_ROWS;
      TS(panel)(gate, panel, a, row, rows, s->gate, TS_PANEL, 0, panel_data(up, panel));
      TS(panel)(up, panel, a, row, rows, s->up, TS_PANEL, 0, panel_data(gate, panel + 1));
      TS(gate)(s->gate, s->up, rows * TS_PANEL, d->activation);
      for (int64_t i = 0; i < rows; i++) {
        TS(quantise)(s->gate + i * TS_PANEL, TS_PANEL, down->kind, row + i, panel, &d->fed);
      }
    }
  }
  return 1;
}

static int layer_step(const ts_worker *w, int32_t index) {
  ts_decoder *d = w->d;
  const ts_layer *layer = &d->layers[index];
  const ts_matrix *output = &layer->matrices[ROLE_ATTENTION_OUTPUT];
  return project_qkv(w, layer, index ? layer - 1 : NULL) && attend(w, layer, output) &&
         project_back(w, output, &d->mixed_in) && feed_forward(w, layer) &&
         project_back(w, &layer->matrices[ROLE_DOWN], &d->fed);
}

static int logits(const ts_worker *w) {
  ts_decoder *d = w->d;
  const ts_layer *last_layer = &d->layers[d->layer_count - 1];
  const ts_matrix *output = &d->outside.matrices[d->outside.matrices[ROLE_OUTPUT].data
                                                     ? ROLE_OUTPUT
                                                     : ROLE_EMBEDDING];
  ts_norm norm = {d->outside.vectors[ROLE_OUTPUT_NORM], &output, 1};
  const ts_activations *a = &d->last;
  int64_t rows = d->logit_row_count;
  if (w->repeats_norms) {
    a = &w->scratch->normed;
  } else {
    if (!ts_team_phase(&d->team, w->thread, rows)) return 0;
    FOR_UNITS(w, i) {
      int64_t row = d->logit_rows[i];
      if (d->projected) add_projected(d, last_layer->vectors[ROLE_POST_FEED_FORWARD_NORM], row);
      norm_row(w, norm, row, i, a);
    }
  }
  int64_t units = (output->panels + LOGIT_PANELS - 1) / LOGIT_PANELS;
  if (!ts_team_phase(&d->team, w->thread, rows ? units : 0)) return 0;
  if (w->repeats_norms && rows) norm_row(w, norm, 0, 0, a);
  FOR_UNITS(w, unit) {
    int64_t end = (unit + 1) * LOGIT_PANELS;
    if (end > output->panels) end = output->panels;
    for (int64_t panel = unit * LOGIT_PANELS; panel < end; panel++) {
      float *y = d->logits + panel * TS_PANEL;
      TS(panel)(output, panel, a, 0, rows, y, d->logit_stride, 0, panel_data(output, panel + 1));
      if (d->logit_soft_cap == 0) continue;
      for (int64_t i = 0; i < rows; i++) {
        TS(soft_cap)(y + i * d->logit_stride, TS_PANEL, d->logit_soft_cap);
      }
    }
  }
  return 1;
}

int32_t TS(step)(ts_decoder *d, int32_t thread) {
  ts_worker w = {d, &d->scratch[thread], thread, d->rows == 1 && !d->projected};
  if (!embed(&w)) return -1;
  for (int32_t layer = 0; layer < d->layer_count; layer++) {
    if (!layer_step(&w, layer)) return -1;
  }
  return logits(&w) ? 0 : -1;
}

int32_t TS(attend)(ts_decoder *d, int32_t thread) {
  ts_worker w = {d, &d->scratch[thread], thread, 0};
  if (!ts_team_phase(&d->team, thread, TS(turn_units)(d))) return -1;
  FOR_UNITS(&w, unit) TS(turn_cooling)(d, unit);
  return attend(&w, &d->layers[0], NULL) ? 0 : -1;
}
