/* Queries over exact tiles: the scratch holds the queries, and their scores or weights. */
#ifndef TESSERA_EXACT_H
#define TESSERA_EXACT_H

#include "decoder.h"

/* scores[row][64] of the first `lanes` tokens. Fetches `next` ahead, unless it is null. */
void TS(exact_scores)(int64_t rows, int64_t stride, int64_t dim, const uint16_t *keys, int64_t lanes,
                      const char *next, ts_scratch *scratch);

/* out[row] = out[row] * decay[row] + the values by the weights of the first `lanes` tokens. */
void TS(exact_values)(int64_t rows, int64_t stride, int64_t dim, const uint16_t *values,
                      int64_t lanes, float *out, const char *next, ts_scratch *scratch);

#endif
