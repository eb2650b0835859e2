#ifndef TESSERA_TILE_FORMAT_H
#define TESSERA_TILE_FORMAT_H
enum { TS_BLOCK_TOKENS = 64, TS_KEY_LANES = 16, TS_ELEMENT_BYTES = 2, TS_SLAB_MASK = 0xfffffff };
#define TS_KEY_INDEX(dim, token, i) (((token) / TS_KEY_LANES * (dim) + (i)) * TS_KEY_LANES + (token) % TS_KEY_LANES)
#define TS_VALUE_INDEX(dim, token, i) ((token) * (dim) + (i))
#endif
