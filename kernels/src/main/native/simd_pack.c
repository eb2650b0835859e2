/* The bytes of codes: streams of each group, in planes of bits. */
#include "encode.h"

enum { TOKENS = TS_BLOCK_TOKENS };

/* A group's codes in the order of its stream. */
static void stream(const ts_code *code, const ts_code_group *g, const uint8_t *codes, uint8_t *out) {
  const uint8_t *from = codes + g->first_code * TOKENS;
  if (code->coding == TS_CODING_PAIRS) {
    memcpy(out, from, (size_t)g->codes * TOKENS);
    return;
  }
  if (code->is_key) {
    for (int channel = 0; channel < g->channels; channel += 4, from += 4 * TOKENS) {
      for (int t = 0; t < TOKENS; t++) {
        for (int i = 0; i < 4; i++) {
          out[TS_STREAM_INDEX(TOKENS, channel + i, t)] = from[i * TOKENS + t];
        }
      }
    }
    return;
  }
  for (int channel = 0; channel < g->channels; channel++, from += TOKENS) {
    for (int t = 0; t < TOKENS; t++) out[TS_STREAM_INDEX(g->channels, t, channel)] = from[t];
  }
}

/* The other way; only tiles of single channels are ever taken apart. */
static void unstream(const ts_code *code, const ts_code_group *g, const uint8_t *in, uint8_t *codes) {
  uint8_t *to = codes + g->first_code * TOKENS;
  for (int channel = 0; channel < g->channels; channel++, to += TOKENS) {
    for (int t = 0; t < TOKENS; t++) {
      to[t] = in[code->is_key ? TS_STREAM_INDEX(TOKENS, channel, t)
                              : TS_STREAM_INDEX(g->channels, t, channel)];
    }
  }
}

/* `fields` fields of 8 / fields bits in each byte of a unit, each field of the 32 next elements. */
INLINE void pack_fields(const uint8_t *in, int count, int shift, int fields, uint8_t *out) {
  const int bits = 8 / fields, mask = (1 << bits) - 1;
  for (int unit = 0; unit < count; unit += 32 * fields, in += 32 * fields, out += 32) {
    uint8_t byte[32] = {0};
    UNROLL for (int k = 0; k < fields; k++) {
      for (int i = 0; i < 32; i++) {
        byte[i] = (uint8_t)(byte[i] | ((in[32 * k + i] >> shift) & mask) << (bits * k));
      }
    }
    memcpy(out, byte, sizeof byte);
  }
}

INLINE void unpack_fields(const uint8_t *in, int count, int shift, int fields, uint8_t *out) {
  const int bits = 8 / fields, mask = (1 << bits) - 1;
  for (int unit = 0; unit < count; unit += 32 * fields, out += 32 * fields, in += 32) {
    UNROLL for (int k = 0; k < fields; k++) {
      for (int i = 0; i < 32; i++) {
        uint8_t field = (uint8_t)((in[i] >> (bits * k) & mask) << shift);
        out[32 * k + i] = (uint8_t)(out[32 * k + i] | field);
      }
    }
  }
}

/* The planes of a width, the upper ones first: nibbles, crumbs, bits. */
#define EACH_PLANE(FIELDS)                        \
  switch (width) {                                \
    case 1: FIELDS(0, 8) break;                   \
    case 2: FIELDS(0, 4) break;                   \
    case 3: FIELDS(1, 4) FIELDS(0, 8) break;      \
    case 4: FIELDS(0, 2) break;                   \
    case 5: FIELDS(1, 2) FIELDS(0, 8) break;      \
    case 6: FIELDS(2, 2) FIELDS(0, 4) break;      \
    default: break;                               \
  }

static void pack(int width, const uint8_t *in, int count, uint8_t *out) {
  if (width == TS_BYTE_WIDTH) memcpy(out, in, (size_t)count);
#define PACK(shift, fields)                     \
  pack_fields(in, count, shift, fields, out);   \
  out += count / fields;
  EACH_PLANE(PACK)
}

static void unpack(int width, const uint8_t *in, int count, uint8_t *out) {
  if (width == TS_BYTE_WIDTH) {
    memcpy(out, in, (size_t)count);
    return;
  }
  memset(out, 0, (size_t)count);
#define UNPACK(shift, fields)                   \
  unpack_fields(in, count, shift, fields, out); \
  in += count / fields;
  EACH_PLANE(UNPACK)
}

void TS(pack_codes)(const ts_code *code, const uint8_t *codes, uint8_t *tile) {
  uint8_t ordered[TS_GROUP_CHANNELS * TOKENS];
  for (int g = 0; g < code->group_count; g++) {
    const ts_code_group *group = &code->groups[g];
    if (group->code_width == 0) continue;
    stream(code, group, codes, ordered);
    pack(group->code_width, ordered, group->codes * TOKENS, tile + group->at);
  }
}

void TS(unpack_codes)(const ts_code *code, const uint8_t *tile, uint8_t *codes) {
  uint8_t ordered[TS_GROUP_CHANNELS * TOKENS];
  for (int g = 0; g < code->group_count; g++) {
    const ts_code_group *group = &code->groups[g];
    unpack(group->code_width, tile + group->at, group->codes * TOKENS, ordered);
    unstream(code, group, ordered, codes);
  }
}
