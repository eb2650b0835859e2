/* The tiles of this backend. Rendered from ExactFormat, CodedFormat and SlabLayout by TileHeader;
 * TileHeaderTest tells how to render it again. */
#ifndef TESSERA_TILE_FORMAT_H
#define TESSERA_TILE_FORMAT_H

enum {
  TS_BLOCK_TOKENS = 64,
  TS_KEY_LANES = 16,
  TS_ELEMENT_BYTES = 2,
  TS_TILE_ALIGNMENT = 64,
  TS_SLAB_MASK = 268435455,
  TS_FORM_SHIFT = 28,
  TS_MAX_FORMS = 14,
  TS_GROUP_CHANNELS = 16,
  TS_BYTE_WIDTH = 8,
  TS_CODING_TOKENS = 0,
  TS_CODING_CHANNELS = 1,
  TS_CODING_PAIRS = 2,
};

/* Keys: [tokens / 16][head dimension][16]. */
#define TS_KEY_INDEX(dim, token, i) \
  (((token) / TS_KEY_LANES * (dim) + (i)) * TS_KEY_LANES + (token) % TS_KEY_LANES)

/* Values: [tokens][head dimension]. */
#define TS_VALUE_INDEX(dim, token, i) ((token) * (dim) + (i))

/* From a key tile to the value tile of its head. */
#define TS_VALUE_OFFSET(dim) (TS_BLOCK_TOKENS * (dim) * TS_ELEMENT_BYTES)

/* Coded tiles, in the stream of a group: element (summed, lane) of `lanes` lanes. */
#define TS_STREAM_INDEX(lanes, summed, lane) \
  ((((summed) / 4) * (lanes) + (lane)) * 4 + ((summed) % 4 % 3 ? 3 - (summed) % 4 : (summed) % 4))

_Static_assert(TS_KEY_INDEX(8, 17, 7) == 241, "element order");
_Static_assert(TS_VALUE_INDEX(8, 17, 7) == 143, "element order");
_Static_assert(TS_KEY_INDEX(8, 63, 7) == 511, "element order");
_Static_assert(TS_VALUE_INDEX(8, 63, 7) == 511, "element order");
_Static_assert(TS_VALUE_OFFSET(8) == 1024, "value offset");
_Static_assert(TS_KEY_INDEX(40, 17, 39) == 1265, "element order");
_Static_assert(TS_VALUE_INDEX(40, 17, 39) == 719, "element order");
_Static_assert(TS_KEY_INDEX(40, 63, 39) == 2559, "element order");
_Static_assert(TS_VALUE_INDEX(40, 63, 39) == 2559, "element order");
_Static_assert(TS_VALUE_OFFSET(40) == 5120, "value offset");
_Static_assert(TS_KEY_INDEX(64, 17, 63) == 2033, "element order");
_Static_assert(TS_VALUE_INDEX(64, 17, 63) == 1151, "element order");
_Static_assert(TS_KEY_INDEX(64, 63, 63) == 4095, "element order");
_Static_assert(TS_VALUE_INDEX(64, 63, 63) == 4095, "element order");
_Static_assert(TS_VALUE_OFFSET(64) == 8192, "value offset");
_Static_assert(TS_KEY_INDEX(80, 17, 79) == 2545, "element order");
_Static_assert(TS_VALUE_INDEX(80, 17, 79) == 1439, "element order");
_Static_assert(TS_KEY_INDEX(80, 63, 79) == 5119, "element order");
_Static_assert(TS_VALUE_INDEX(80, 63, 79) == 5119, "element order");
_Static_assert(TS_VALUE_OFFSET(80) == 10240, "value offset");
_Static_assert(TS_KEY_INDEX(128, 17, 127) == 4081, "element order");
_Static_assert(TS_VALUE_INDEX(128, 17, 127) == 2303, "element order");
_Static_assert(TS_KEY_INDEX(128, 63, 127) == 8191, "element order");
_Static_assert(TS_VALUE_INDEX(128, 63, 127) == 8191, "element order");
_Static_assert(TS_VALUE_OFFSET(128) == 16384, "value offset");
_Static_assert(TS_KEY_INDEX(256, 17, 255) == 8177, "element order");
_Static_assert(TS_VALUE_INDEX(256, 17, 255) == 4607, "element order");
_Static_assert(TS_KEY_INDEX(256, 63, 255) == 16383, "element order");
_Static_assert(TS_VALUE_INDEX(256, 63, 255) == 16383, "element order");
_Static_assert(TS_VALUE_OFFSET(256) == 32768, "value offset");
_Static_assert(TS_STREAM_INDEX(64, 4, 3) == 268, "stream order");
_Static_assert(TS_STREAM_INDEX(16, 4, 3) == 76, "stream order");
_Static_assert(TS_STREAM_INDEX(64, 5, 3) == 270, "stream order");
_Static_assert(TS_STREAM_INDEX(16, 5, 3) == 78, "stream order");
_Static_assert(TS_STREAM_INDEX(64, 6, 3) == 269, "stream order");
_Static_assert(TS_STREAM_INDEX(16, 6, 3) == 77, "stream order");
_Static_assert(TS_STREAM_INDEX(64, 7, 3) == 271, "stream order");
_Static_assert(TS_STREAM_INDEX(16, 7, 3) == 79, "stream order");

#endif
