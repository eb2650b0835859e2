/* Queries over coded tiles. Keys and values stay codes: the query is brought into their basis once, and
 * products of integers give the same result however many rows are computed together. */
#ifndef TESSERA_CODED_H
#define TESSERA_CODED_H

#include "codes.h"

/* Rows of queries, as the key tiles of one code read them. */
typedef struct {
  int64_t rows, stride; /* elements between rows of `query`: the head dimension, padded to 16 */
  const float *query;   /* [rows][stride], scaled and turned */
  int16_t *levels;      /* [rows][stride]: in the basis, in the order of grades; of a tile, with
                         * scales per channel */
  int8_t *bytes;        /* the same, each quad in the order of a level stream; not of TS_FINE */
  int32_t *offsets;     /* [TS_GRADES][rows]: what their products with levels have too much, if those
                         * are taken as unsigned (TS_OFFSET) */
  float *scale;         /* [TS_GRADES][rows]: what one of them is worth */
  float *base;          /* [rows]: what all scores of a row have in the tile at hand */
  float *turn;          /* [rows][2][stride of the table]: what the mean's pairs contribute */
  float *rest;          /* [rows]: what its other elements contribute */
  int32_t turning, direct; /* pairs in which the mean is not zero; those summed directly */
  uint8_t turning_pair[TS_MAX_PAIRS]; /* [turning], those first; the others are summed as a polynomial */
} ts_coded_query;

/* What one thread needs beside it. */
typedef struct {
  int16_t pairs[TS_MAX_DIM * TS_BLOCK_TOKENS]; /* levels, [depth / 2][lanes][2] */
  int16_t *weights;                            /* [TS_GRADES][rows][64] */
  uint8_t *weight_bytes;                       /* the same, each quad in the order of a level stream */
  float *weight_scale;                         /* [TS_GRADES][rows] */
  int32_t *weight_sums;                        /* [TS_GRADES][rows], where levels have an offset */
} ts_coded_scratch;

/* Of the rotation that turns a code's mean: the turn to a tile's middle, and the turns of 0.5, 1.5, ..
 * positions from there. Where many pairs turn by no more than one radian within half a tile, they are
 * summed as a polynomial of the distance, in units of half a tile: it costs as much as five pairs. */
enum { TS_TURN_TERMS = 5, TS_TURN_STRIDE = 16 };

typedef struct {
  int32_t pairing, pairs, fast; /* pairs from `fast` on are slow */
  int32_t stride;       /* pairs, padded to 16 */
  const float *middle;  /* [blocks]{ cos[stride], sin[stride] } of the tile's middle, times the magnitude */
  const float *inside;  /* [pairs]{ cos[32], sin[32] } */
  const float *slow;    /* [pairs - fast]{ of the cosine, of the sine }[stride]: the series' terms */
  const float *powers;  /* [terms]{ even[32], odd[32] } */
} ts_turn_table;

/* Brings the queries into the code's form. */
void TS(code_query)(const ts_code *code, const ts_turn_table *turn, ts_coded_query *q);

/* scores[row][64] = base[row] + what the mean's turn gives them, in the tile of block `block`. */
void TS(turned_scores)(const ts_turn_table *turn, int64_t block, const ts_coded_query *q,
                       const float *base, float *scores);

/* The weights of a tile's tokens, times their scales, as integers of the grades that the code has; as
 * bytes where they are multiplied so. */
void TS(code_weights)(const ts_code *code, int64_t rows, const float *weights,
                      const float *token_scale, int has_bytes, ts_coded_scratch *scratch);

/* scores[row][64] of a tile of block `block`. Fetches `next` ahead, unless it is null. */
void TS(code_scores)(const ts_code *code, const ts_turn_table *turn, int64_t block,
                     const uint8_t *tile, const ts_coded_query *q, float *scores,
                     const uint8_t *next, ts_coded_scratch *scratch);

/* out[row] = out[row] * decay[row] + the tile's values by weights[row][64], in the basis. */
void TS(code_values)(const ts_code *code, const uint8_t *tile, int64_t rows, const float *weights,
                     const float *decay, float *out, int64_t stride, const uint8_t *next,
                     ts_coded_scratch *scratch);

/* Brings rows of sums of values back from the basis, in place. */
void TS(code_restore)(const ts_code *code, int64_t rows, float *out, int64_t stride);

#endif
