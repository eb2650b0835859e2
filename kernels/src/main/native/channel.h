/* Tiles with a scale and a zero for every channel. */
#ifndef TESSERA_CHANNEL_H
#define TESSERA_CHANNEL_H

#include "coded.h"

/* The scales are the query's business: it gets levels and a scale anew for every tile. base[row]: the
 * product with the zeros, which all of a row's scores have. */
void TS(channel_query)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                       float *base);

#endif
