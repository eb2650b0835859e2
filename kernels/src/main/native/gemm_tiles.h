/* The bytes of a packed panel, kind by kind. This is the one definition of the tile layouts.
 *
 * Inputs are taken four at a time: group j of a tile is inputs 4j .. 4j + 3, and one 32-bit lane
 * holds the four codes of one output, so that a broadcast of four activations meets one output per
 * lane (vpmaddubsw, vpdpbusd) and nothing is ever summed across lanes. In 128 bytes, group j of all
 * 32 outputs: byte 4 * output + input % 4. Codes are unsigned:
 *
 *   4 low bits   [4][128]: low nibble group j, high nibble group j + 4
 *   fifth bits   [128]: bit j belongs to group j
 *   bits 4 and 5 [2][128]: byte plane h holds groups 4h .. 4h + 3, two bits each
 *   8 bits       [8][128]
 *
 * A tile takes the bytes of its 32 blocks in the file. K-quants stay at two levels: each tile has its
 * 6- or 8-bit scales and every eight tiles share a header with the halves that multiply them. Unpacking
 * the 6-bit pairs to bytes costs Q4_K 2.8 % and Q5_K 2.3 %; no other kind grows. */
#ifndef TESSERA_GEMM_TILES_H
#define TESSERA_GEMM_TILES_H

#include <stddef.h>
#include <stdint.h>

enum {
  TS_F32 = 0,
  TS_F16 = 1,
  TS_Q4_0 = 2,
  TS_Q4_1 = 3,
  TS_Q5_0 = 6,
  TS_Q5_1 = 7,
  TS_Q8_0 = 8,
  TS_Q4_K = 12,
  TS_Q5_K = 13,
  TS_Q6_K = 14,
  TS_BF16 = 30
};

enum { TS_SUPER = 8 }; /* tiles that share a header */

typedef uint16_t ts_half; /* IEEE binary16 bits */

/* Where the parts of a kind lie. An absent part has offset -1. */
typedef struct {
  int bits;     /* of a code: 4, 5, 6 or 8; 0 for floats */
  int zero;     /* the code of weight zero, for kinds without minima */
  int header;   /* bytes before every TS_SUPER tiles: ts_half d[32], then for minima ts_half m[32] */
  int tile;     /* bytes of a tile */
  int high;     /* the bits above the low four */
  int scale;    /* ts_half[32]; with a header: int8_t [32], or [2][32] for 6 bits */
  int minimum;  /* ts_half[32]; with a header: uint8_t [32] */
} ts_layout;

/* A compile-time constant where `kind` is one. */
static inline ts_layout ts_layout_of(int kind) {
  switch (kind) {
    case TS_Q4_0: return (ts_layout){4, 8, 0, 576, -1, 512, -1};
    case TS_Q4_1: return (ts_layout){4, 0, 0, 640, -1, 512, 576};
    case TS_Q5_0: return (ts_layout){5, 16, 0, 704, 512, 640, -1};
    case TS_Q5_1: return (ts_layout){5, 0, 0, 768, 512, 640, 704};
    case TS_Q8_0: return (ts_layout){8, 128, 0, 1088, -1, 1024, -1};
    case TS_Q4_K: return (ts_layout){4, 0, 128, 576, -1, 512, 544};
    case TS_Q5_K: return (ts_layout){5, 0, 128, 704, 512, 640, 672};
    case TS_Q6_K: return (ts_layout){6, 32, 64, 832, 512, 768, -1};
    case TS_F32: return (ts_layout){0, 0, 0, 4096, -1, -1, -1};
    case TS_F16:
    case TS_BF16: return (ts_layout){0, 0, 0, 2048, -1, -1, -1};
    default: return (ts_layout){-1, 0, 0, 0, -1, -1, -1};
  }
}

/* The tile of a block within its panel, and the header that it shares. */
static inline int64_t ts_tile_offset(ts_layout layout, int64_t block) {
  return block * layout.tile + (layout.header ? (block / TS_SUPER + 1) * layout.header : 0);
}

static inline int64_t ts_header_offset(ts_layout layout, int64_t block) {
  return block / TS_SUPER * (layout.header + (int64_t)TS_SUPER * layout.tile);
}

/* Any binary16 value is exact in binary32. */
static inline float ts_half_to_float(ts_half half) {
  union {
    uint32_t bits;
    float value;
  } out;
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
    out.value = (float)fraction * 0x1p-24f;
    out.bits |= sign;
  } else {
    out.bits = sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
  }
  return out.value;
}

#endif
