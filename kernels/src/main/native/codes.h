/* How a tile is coded: its sections, basis and levels. TileCodec is the executable definition of the
 * arithmetic, CodedFormat of the bytes; what is here does the same, bit for bit.
 *
 * Channels come in groups of 16, the last may have 8; a group's elements are codes of one width, in
 * the order of its level stream (TS_STREAM_INDEX). */
#ifndef TESSERA_CODES_H
#define TESSERA_CODES_H

#include <stdint.h>

#include "gemm.h"
#include "tile_format.h"

enum {
  TS_MAX_DIM = 256,
  TS_MAX_GROUPS = TS_MAX_DIM / TS_GROUP_CHANNELS,
  TS_MAX_CODES = 64, /* of the widest code that has a table, 6 bits */
  TS_MAX_PAIRS = TS_MAX_DIM / 2,
  TS_MAX_METERS = 32,
};

/* A scalar code: value of an index = levels[index] * step; bounds ascend, an index counts those below. */
typedef struct {
  int32_t width;
  float step;
  float bounds[TS_MAX_CODES - 1];
  int8_t levels[TS_MAX_CODES];
} ts_levels;

/* Codewords of two neighbouring channels: codeword i = (levels[0][i], levels[1][i]) * step. */
typedef struct {
  int32_t count;
  float step;
  int8_t levels[2][TS_MAX_CODES];
  int8_t lookup[2][4][16]; /* the same as ts_code_group has them */
} ts_pair;

/* How finely queries and weights are taken for a group's products: their own error is to stay small
 * beside the codes'. With 15 bits a product is of 16 bits by 16: so with wide codes, codes of pairs and
 * with scales per channel. With few, of bytes by bytes, and two products add up within 16 bits, or four
 * where levels have seven bits: groups of one grade share a scale and a sum. */
enum { TS_BYTES_WIDTH = 5, TS_SMALL_WIDTH = 4 };
enum { TS_FINE, TS_BYTES, TS_GRADES };

typedef struct {
  int32_t first, channels;
  int32_t first_code, codes, code_width; /* of a token: one for each channel, or for each pair */
  int32_t grade;     /* or TS_GRADES, where nothing is stored */
  int32_t graded_at; /* the group's place among the channels in the order of their grades */
  int64_t at;        /* of its codes in the tile */
  ts_levels levels;  /* as stored */
  ts_levels full;    /* as encoded, before planes were dropped */
  /* The levels as a kernel looks them up: by the upper plane's field, with the lower plane's field
   * on top of it (3 bits) or as the number of the table (5 and 6 bits). */
  int8_t lookup[4][16];
} ts_code_group;

/* Neighbouring groups that a kernel takes in one pass: looked up alike, and stored so that one's codes
 * follow the other's. */
typedef struct {
  int32_t group, channels; /* the first group; of all of them */
  int32_t is_first, is_last; /* of its grade */
} ts_code_run;

typedef struct {
  int32_t dim, group_count, coding, is_key, is_centred, spared;
  int32_t is_cut;   /* some group stores fewer planes than it was encoded with */
  int32_t is_bytes; /* eight bits in every group; else in none */
  int32_t is_whole; /* every group has 16 channels, each with a code */
  int32_t grades[TS_GRADES + 1]; /* where each grade's channels begin, in that order */
  int64_t scales_at, zeros_at, mean_at, mean_scale_at, spare_index_at, spare_at, bytes;
  ts_code_group groups[TS_MAX_GROUPS];
  int32_t run_count;
  ts_code_run runs[TS_MAX_GROUPS]; /* in the order of grades, then of groups; those of no bits left out */
  float sigma[TS_MAX_DIM]; /* a channel's unit */
  float sign[TS_MAX_DIM];  /* of the Hadamard basis */
  float unit[TS_MAX_DIM];  /* sigma times the step of the channel's stored levels */
  float *forward;          /* null for the Hadamard basis, or A [dim][dim]: y = x A */
  float *query;            /* with A, the transposed inverse B' [dim][dim, padded to 16]: q'' = q B' */
  float *turn;             /* null, or the mean before rotation [dim] */
  ts_pair *pairs;          /* null, or [dim / 2] */
  int32_t turning;         /* the rotation of the mean, among the decoder's */
  int32_t meter;           /* what the work on its tiles is counted under, below TS_MAX_METERS */
} ts_code;

/* What coding a tile needs beside it. */
typedef struct {
  float x[TS_MAX_DIM * TS_BLOCK_TOKENS]; /* [channel][token] */
  float y[TS_MAX_DIM * TS_BLOCK_TOKENS];
  uint8_t codes[TS_MAX_DIM * TS_BLOCK_TOKENS]; /* [code][token]: indexes, or levels of eight bits */
  float scale[TS_BLOCK_TOKENS];
} ts_coder;

/* A code that Java fills piece by piece; null if memory could not be had. `offsets`: each group's
 * codes, then scales, zeros, mean, mean scale, spare indexes, spares, and the bytes of the tile. What pointers
 * lead to is copied; `forward` [from][to], its inverse `query` and `turn` may be null. */
ts_code *ts_code_new(int32_t dim, int32_t coding, int32_t is_key, int32_t is_centred, int32_t spared,
                     int32_t groups, const int64_t *offsets, const float *sigma,
                     const float *forward, const float *query, const float *turn, int32_t turning);
void ts_code_group_levels(ts_code *code, int32_t group, int32_t is_full, int32_t width, float step,
                          const float *bounds, const int8_t *levels);
void ts_code_meter(ts_code *code, int32_t meter);
/* `levels`: [2][count]. */
void ts_code_pair(ts_code *code, int32_t pair, int32_t count, float step, const int8_t *levels);
void ts_code_free(ts_code *code);

/* Codes an exact tile by `chain[0]`, then drops planes from code to code; the tile gets the form of the
 * last of the `count` codes. `turns`: [pairs]{ cos[64], sin[64] } of the tile's positions, for a code with
 * a turn; of `pairs` pairs in the given pairing. */
typedef struct {
  int32_t pairing, pairs;
  const float *turns;
} ts_turns;
void TS(encode)(const ts_code *const *chain, int32_t count, const uint16_t *exact,
                const ts_turns *turns, uint8_t *tile, ts_coder *coder);

/* Drops planes of a tile that is coded by `chain[0]`, from code to code. */
void TS(cut)(const ts_code *const *chain, int32_t count, const uint8_t *source, uint8_t *tile,
             ts_coder *coder);

#endif
