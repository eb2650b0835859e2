/* Blocks that take a cooler form: between the store of a layer's keys and values and its attention. */
#ifndef TESSERA_COOLING_H
#define TESSERA_COOLING_H

#include "decoder.h"

/* Units of a layer's coolings: one for each tile. */
int64_t TS(cooling_units)(const ts_decoder *d, const ts_layer *layer);
void TS(cool)(ts_decoder *d, const ts_layer *layer, int64_t unit, ts_cold *cold);

/* Units of a step: the turns of one cooling by one rotation, for codes with a turning mean. */
int64_t TS(turn_units)(const ts_decoder *d);
void TS(turn_cooling)(ts_decoder *d, int64_t unit);

/* Of a clock that only goes on. */
int64_t ts_nanos(void);

/* Counts that a coded tile was read, since a moment that is 0 where nobody looked at the clock. */
static inline void ts_note_read(ts_cold *cold, const ts_code *code, int64_t since) {
  ts_meter *meter = &cold->meters[code->meter];
  meter->read++;
  if (!since) return;
  meter->timed++;
  meter->timed_nanos += ts_nanos() - since;
}

/* Frees what cooled forms took. */
void ts_cooling_free(ts_decoder *d);

#endif
