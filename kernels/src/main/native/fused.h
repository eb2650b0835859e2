/* Coded tiles as bytes: products of bytes by bytes, for few rows and for many. The results are those of
 * products of 16 bits: integers, and the same roundings behind them. */
#ifndef TESSERA_FUSED_H
#define TESSERA_FUSED_H

#include "coded.h"
#include "simd.h"

#define TS_FUSES (TS_LEVEL >= 2)
enum { TS_FUSED_ROWS = 6 };

/* Levels are looked up as levels + offset where they are to be unsigned; those of eight bits are not
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

/* scores += the products of any number of rows with those groups of keys that are multiplied as bytes. */
void TS(many_scores)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q,
                     const float *token_scale, float *scores, ts_coded_scratch *s);

/* out = out * decay + the products with a group of 16 values that are multiplied as bytes. */
void TS(many_values)(const ts_code *code, const ts_code_group *group, const uint8_t *tile,
                     int64_t rows, const float *decay, float *out, int64_t stride,
                     ts_coded_scratch *s);

#endif
