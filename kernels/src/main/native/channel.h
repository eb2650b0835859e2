/* Tiles with a scale and a zero for every channel. */
#ifndef TESSERA_CHANNEL_H
#define TESSERA_CHANNEL_H

#include "coded.h"

/* The scales are the query's business: it gets levels and a scale anew for every tile, all of TS_FINE.
 * base[row] += the row's product with the zeros. */
void TS(channel_query)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q);

#endif
