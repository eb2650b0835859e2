/* Coding of tiles. A vector's lanes are tokens, so that every sum over a token's channels runs in the
 * order of its definition (TileCodec) and the bytes are the same on every machine. */
#include "encode.h"

enum { TOKENS = TS_BLOCK_TOKENS };

/* ---- the exact tile ---- */

static void load_keys(int dim, const uint16_t *keys, float *x) {
  for (int block = 0; block < TOKENS / TS_KEY_LANES; block++) {
    for (int i = 0; i < dim; i++) {
      const uint16_t *from = keys + TS_KEY_INDEX(dim, block * TS_KEY_LANES, i);
      float *to = x + i * TOKENS + block * TS_KEY_LANES;
      for (int lane = 0; lane < TS_KEY_LANES; lane += LANES) {
        vf_store(to + lane, vf_load_half(from + lane));
      }
    }
  }
}

/* 8 x 8 floats, rows `stride_in` apart, turned into rows `stride_out` apart. */
INLINE void transpose8(const float *in, int stride_in, float *out, int stride_out) {
#if TS_LEVEL >= 2
  __m256 r[8], s[8];
  UNROLL for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(in + i * stride_in);
  UNROLL for (int i = 0; i < 4; i++) {
    s[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    s[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  UNROLL for (int i = 0; i < 2; i++) {
    r[4 * i] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(s[4 * i], s[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(s[4 * i + 1], s[4 * i + 3], 0xee);
  }
  UNROLL for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(out + i * stride_out, _mm256_permute2f128_ps(r[i], r[4 + i], 0x20));
    _mm256_storeu_ps(out + (4 + i) * stride_out, _mm256_permute2f128_ps(r[i], r[4 + i], 0x31));
  }
#else
  for (int i = 0; i < 8; i++) {
    for (int j = 0; j < 8; j++) out[j * stride_out + i] = in[i * stride_in + j];
  }
#endif
}

static void load_values(int dim, const uint16_t *values, float *x) {
  float row[8][TS_MAX_DIM];
  for (int token = 0; token < TOKENS; token += 8) {
    for (int t = 0; t < 8; t++) {
      const uint16_t *from = values + TS_VALUE_INDEX(dim, token + t, 0);
      int i = 0;
      for (; i + LANES <= dim; i += LANES) vf_store(row[t] + i, vf_load_half(from + i));
      if (i < dim) { /* 8 of 16 lanes */
        uint16_t rest[LANES] = {0};
        float wide[LANES];
        memcpy(rest, from + i, 8 * sizeof *rest);
        vf_store(wide, vf_load_half(rest));
        memcpy(row[t] + i, wide, 8 * sizeof *wide);
      }
    }
    for (int i = 0; i < dim; i += 8) transpose8(row[0] + i, TS_MAX_DIM, x + i * TOKENS + token, TOKENS);
  }
}

/* ---- the centre ---- */

/* x -= R m: the mean turned to each token's position. */
static void subtract_turned(const ts_code *code, const ts_turns *turns, float *x) {
  int pairs = turns->pairs, split = turns->pairing == 1;
  for (int p = 0; p < pairs; p++) {
    int i = split ? p : 2 * p, j = split ? p + pairs : 2 * p + 1;
    const float *cosine = turns->turns + p * 2 * TOKENS, *sine = cosine + TOKENS;
    float a = code->turn[i], b = code->turn[j];
    for (int t = 0; t < TOKENS; t += LANES) {
      vf c = vf_load(cosine + t), s = vf_load(sine + t);
      vf_store(x + i * TOKENS + t, vf_load(x + i * TOKENS + t) - (a * c - b * s));
      vf_store(x + j * TOKENS + t, vf_load(x + j * TOKENS + t) - (b * c + a * s));
    }
  }
  for (int i = 2 * pairs; i < code->dim; i++) {
    for (int t = 0; t < TOKENS; t += LANES) {
      vf_store(x + i * TOKENS + t, vf_load(x + i * TOKENS + t) - code->turn[i]);
    }
  }
}

/* The tokens' mean, stored with eight bits; x -= what is stored. */
static void centre(const ts_code *code, float *x, uint8_t *mean_at, uint8_t *scale_at) {
  int dim = code->dim;
  float mean[TS_MAX_DIM], columns[TOKENS][8], largest = 0;
  for (int i = 0; i < dim; i += 8) {
    for (int t = 0; t < TOKENS; t += 8) transpose8(x + i * TOKENS + t, TOKENS, columns[t], 8);
    float sum[8];
    for (int j = 0; j < 8; j++) sum[j] = columns[0][j];
    for (int t = 1; t < TOKENS; t++) {
      for (int j = 0; j < 8; j++) sum[j] += columns[t][j];
    }
    for (int j = 0; j < 8; j++) mean[i + j] = sum[j] * (1.0f / TOKENS);
  }
  for (int i = 0; i < dim; i++) largest = fabsf(mean[i]) > largest ? fabsf(mean[i]) : largest;
  float scale = as_half(largest / 127);
  store_half(scale_at, scale);
  for (int i = 0; i < dim; i++) {
    float level = scale == 0 ? 0 : rintf(mean[i] / scale);
    level = level > 127 ? 127 : level < -127 ? -127 : level;
    mean_at[i] = (uint8_t)(int8_t)level;
    vf stored = vf_all(level * scale);
    for (int t = 0; t < TOKENS; t += LANES) {
      vf_store(x + i * TOKENS + t, vf_load(x + i * TOKENS + t) - stored);
    }
  }
}

/* ---- the basis ---- */

/* The largest power of two in what is left of the channels. */
INLINE int block_of(int left) {
  int block = 1;
  while (2 * block <= left) block *= 2;
  return block;
}

/* One pass of butterflies over rows of lanes. */
INLINE void butterflies(float *x, int block, int half) {
  for (int i = 0; i < block; i += 2 * half) {
    for (int j = i; j < i + half; j++) {
      float *p = x + j * TOKENS, *q = x + (j + half) * TOKENS;
      UNROLL for (int t = 0; t < TOKENS; t += LANES) {
        vf a = vf_load(p + t), b = vf_load(q + t);
        vf_store(p + t, a + b);
        vf_store(q + t, a - b);
      }
    }
  }
}

/* Two passes at once. */
INLINE void double_butterflies(float *x, int block, int half) {
  for (int i = 0; i < block; i += 4 * half) {
    for (int j = i; j < i + half; j++) {
      float *p = x + j * TOKENS;
      const int step = half * TOKENS;
      UNROLL for (int t = 0; t < TOKENS; t += LANES) {
        vf a = vf_load(p + t), b = vf_load(p + step + t);
        vf c = vf_load(p + 2 * step + t), d = vf_load(p + 3 * step + t);
        vf sum = a + b, other = c + d, less = a - b, rest = c - d;
        vf_store(p + t, sum + other);
        vf_store(p + step + t, less + rest);
        vf_store(p + 2 * step + t, sum - other);
        vf_store(p + 3 * step + t, less - rest);
      }
    }
  }
}

static void rotate_rows(const ts_code *code, const float *in, float *out) {
  for (int i = 0; i < code->dim; i++) {
    vf sign = vf_all(code->sign[i]);
    UNROLL for (int t = 0; t < TOKENS; t += LANES) {
      vf_store(out + i * TOKENS + t, vf_load(in + i * TOKENS + t) * sign);
    }
  }
  for (int first = 0, block; first < code->dim; first += block) {
    block = block_of(code->dim - first);
    float *x = out + first * TOKENS;
    int half = 1;
    for (; 4 * half <= block; half *= 4) double_butterflies(x, block, half);
    if (2 * half <= block) butterflies(x, block, half);
    vf unit = vf_all((float)(1 / sqrt((double)block)));
    for (int i = 0; i < block * TOKENS; i += LANES) vf_store(x + i, vf_load(x + i) * unit);
  }
}

/* y = x A, each output one chain of sums over the inputs. */
static void change_basis(const ts_code *code, const float *x, float *y) {
  enum { OUTPUTS = 4, WIDE = 2 * LANES };
  int dim = code->dim;
  for (int t = 0; t < TOKENS; t += WIDE) {
    for (int j = 0; j < dim; j += OUTPUTS) {
      vf sum[OUTPUTS][2];
      UNROLL for (int k = 0; k < OUTPUTS; k++) sum[k][0] = sum[k][1] = vf_all(0);
      const float *a = code->forward + j;
      for (int i = 0; i < dim; i++, a += dim) {
        vf low = vf_load(x + i * TOKENS + t), high = vf_load(x + i * TOKENS + t + LANES);
        UNROLL for (int k = 0; k < OUTPUTS; k++) {
          vf weight = vf_all(a[k]);
          sum[k][0] = sum[k][0] + low * weight;
          sum[k][1] = sum[k][1] + high * weight;
        }
      }
      UNROLL for (int k = 0; k < OUTPUTS; k++) {
        vf_store(y + (j + k) * TOKENS + t, sum[k][0]);
        vf_store(y + (j + k) * TOKENS + t + LANES, sum[k][1]);
      }
    }
  }
}

/* ---- codes and scales ---- */

/* What the codes of one channel stand for, before the tokens' scales. */
INLINE vf values_of(const ts_levels *table, const uint8_t *codes, float sigma) {
  typedef int8_t vlevels __attribute__((vector_size(LANES)));
  vlevels level;
  for (int i = 0; i < LANES; i++) {
    level[i] = table->width == TS_BYTE_WIDTH ? (int8_t)codes[i] : table->levels[codes[i]];
  }
  return __builtin_convertvector(level, vf) * table->step * sigma;
}

/* Eight bits: the largest element of a token sets its scale. */
static void code_bytes(const ts_code *code, ts_coder *coder) {
  for (int t = 0; t < TOKENS; t += LANES) {
    vf largest = vf_all(0);
    for (int i = 0; i < code->dim; i++) {
      largest = vf_max(largest, vf_abs(vf_load(coder->y + i * TOKENS + t)));
    }
    vf scale = vf_as_half(largest / 127.0f);
    vf_store(coder->scale + t, scale);
    vi is_zero = scale == 0.0f;
    for (int i = 0; i < code->dim; i++) {
      vf level = vf_load(coder->y + i * TOKENS + t) / scale;
      level = vf_select(level > 127.0f, vf_all(127), vf_select(level < -127.0f, vf_all(-127), level));
      vi rounded = __builtin_convertvector(vf_round(level), vi);
      store_bytes(coder->codes + i * TOKENS + t, rounded & ~is_zero);
    }
  }
}

/* Counts the bounds below each element of eight channels of a group, and sums y y and y c. */
INLINE void code_channels(const ts_code *code, const ts_code_group *g, int first, int t, vf inverse,
                          vi is_zero, ts_coder *coder, vf *power, vf *match) {
  const ts_levels *table = &g->full;
  const int bounds = (1 << table->width) - 1;
  UNROLL for (int k = 0; k < 8; k += 4) {
    vf y[4], z[4], level[4];
    vi index[4];
    UNROLL for (int i = 0; i < 4; i++) {
      int channel = first + k + i;
      y[i] = vf_load(coder->y + channel * TOKENS + t);
      z[i] = (vf)((vi)(y[i] / code->sigma[channel] / inverse) & ~is_zero);
      level[i] = vf_all(table->levels[0]);
      index[i] = (vi)vf_all(0);
    }
    for (int b = 0; b < bounds; b++) {
      vf bound = vf_all(table->bounds[b]), next = vf_all(table->levels[b + 1]);
      UNROLL for (int i = 0; i < 4; i++) {
        vi above = z[i] > bound;
        index[i] = index[i] - above;
        level[i] = vf_select(above, next, level[i]);
      }
    }
    UNROLL for (int i = 0; i < 4; i++) {
      int channel = first + k + i;
      vf c = level[i] * table->step * code->sigma[channel];
      store_bytes(coder->codes + channel * TOKENS + t, index[i]);
      power[k + i] = power[k + i] + y[i] * y[i];
      match[k + i] = match[k + i] + y[i] * c;
    }
  }
}

static void code_planes(const ts_code *code, ts_coder *coder) {
  int on = 0;
  for (int g = 0; g < code->group_count; g++) {
    if (code->groups[g].full.width > 0) on += code->groups[g].channels;
  }
  for (int t = 0; t < TOKENS; t += LANES) {
    vf units[8], power[8], match[8];
    UNROLL for (int i = 0; i < 8; i++) units[i] = power[i] = match[i] = vf_all(0);
    for (int g = 0; g < code->group_count; g++) {
      const ts_code_group *group = &code->groups[g];
      if (group->full.width == 0) continue;
      for (int i = group->first; i < group->first + group->channels; i += 8) {
        UNROLL for (int k = 0; k < 8; k++) {
          vf u = vf_load(coder->y + (i + k) * TOKENS + t) / code->sigma[i + k];
          units[k] = units[k] + u * u;
        }
      }
    }
    vf r = sum8(units) / (float)on;
    for (int i = 0; i < LANES; i++) r[i] = sqrtf(r[i]);
    vi is_zero = r == 0.0f;
    for (int g = 0; g < code->group_count; g++) {
      const ts_code_group *group = &code->groups[g];
      for (int i = group->first; i < group->first + group->channels; i += 8) {
        if (group->full.width == 0) {
          for (int k = 0; k < 8; k++) memset(coder->codes + (i + k) * TOKENS + t, 0, LANES);
        } else {
          code_channels(code, group, i, t, r, is_zero, coder, power, match);
        }
      }
    }
    vf_store(coder->scale + t, vf_as_half(ratio(sum8(power), sum8(match))));
  }
}

/* ---- spared tokens ---- */

/* Each token's squared error, once its scale is stored. */
static void errors_of(const ts_code *code, const ts_coder *coder, float *error) {
  for (int t = 0; t < TOKENS; t += LANES) {
    vf scale = vf_load(coder->scale + t), sum[8];
    UNROLL for (int i = 0; i < 8; i++) sum[i] = vf_all(0);
    for (int g = 0; g < code->group_count; g++) {
      const ts_code_group *group = &code->groups[g];
      for (int i = group->first; i < group->first + group->channels; i += 8) {
        UNROLL for (int k = 0; k < 8; k++) {
          vf y = vf_load(coder->y + (i + k) * TOKENS + t);
          if (group->full.width > 0) {
            const uint8_t *codes = coder->codes + (i + k) * TOKENS + t;
            y = y - scale * values_of(&group->full, codes, code->sigma[i + k]);
          }
          sum[k] = sum[k] + y * y;
        }
      }
    }
    vf_store(error + t, sum8(sum));
  }
}

/* The worst tokens keep their exact vectors. */
static void spare(const ts_code *code, const uint16_t *exact, const ts_coder *coder, uint8_t *index,
                  uint16_t *to) {
  float error[TOKENS];
  int is_spared[TOKENS] = {0};
  errors_of(code, coder, error);
  for (int n = 0; n < code->spared; n++) {
    int worst = -1;
    for (int t = 0; t < TOKENS; t++) {
      if (!is_spared[t] && (worst < 0 || error[t] > error[worst])) worst = t;
    }
    is_spared[worst] = 1;
  }
  for (int t = 0; t < TOKENS; t++) {
    if (!is_spared[t]) continue;
    *index++ = (uint8_t)t;
    for (int i = 0; i < code->dim; i++) {
      *to++ = exact[code->is_key ? TS_KEY_INDEX(code->dim, t, i) : TS_VALUE_INDEX(code->dim, t, i)];
    }
  }
}

/* Writes codes and scales. */
static void store(const ts_code *code, const ts_coder *coder, uint8_t *tile) {
  TS(pack_codes)(code, coder->codes, tile);
  uint16_t *scales = (uint16_t *)(tile + code->scales_at);
  for (int t = 0; t < TOKENS; t += LANES) vf_store_half(scales + t, vf_load(coder->scale + t));
}

/* ---- dropping planes ---- */

/* Moves codes and scales from one table to the next, by what the codes alone say. */
static void drop(const ts_code *from, int from_full, const ts_code *to, ts_coder *coder) {
  if (to->is_bytes) return;
  for (int t = 0; t < TOKENS; t += LANES) {
    vf power[8], match[8];
    UNROLL for (int i = 0; i < 8; i++) power[i] = match[i] = vf_all(0);
    for (int g = 0; g < to->group_count; g++) {
      const ts_code_group *a = &from->groups[g], *b = &to->groups[g];
      const ts_levels *before = from_full ? &a->full : &a->levels;
      const int planes = before->width - b->levels.width;
      for (int i = b->first; i < b->first + b->channels; i += 8) {
        UNROLL for (int k = 0; k < 8; k++) {
          uint8_t *codes = coder->codes + (i + k) * TOKENS + t;
          if (b->levels.width == 0) {
            memset(codes, 0, LANES);
            continue;
          }
          vf c = values_of(before, codes, from->sigma[i + k]);
          for (int lane = 0; lane < LANES; lane++) codes[lane] >>= planes;
          vf less = values_of(&b->levels, codes, to->sigma[i + k]);
          power[k] = power[k] + c * c;
          match[k] = match[k] + c * less;
        }
      }
    }
    vf scale = vf_load(coder->scale + t) * ratio(sum8(power), sum8(match));
    vf_store(coder->scale + t, vf_as_half(scale));
  }
}

/* ---- the doors ---- */

void TS(encode)(const ts_code *const *chain, int32_t count, const uint16_t *exact,
                const ts_turns *turns, uint8_t *tile, ts_coder *coder) {
  const ts_code *code = chain[0], *last = chain[count - 1];
  memset(tile, 0, (size_t)last->bytes);
  if (code->is_key) {
    load_keys(code->dim, exact, coder->x);
  } else {
    load_values(code->dim, exact, coder->x);
  }
  if (code->turn) subtract_turned(code, turns, coder->x);
  if (code->coding == TS_CODING_CHANNELS) {
    TS(code_channels)(code, coder, tile);
    TS(pack_codes)(code, coder->codes, tile);
    return;
  }
  if (code->is_centred) centre(code, coder->x, tile + last->mean_at, tile + last->mean_scale_at);
  if (code->forward) {
    change_basis(code, coder->x, coder->y);
  } else {
    rotate_rows(code, coder->x, coder->y);
  }
  if (code->coding == TS_CODING_PAIRS) {
    TS(code_pairs)(code, coder);
    store(last, coder, tile);
    return;
  }
  if (code->is_bytes) {
    code_bytes(code, coder);
  } else {
    code_planes(code, coder);
  }
  if (code->spared) {
    spare(code, exact, coder, tile + last->spare_index_at, (uint16_t *)(tile + last->spare_at));
  }
  if (code->is_cut) drop(code, 1, code, coder);
  for (int32_t i = 1; i < count; i++) drop(chain[i - 1], 0, chain[i], coder);
  store(last, coder, tile);
}

void TS(cut)(const ts_code *const *chain, int32_t count, const uint8_t *source, uint8_t *tile,
             ts_coder *coder) {
  const ts_code *from = chain[0], *to = chain[count - 1];
  if (to->coding != TS_CODING_TOKENS) { /* these have no planes to drop */
    memcpy(tile, source, (size_t)to->bytes);
    return;
  }
  memset(tile, 0, (size_t)to->bytes);
  TS(unpack_codes)(from, source, coder->codes);
  const uint16_t *scales = (const uint16_t *)(source + from->scales_at);
  for (int t = 0; t < TOKENS; t += LANES) vf_store(coder->scale + t, vf_load_half(scales + t));
  for (int32_t i = 1; i < count; i++) drop(chain[i - 1], 0, chain[i], coder);
  if (to->is_centred) {
    memcpy(tile + to->mean_at, source + from->mean_at, (size_t)to->dim);
    memcpy(tile + to->mean_scale_at, source + from->mean_scale_at, sizeof(uint16_t));
  }
  if (to->spared) {
    memcpy(tile + to->spare_index_at, source + from->spare_index_at, (size_t)to->spared);
    memcpy(tile + to->spare_at, source + from->spare_at,
           (size_t)to->spared * (size_t)to->dim * sizeof(uint16_t));
  }
  store(to, coder, tile);
}
