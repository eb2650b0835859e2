/* Work on single rows: norms, rotation, the gate, and the store of keys and values. */
#ifndef TESSERA_ROWS_H
#define TESSERA_ROWS_H

#include "decoder.h"

/* out = x / rms(x) * weight over `width` elements. Reads and writes up to the next multiple of 8
 * (of 16 with AVX-512): both arrays are padded with zeros. `out` may be `x`. */
void TS(normalise)(const float *x, const float *weight, int64_t width, float epsilon, float *out);

/* Turns one head by a row's cosines and sines. */
void TS(rotate)(float *head, const ts_rope *rope, int64_t row);

/* gate = activation(gate) * up, `count` floats, a multiple of 32. */
void TS(gate)(float *gate, const float *up, int64_t count, int32_t activation);

/* x = cap * tanh(x / cap). `count` is a multiple of 32. */
void TS(soft_cap)(float *x, int64_t count, float cap);

/* Bias, norm and rotation of a row's head, from the step's q, k, v and times `scale` into `out`
 * [head_dim]. */
void TS(load_query)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t head,
                    float scale, float *out);

/* The same for a key, and the bias for a value. */
void TS(load_key)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t kv_head,
                  float *out);
void TS(load_value)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t kv_head,
                    float *out);

/* Copies a row's queries, keys and values, as attention reads and stores them, to d->capture. */
void TS(capture)(const ts_decoder *d, const ts_layer *layer, int64_t row);

/* Puts key and value of a row into their tiles. */
void TS(store)(const ts_decoder *d, const ts_layer *layer, int64_t row, int64_t kv_head);

/* The tiles of a cooled form of a block. */
typedef struct {
  const uint8_t *key, *value;
} ts_cooled;
ts_cooled TS(cooled)(const ts_decoder *d, const ts_layer *layer, int32_t sequence, int64_t block,
                     int32_t form, int64_t kv_head);

/* The exact key tile of a block; its value tile lies the group's value_offset behind. */
uint16_t *TS(key_tile)(const ts_decoder *d, const ts_layer *layer, int32_t sequence, int64_t block,
                       int64_t kv_head);

/* Fills row `row` of `a` in the forms that the given matrices read. */
void TS(feed)(const float *x, const ts_matrix *const *readers, int count, int64_t row,
              const ts_activations *a);

#endif
