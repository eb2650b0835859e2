/* Few rows meet a coded tile: its levels go from the codes into products without a stop in memory. The
 * results are those of many rows: integers, and the same roundings behind them. */
#ifndef TESSERA_FUSED_H
#define TESSERA_FUSED_H

#include "coded.h"
#include "simd.h"

/* With 512 bits, products are so cheap that unpacking once for all rows is as fast. */
#define TS_FUSES (TS_LEVEL == 2)
enum { TS_FUSED_ROWS = 6 };

void TS(fused_scores)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                      const float *token_scale, const float *base, float *scores,
                      const uint8_t *next);
void TS(fused_values)(const ts_code *code, const uint8_t *tile, int64_t rows,
                      const int16_t *weights, const float *weight_scale, const float *decay,
                      float *out, int64_t stride, const uint8_t *next);

#endif
