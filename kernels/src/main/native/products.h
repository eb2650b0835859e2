/* Products of bytes with the levels of codes, and what becomes of their sums. */
#ifndef TESSERA_PRODUCTS_H
#define TESSERA_PRODUCTS_H

#include "fused.h"
#include "wide.h"

#if TS_FUSES

enum {
  QUAD = 4,
  WIDE = 2,                                    /* vectors at once */
  VALUE_VECTORS = TS_GROUP_CHANNELS / LANES,   /* of a quad of tokens */
  VALUE_QUADS = WIDE / VALUE_VECTORS,          /* at once: their sums meet at the end */
  VALUES_ARE_SIGNED = TS_LEVEL == 2,           /* the bytes of their levels; else the weights */
};

/* Arrays of vectors have constant sizes here: those of a parameter's size would stay in memory. */

INLINE vw quad_of(const void *p) {
  int32_t quad;
  memcpy(&quad, p, sizeof quad);
  return vw_quad(quad);
}

/* Whether products are of 16 bits: of codes that have that grade whatever the other groups have. */
INLINE int is_fine(const int width) { return width > TS_BYTES_WIDTH; }

/* What levels of values are looked up with too much. */
INLINE int value_offset(const int width) {
  return is_fine(width) || !VALUES_ARE_SIGNED ? TS_OFFSET(width) : 0;
}

#if TS_LEVEL == 2

/* The sum is to stay in its register: reordered additions would need more of them than there are. The
 * ones stay in memory: a register would be one too many. */
INLINE vw add_pairs(vw sum, vw pairs) {
  static const struct {
    _Alignas(32) int16_t lanes[16];
  } ones = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  vw dot;
  __asm__("vpmaddwd %2, %1, %0" : "=x"(dot) : "x"(pairs), "m"(ones));
  sum = _mm256_add_epi32(sum, dot);
  __asm__("" : "+x"(sum));
  return sum;
}

/* Quads of bytes whose products add up within 16 bits: groups have an even number of them. */
INLINE int quads_of(const int width) { return width <= TS_SMALL_WIDTH ? 2 : 1; }

/* The sum of K quads' products. Of the two factors, keys' levels or values' weights are unsigned. */
INLINE vw add_quads(const int K, const int is_key, vw sum, const vw *levels, const vw *a) {
  vw pairs = vw_zero();
  UNROLL for (int k = 0; k < K; k++) {
    vw product =
        is_key ? _mm256_maddubs_epi16(levels[k], a[k]) : _mm256_maddubs_epi16(a[k], levels[k]);
    pairs = k ? _mm256_add_epi16(pairs, product) : product;
  }
  return add_pairs(sum, pairs);
}

/* The sum is to stay in its register, as in add_pairs. */
INLINE vw add_dot(vw sum, vw a, vw b) {
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  __asm__("" : "+x"(sum));
  return sum;
}

#else

INLINE int quads_of(const int width) {
  (void)width;
  return 1;
}

/* Levels are unsigned, of keys and of values. */
INLINE vw add_quads(const int K, const int is_key, vw sum, const vw *levels, const vw *a) {
  (void)is_key;
  UNROLL for (int k = 0; k < K; k++) sum = vw_dot_quads(sum, levels[k], a[k]);
  return sum;
}

INLINE vw add_dot(vw sum, vw a, vw b) { return vw_dot_pairs(sum, a, b); }

#endif

INLINE void load_tables(const ts_code_group *g, const int offset, vw *tables) {
  UNROLL for (int i = 0; i < 4; i++) tables[i] = vw_table(g->lookup[i], offset);
}

/* sum[r][v] += the products of K quads, or of as many for each of VALUE_QUADS: R rows with WIDE vectors
 * of lanes. */
INLINE void multiply_bytes(const int R, const int K, const int is_key, const uint8_t *a,
                           int64_t a_stride, vw (*levels)[2], vw (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      const int quad = is_key ? 0 : v / VALUE_VECTORS;
      vw x[2];
      UNROLL for (int k = 0; k < K; k++) x[k] = quad_of(a + r * a_stride + (k + quad) * QUAD);
      sum[r][v] = add_quads(K, is_key, sum[r][v], levels[v], x);
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
                          vw (*sum)[WIDE]) {
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

/* Sums of products with a group of values, without what the levels' offset will add. */
INLINE void start_values(const int R, const int width, const int32_t *weight_sums,
                         vw (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < WIDE; v++) {
      const int has_offset = value_offset(width) && v < VALUE_VECTORS;
      sum[r][v] = has_offset ? vw_quad(-value_offset(width) * weight_sums[r]) : vw_zero();
    }
  }
}

/* out = out * decay + the products; of VALUE_QUADS sums each. */
INLINE void finish_values(const int R, int64_t row, const value_place *to, vw (*sum)[WIDE]) {
  UNROLL for (int r = 0; r < R; r++) {
    vf row_scale = vf_all(to->row_scale[row + r]), decay = vf_all(to->decay[row + r]);
    UNROLL for (int v = 0; v < VALUE_VECTORS; v++) {
      float *at = to->out + (row + r) * to->stride + v * LANES;
      vf scale = vf_load(to->unit + v * LANES) * row_scale;
      vi whole = (vi)sum[r][v];
      if (VALUE_QUADS == 2) whole = whole + (vi)sum[r][v + VALUE_VECTORS];
      vf product = __builtin_convertvector(whole, vf);
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
