/* Products of bytes with the levels of codes, and what becomes of their sums. */
#ifndef TESSERA_PRODUCTS_H
#define TESSERA_PRODUCTS_H

#include "fused.h"
#include "levels.h"

#if TS_FUSES

enum { QUAD = 4, WIDE = 2 }; /* WIDE: vectors of lanes at once */

/* Arrays of vectors have constant sizes here: those of a parameter's size would stay in memory. */

INLINE vb quad_of(const void *p) {
  int32_t quad;
  memcpy(&quad, p, sizeof quad);
  return _mm256_set1_epi32(quad);
}

/* The sum is to stay in its register: reordered additions would need more of them than there are. The
 * ones stay in memory: a register would be one too many. */
INLINE vb add_pairs(vb sum, vb pairs) {
  static const struct {
    _Alignas(32) int16_t lanes[16];
  } ones = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  vb dot;
  __asm__("vpmaddwd %2, %1, %0" : "=x"(dot) : "x"(pairs), "m"(ones));
  sum = _mm256_add_epi32(sum, dot);
  __asm__("" : "+x"(sum));
  return sum;
}

/* Quads of bytes whose products add up within 16 bits: groups have an even number of them. */
INLINE int quads_of(const int width) { return width <= TS_SMALL_WIDTH ? 2 : 1; }

INLINE void load_tables(const ts_code_group *g, const int offset, vb *tables) {
  UNROLL for (int i = 0; i < 4; i++) {
    tables[i] = _mm256_add_epi8(vb_table(g->lookup[i]), _mm256_set1_epi8((char)offset));
  }
}

/* sum[r][v] += the products of K quads: R rows with WIDE vectors of eight lanes. Of the two factors,
 * keys' levels or values' weights are unsigned. */
INLINE void multiply_bytes(const int R, const int K, const int is_key, const uint8_t *a,
                           int64_t a_stride, vb (*levels)[WIDE], vb (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      vb pairs = _mm256_setzero_si256();
      UNROLL for (int k = 0; k < K; k++) {
        vb x = quad_of(a + r * a_stride + k * QUAD);
        vb product = is_key ? _mm256_maddubs_epi16(levels[k][v], x)
                            : _mm256_maddubs_epi16(x, levels[k][v]);
        pairs = k ? _mm256_add_epi16(pairs, product) : product;
      }
      sum[r][v] = add_pairs(sum[r][v], pairs);
    }
  }
}

/* What sums of products with keys become. */
typedef struct {
  const int32_t *offsets; /* [rows] */
  const float *row_scale, *token_scale;
  const float *base; /* [rows], or null where the scores hold it */
  float *scores;     /* [rows][64] */
} score_place;

/* The scores of 16 tokens from `token` on, of R rows from `row` on. */
INLINE void finish_scores(const int R, int64_t row, const int token, const score_place *to,
                          vb (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    vf row_scale = vf_all(to->row_scale[row + r]);
    UNROLL for (int v = 0; v < WIDE; v++) {
      const int t = token + v * LANES;
      float *score = to->scores + (row + r) * TS_BLOCK_TOKENS + t;
      vf before = to->base ? vf_all(to->base[row + r]) : vf_load(score);
      vf product = __builtin_convertvector((vi)sum[r][v] - to->offsets[row + r], vf);
      vf_store(score, vf_fma(product, vf_load(to->token_scale + t) * row_scale, before));
    }
  }
}

/* What sums of products with a group of values become. */
typedef struct {
  const float *unit;              /* [16] */
  const float *row_scale, *decay; /* [rows] */
  float *out;                     /* [rows][stride] */
  int64_t stride;
} value_place;

/* out = out * decay + the products. */
INLINE void finish_values(const int R, int64_t row, const value_place *to, vb (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    vf row_scale = vf_all(to->row_scale[row + r]), decay = vf_all(to->decay[row + r]);
    UNROLL for (int v = 0; v < WIDE; v++) {
      float *at = to->out + (row + r) * to->stride + v * LANES;
      vf scale = vf_load(to->unit + v * LANES) * row_scale;
      vf product = __builtin_convertvector((vi)sum[r][v], vf);
      vf_store(at, vf_fma(product, scale, vf_load(at) * decay));
    }
  }
}

INLINE value_place value_place_of(const ts_code *code, const ts_code_group *g, int64_t rows,
                                  const ts_coded_scratch *s, const float *decay, float *out,
                                  int64_t stride) {
  return (value_place){
      .unit = code->unit + g->first,
      .row_scale = s->weight_scale + g->grade * rows,
      .decay = decay,
      .out = out + g->first,
      .stride = stride,
  };
}

#endif
#endif
