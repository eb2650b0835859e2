/* What coding of tiles is made of. The arithmetic of TileCodec: roundings and orders of sums are those
 * of the definition. */
#ifndef TESSERA_ENCODE_H
#define TESSERA_ENCODE_H

#include "codes.h"
#include "simd.h"

INLINE vf vf_round(vf x) { /* half to even, below 2^22 */
  const float magic = 12582912.0f;
  return (x + magic) - magic;
}

INLINE vf vf_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }

/* To binary16 and back, as a stored scale will be read; its largest number stands for all above. */
INLINE vf vf_as_half(vf x) {
  uint16_t half[LANES];
  x = vf_select(x > 65504.0f, vf_all(65504), vf_select(x < -65504.0f, vf_all(-65504), x));
  vf_store_half(half, x);
  return vf_load_half(half);
}

INLINE float as_half(float x) { return vf_as_half(vf_all(x))[0]; }

INLINE void store_half(uint8_t *at, float x) {
  uint16_t half[LANES];
  vf_store_half(half, vf_all(x));
  memcpy(at, half, sizeof *half);
}

/* ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)) of eight partial sums. */
INLINE vf sum8(const vf *s) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* a / b, and 0 where b is no positive number. */
INLINE vf ratio(vf a, vf b) {
  vi good = (b > 0.0f) & (b < INFINITY);
  return (vf)((vi)(a / b) & good);
}

typedef uint8_t vbytes __attribute__((vector_size(LANES)));

INLINE void store_bytes(uint8_t *to, vi value) {
  vbytes bytes = __builtin_convertvector(value, vbytes);
  memcpy(to, &bytes, sizeof bytes);
}

/* Codes a tile that has scales per channel, all but the order of its bytes: its elements are in
 * coder->x. */
void TS(code_channels)(const ts_code *code, ts_coder *coder, uint8_t *tile);

/* Codes the vectors in coder->y by pairs of channels, and gives each token its scale. */
void TS(code_pairs)(const ts_code *code, ts_coder *coder);

/* Writes the codes [code][token] into the tile, in the order of their streams. */
void TS(pack_codes)(const ts_code *code, const uint8_t *codes, uint8_t *tile);
void TS(unpack_codes)(const ts_code *code, const uint8_t *tile, uint8_t *codes);

#endif
