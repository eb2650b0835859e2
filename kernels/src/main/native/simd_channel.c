#include "channel.h"

#include "encode.h"
#include "quantise.h"

enum { TOKENS = TS_BLOCK_TOKENS };

/* One half for every channel, zeros behind the last. */
static void load_channels(const ts_code *code, const uint8_t *at, float *x) {
  uint16_t half[TS_MAX_DIM] = {0};
  memcpy(half, at, (size_t)code->dim * sizeof *half);
  for (int i = 0; i < code->dim; i += LANES) vf_store(x + i, vf_load_half(half + i));
}

void TS(channel_query)(const ts_code *code, const uint8_t *tile, const ts_coded_query *q) {
  float scale[TS_MAX_DIM] = {0}, zero[TS_MAX_DIM] = {0}, scaled[TS_MAX_DIM];
  load_channels(code, tile + code->scales_at, scale);
  load_channels(code, tile + code->zeros_at, zero);
  for (int64_t r = 0; r < q->rows; r++) {
    const float *query = q->query + r * q->stride;
    vf sum = vf_all(0);
    for (int64_t i = 0; i < q->stride; i += LANES) {
      sum = vf_fma(vf_load(query + i), vf_load(zero + i), sum);
      vf_store(scaled + i, vf_load(query + i) * vf_load(scale + i));
    }
    q->base[r] += vf_sum(sum);
    vf inverse;
    q->scale[r] = step_of(scaled, (int)q->stride, TS_FINE_STEPS, &inverse);
    to_levels(scaled, (int)q->stride, inverse, q->levels + r * q->stride);
  }
}

/* ---- coding ---- */

INLINE void range_of(const float *x, float *least, float *greatest) {
  vf low = vf_load(x), high = low;
  for (int t = LANES; t < TOKENS; t += LANES) {
    low = vf_min(low, vf_load(x + t));
    high = vf_max(high, vf_load(x + t));
  }
  *least = -vf_largest(-low);
  *greatest = vf_largest(high);
}

static void code_channel(const float *x, int steps, uint8_t *codes, uint8_t *scale_at,
                         uint8_t *zero_at) {
  float least, greatest;
  range_of(x, &least, &greatest);
  float scale = steps ? as_half((greatest - least) / (float)steps) : 0;
  float zero = as_half(least + 0.0f); /* of two zeros the positive one */
  store_half(scale_at, scale);
  store_half(zero_at, zero);
  if (scale == 0) {
    memset(codes, 0, TOKENS);
    return;
  }
  vf most = vf_all((float)steps);
  for (int t = 0; t < TOKENS; t += LANES) {
    vf step = (vf_load(x + t) - zero) / scale;
    step = vf_min(vf_max(step, vf_all(0)), most);
    store_bytes(codes + t, __builtin_convertvector(vf_round(step), vi));
  }
}

void TS(code_channels)(const ts_code *code, ts_coder *coder, uint8_t *tile) {
  for (int g = 0; g < code->group_count; g++) {
    const ts_code_group *group = &code->groups[g];
    for (int i = group->first; i < group->first + group->channels; i++) {
      code_channel(coder->x + i * TOKENS, (1 << group->levels.width) - 1, coder->codes + i * TOKENS,
                   tile + code->scales_at + 2 * i, tile + code->zeros_at + 2 * i);
    }
  }
}
