#include "pairs.h"

#include "encode.h"
#include "levels.h"

enum { TOKENS = TS_BLOCK_TOKENS, PAIRS = CHUNK / TOKENS };

/* ---- reading ---- */

/* The levels of both channels of a chunk's pairs: [pair][2][token]. */
INLINE void levels_of_chunk(const ts_pair *pairs, const int width, ts_planes planes, int8_t *levels) {
  UNROLL for (int n = 0; n < CHUNK / UNIT; n++) {
    const ts_pair *pair = &pairs[n * UNIT / TOKENS];
    int8_t *to = levels + n * UNIT / TOKENS * 2 * TOKENS + n * UNIT % TOKENS;
    UNROLL for (int i = 0; i < 2; i++) {
      vb tables[4];
      UNROLL for (int k = 0; k < 4; k++) tables[k] = vb_table(pair->lookup[i][k]);
      vb unit = levels_of(planes, width, n, tables);
      memcpy(to + i * TOKENS, &unit, sizeof unit);
    }
  }
}

/* The levels of a group: [channel][token]. */
static void levels_of_group(const ts_code *code, const ts_code_group *g, const uint8_t *codes,
                            int8_t *levels) {
  const int64_t count = (int64_t)g->codes * TOKENS;
  const ts_pair *pairs = code->pairs + g->first_code;
  for (int64_t chunk = 0; chunk < count / CHUNK; chunk++, pairs += PAIRS) {
    int8_t *to = levels + chunk * 2 * CHUNK;
    ts_planes planes = planes_of(codes, g->code_width, count, chunk);
    switch (g->code_width) {
      case 2: levels_of_chunk(pairs, 2, planes, to); break;
      case 4: levels_of_chunk(pairs, 4, planes, to); break;
      default: levels_of_chunk(pairs, 6, planes, to); break;
    }
  }
}

void TS(pairs_of_keys)(const ts_code *code, const ts_code_group *g, const uint8_t *codes,
                       int16_t *out) {
  int8_t levels[TS_GROUP_CHANNELS * TOKENS];
  levels_of_group(code, g, codes, levels);
  for (int pair = 0; pair < g->codes; pair++, out += 2 * TOKENS) {
    const int8_t *first = levels + pair * 2 * TOKENS, *second = first + TOKENS;
    for (int t = 0; t < TOKENS; t++) {
      out[2 * t] = first[t];
      out[2 * t + 1] = second[t];
    }
  }
}

void TS(pairs_of_values)(const ts_code *code, const ts_code_group *g, const uint8_t *codes,
                         int16_t *out) {
  int8_t levels[TS_GROUP_CHANNELS * TOKENS] = {0};
  levels_of_group(code, g, codes, levels);
  for (int t = 0; t < TOKENS; t += 2) {
    for (int i = 0; i < TS_GROUP_CHANNELS; i++) {
      *out++ = levels[i * TOKENS + t];
      *out++ = levels[i * TOKENS + t + 1];
    }
  }
}

/* ---- coding ---- */

/* The nearest codeword of each lane, the first of several, and what it stands for. */
INLINE vi nearest(const ts_pair *pair, vf x, vf y, vf *first, vf *second) {
  vf most = vf_all(0);
  vi index = (vi)vf_all(0);
  for (int i = 0; i < pair->count; i++) {
    float a = (float)pair->levels[0][i] * pair->step, b = (float)pair->levels[1][i] * pair->step;
    float half = (a * a + b * b) * 0.5f;
    vf score = x * a + y * b - half;
    vi better = i ? score > most : ~index;
    most = vf_select(better, score, most);
    index = (index & ~better) | (i & better);
    *first = vf_select(better, vf_all(a), *first);
    *second = vf_select(better, vf_all(b), *second);
  }
  return index;
}

void TS(code_pairs)(const ts_code *code, ts_coder *coder) {
  for (int t = 0; t < TOKENS; t += LANES) {
    vf squares[8], match[8];
    UNROLL for (int i = 0; i < 8; i++) squares[i] = match[i] = vf_all(0);
    for (int i = 0; i < code->dim; i += 8) {
      UNROLL for (int k = 0; k < 8; k++) {
        vf y = vf_load(coder->y + (i + k) * TOKENS + t);
        squares[k] = squares[k] + y * y;
      }
    }
    vf size = sum8(squares) / (float)code->dim;
    for (int i = 0; i < LANES; i++) size[i] = sqrtf(size[i]);
    vi is_zero = size == 0.0f;
    for (int i = 0; i < code->dim; i += 8) {
      UNROLL for (int k = 0; k < 8; k += 2) {
        vf y[2], z[2], c[2] = {vf_all(0), vf_all(0)};
        UNROLL for (int j = 0; j < 2; j++) {
          y[j] = vf_load(coder->y + (i + k + j) * TOKENS + t);
          z[j] = (vf)((vi)(y[j] / size) & ~is_zero);
        }
        vi index = nearest(&code->pairs[(i + k) / 2], z[0], z[1], &c[0], &c[1]);
        store_bytes(coder->codes + (i + k) / 2 * TOKENS + t, index);
        UNROLL for (int j = 0; j < 2; j++) match[k + j] = match[k + j] + y[j] * c[j];
      }
    }
    vf_store(coder->scale + t, vf_as_half(ratio(sum8(squares), sum8(match))));
  }
}
