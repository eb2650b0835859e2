/* Few rows meet a coded tile: its levels go from the codes into products without a stop in memory. The
 * results are those of many rows: integers, and the same roundings behind them. */
#ifndef TESSERA_FUSED_H
#define TESSERA_FUSED_H

#include "coded.h"
#include "simd.h"

/* With 512 bits, products are so cheap that unpacking once for all rows is as fast. */
#define TS_FUSES (TS_LEVEL == 2)
enum { TS_FUSED_ROWS = 6 };

/* Levels of keys are looked up as levels + offset, so that they are unsigned; those of eight bits are not
 * looked up. What that adds to a sum of products is known before. */
#define TS_OFFSET(width) ((width) == TS_BYTE_WIDTH ? 0 : (width) > TS_SMALL_WIDTH ? 128 : 64)

/* scores += the products with a tile of keys; or, where a base is given, scores = base[row] + those. */
void TS(fused_scores)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                      const float *token_scale, const float *base, float *scores,
                      const uint8_t *next);

/* out = out * decay + the products of the scratch's weights with a tile of values; not for codes with a
 * group of 8 channels or of width 0. */
void TS(fused_values)(const ts_code *code, const uint8_t *tile, int64_t rows,
                      const ts_coded_scratch *s, const float *decay, float *out, int64_t stride,
                      const uint8_t *next);

#endif
