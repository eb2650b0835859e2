/* Queries over exact tiles. */
#include "exact.h"

#include "simd.h"
#include "tile_format.h"

/* Products of R rows with a slice of 16 columns take R * 16 / LANES accumulators. */
enum { SLICE = 16, VECTORS = SLICE / LANES, BLOCK_ROWS = TS_LEVEL == 3 ? 12 : 6 };

/* Rows up to which halves are converted as they are used; above, a slice is converted once for all
 * rows. The values are the same, so are the results. */
enum { DIRECT_ROWS = 6 };

/* c[r][s * 16 ..] = c * decay[r] + sum over k of a[r][k] * b[s][k][..], in the order of k, for R rows
 * and S slices. One line of `prefetch` is fetched ahead for each k and pair of slices. */
#define DEFINE_PRODUCT(NAME, TYPE, LOAD)                                                         \
  INLINE void NAME(const int R, const int S, int64_t depth, const float *a, int64_t a_stride,    \
                   const TYPE *b, int64_t b_stride, int64_t slice_stride, float *c,              \
                   int64_t c_stride, const float *decay, const char *prefetch) {                 \
    vf sum[BLOCK_ROWS][4 * VECTORS];                                                             \
    UNROLL for (int r = 0; r < R; r++) {                                                         \
      UNROLL for (int v = 0; v < S * VECTORS; v++) {                                             \
        sum[r][v] = decay ? vf_load(c + r * c_stride + v * LANES) * vf_all(decay[r]) : vf_all(0); \
      }                                                                                          \
    }                                                                                            \
    for (int64_t k = 0; k < depth; k++, b += b_stride) {                                         \
      if (prefetch) {                                                                            \
        __builtin_prefetch(prefetch);                                                            \
        if (S == 4) __builtin_prefetch(prefetch + 64);                                           \
        prefetch += S == 4 ? 128 : 64;                                                           \
      }                                                                                          \
      if (R > S * VECTORS) { /* whichever is fewer stays in registers */                         \
        vf column[4 * VECTORS];                                                                  \
        UNROLL for (int v = 0; v < S * VECTORS; v++) {                                           \
          column[v] = LOAD(b + v / VECTORS * slice_stride + v % VECTORS * LANES);                \
        }                                                                                        \
        UNROLL for (int r = 0; r < R; r++) {                                                     \
          vf weight = vf_all(a[r * a_stride + k]);                                               \
          UNROLL for (int v = 0; v < S * VECTORS; v++) {                                         \
            sum[r][v] = vf_fma(weight, column[v], sum[r][v]);                                    \
          }                                                                                      \
        }                                                                                        \
      } else {                                                                                   \
        vf weight[BLOCK_ROWS];                                                                   \
        UNROLL for (int r = 0; r < R; r++) weight[r] = vf_all(a[r * a_stride + k]);              \
        UNROLL for (int v = 0; v < S * VECTORS; v++) {                                           \
          vf column = LOAD(b + v / VECTORS * slice_stride + v % VECTORS * LANES);                \
          UNROLL for (int r = 0; r < R; r++) sum[r][v] = vf_fma(weight[r], column, sum[r][v]);   \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
    UNROLL for (int r = 0; r < R; r++) {                                                         \
      UNROLL for (int v = 0; v < S * VECTORS; v++) vf_store(c + r * c_stride + v * LANES, sum[r][v]); \
    }                                                                                            \
  }

DEFINE_PRODUCT(float_product, float, vf_load)
DEFINE_PRODUCT(half_product, uint16_t, vf_load_half)

#define PRODUCT_CASE(R, S) \
  case R:                  \
    PRODUCT(R, S, depth, a, a_stride, b, b_stride, slice_stride, c, c_stride, decay, prefetch); \
    break;

/* One slice in floats, any number of rows. */
static void multiply_slice(int64_t rows, int64_t depth, const float *a, int64_t a_stride,
                           const float *b, float *c, int64_t c_stride, const float *decay) {
  const int64_t b_stride = SLICE, slice_stride = 0;
  const char *prefetch = 0;
  /* Near-equal blocks: a last block of one row would leave the multipliers idle. */
  int64_t blocks = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
  for (int64_t i = 0; i < blocks; i++) {
    int64_t count = rows * (i + 1) / blocks - rows * i / blocks;
    switch (count) {
#define PRODUCT float_product
      PRODUCT_CASE(1, 1)
      PRODUCT_CASE(2, 1)
      PRODUCT_CASE(3, 1)
      PRODUCT_CASE(4, 1)
      PRODUCT_CASE(5, 1)
      PRODUCT_CASE(6, 1)
#if TS_LEVEL == 3
      PRODUCT_CASE(7, 1)
      PRODUCT_CASE(8, 1)
      PRODUCT_CASE(9, 1)
      PRODUCT_CASE(10, 1)
      PRODUCT_CASE(11, 1)
      PRODUCT_CASE(12, 1)
#endif
#undef PRODUCT
    }
    a += count * a_stride;
    c += count * c_stride;
    if (decay) decay += count;
  }
}

/* Several slices straight from halves, for few rows. Returns the slices done. */
static int64_t multiply_halves(int64_t rows, int64_t slices, int64_t depth, const float *a,
                               int64_t a_stride, const uint16_t *b, int64_t b_stride,
                               int64_t slice_stride, float *c, int64_t c_stride,
                               const float *decay, const char *prefetch) {
  int64_t wide = LANES == 16 || rows == 1 ? 4 : rows <= 3 ? 2 : 1;
  int64_t done = 0;
  for (; done + wide <= slices; done += wide) {
    switch (rows) {
#define PRODUCT half_product
      PRODUCT_CASE(1, 4)
#if TS_LEVEL == 3
      PRODUCT_CASE(2, 4)
      PRODUCT_CASE(3, 4)
      PRODUCT_CASE(4, 4)
      PRODUCT_CASE(5, 4)
      PRODUCT_CASE(6, 4)
#else
      PRODUCT_CASE(2, 2)
      PRODUCT_CASE(3, 2)
      PRODUCT_CASE(4, 1)
      PRODUCT_CASE(5, 1)
      PRODUCT_CASE(6, 1)
#endif
    }
    b += wide * slice_stride;
    c += wide * SLICE;
    if (prefetch) prefetch += depth * (wide == 4 ? 128 : 64);
  }
  for (; done < slices; done++) {
    switch (rows) {
      PRODUCT_CASE(1, 1)
      PRODUCT_CASE(2, 1)
      PRODUCT_CASE(3, 1)
      PRODUCT_CASE(4, 1)
      PRODUCT_CASE(5, 1)
      PRODUCT_CASE(6, 1)
#undef PRODUCT
    }
    b += slice_stride;
    c += SLICE;
  }
  return done;
}

/* Converts [depth][16] halves; of the last, narrower slice of a head only `width` columns exist. */
INLINE void widen(const uint16_t *b, int64_t b_stride, int64_t depth, int64_t width, float *out) {
  if (width == SLICE) {
    for (int64_t k = 0; k < depth; k++) {
      UNROLL for (int v = 0; v < VECTORS; v++) {
        vf_store(out + k * SLICE + v * LANES, vf_load_half(b + k * b_stride + v * LANES));
      }
    }
    return;
  }
  for (int64_t k = 0; k < depth; k++) {
    uint16_t row[SLICE] = {0};
    memcpy(row, b + k * b_stride, width * sizeof *row);
    UNROLL for (int v = 0; v < VECTORS; v++) {
      vf_store(out + k * SLICE + v * LANES, vf_load_half(row + v * LANES));
    }
  }
}

/* Fetches a part of an exact tile's keys or values ahead, into the second cache. */
INLINE void fetch_share(const char *at, int64_t dim, int64_t part, int64_t parts) {
  int64_t lines = TS_BLOCK_TOKENS * dim * TS_ELEMENT_BYTES / 64, end = lines * (part + 1) / parts;
  for (int64_t i = lines * part / parts; i < end; i++) __builtin_prefetch(at + i * 64, 0, 2);
}

/* scores[row][64] of an exact tile, for the first `lanes` tokens. */
void TS(exact_scores)(int64_t rows, int64_t stride, int64_t dim, const uint16_t *keys, int64_t lanes,
                      const char *next, ts_scratch *s) {
  int64_t groups = (lanes + SLICE - 1) / SLICE, done = 0;
  if (rows <= DIRECT_ROWS) {
    done = multiply_halves(rows, TS_BLOCK_TOKENS / TS_KEY_LANES, dim, s->query, stride, keys,
                           TS_KEY_LANES, dim * TS_KEY_LANES, s->scores, TS_BLOCK_TOKENS, 0, next);
  }
  for (; done < groups; done++) {
    if (next && rows > DIRECT_ROWS) fetch_share(next, dim, done, groups);
    widen(keys + done * dim * TS_KEY_LANES, TS_KEY_LANES, dim, SLICE, s->slice);
    multiply_slice(rows, dim, s->query, stride, s->slice, s->scores + done * SLICE,
                   TS_BLOCK_TOKENS, 0);
  }
}

/* out = out * decay + the values of an exact tile by their weights, in s->scores. */
void TS(exact_values)(int64_t rows, int64_t stride, int64_t dim, const uint16_t *values,
                      int64_t lanes, float *out, const char *next, ts_scratch *s) {
  int64_t done = 0, slices = dim / SLICE;
  if (rows <= DIRECT_ROWS) {
    done = multiply_halves(rows, slices, lanes, s->scores, TS_BLOCK_TOKENS, values, dim, SLICE,
                           out, stride, s->decay, next);
  }
  for (; done * SLICE < dim; done++) {
    int64_t width = dim - done * SLICE < SLICE ? dim - done * SLICE : SLICE;
    if (next && rows > DIRECT_ROWS) fetch_share(next, dim, done, stride / SLICE);
    widen(values + done * SLICE, dim, lanes, width, s->slice);
    multiply_slice(rows, lanes, s->scores, TS_BLOCK_TOKENS, s->slice, out + done * SLICE,
                   stride, s->decay);
  }
}
