/* Cuts the attention of a step into items. */
#ifndef TESSERA_PLAN_H
#define TESSERA_PLAN_H

#include "decoder.h"

/* Fills the items of every layer group for the batch in hand. */
void ts_plan(ts_decoder *d);

/* Items that a layer group can need at most. */
int64_t ts_plan_max_items(const ts_decoder *d);

/* Floats of partial results to have room for. With less room work is cut less, never computed otherwise. */
int64_t ts_plan_partials(const ts_decoder *d);

#endif
