/* Quantised matrix products with AVX2: integer dot products, eight outputs to a register.
 *
 * Codes of at most six bits go through vpmaddubsw (unsigned codes times signed activations) and are
 * added in 16 bits for as long as that cannot overflow (the sum of `FOLD` groups of four stays below
 * 2^15 even for the activation -128), then widened by one vpmaddwd, which multiplies by the tile's
 * integer scales on its way. Eight-bit codes would saturate vpmaddubsw: they are widened first.
 *
 * Few rows of activations read the panel as it is stored, all 32 outputs at once: memory is the
 * limit. Many rows share a copy of half the panel (16 outputs) that is unpacked into bytes with its
 * scales in floats; the copy stays in the first or second cache. */
#include <immintrin.h>

#include "gemm.h"
#include "gemm_parts.h"
#include "gemm_tiles.h"

enum {
  TILE_ROWS = 4,             /* most rows that share the registers of a kernel */
  MANY = 7,                  /* rows from which a panel is opened */
  HALF = 16,                 /* outputs of an open half panel */
  LINE = 64,
  AHEAD = 6 * 1024,          /* bytes that a direct kernel prefetches ahead */
  OPEN_BYTES = 512 * 1024,   /* an open half panel: 14336 inputs of any kind */
  WIDE_INPUTS = 16 * 1024    /* inputs of widened activations */
};

static _Thread_local _Alignas(LINE) uint8_t open_panel[OPEN_BYTES];
static _Thread_local _Alignas(LINE) int16_t wide_rows[TILE_ROWS * WIDE_INPUTS];

INLINE __m256i load(const void *at) { return _mm256_loadu_si256(at); }
INLINE void store(void *at, __m256i v) { _mm256_storeu_si256(at, v); }
INLINE __m256i broadcast4(const void *at) {
  int32_t value;
  __builtin_memcpy(&value, at, 4);
  return _mm256_set1_epi32(value);
}
INLINE __m256 halves(const uint8_t *at) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)at)); }
INLINE __m256i bytes_to_dwords(const uint8_t *at) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)at));
}
/* A signed byte of each output as two equal 16-bit factors, for vpmaddwd. */
INLINE __m256i factor_pairs(const uint8_t *at) {
  __m256i wide = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)at));
  return _mm256_blend_epi16(wide, _mm256_slli_epi32(wide, 16), 0xaa);
}
/* The scales of both halves of a block, times -zero: meets a pair of activation sums. */
INLINE __m256i zero_pairs(const uint8_t *at, int zero) {
  __m256i first = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)at));
  __m256i second = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(at + 32)));
  __m256i pairs = _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa);
  return _mm256_mullo_epi16(pairs, _mm256_set1_epi16((int16_t)-zero));
}

/* Compilers regroup integer sums into trees, which need more registers than there are. */
INLINE __m256i in_order(__m256i sum) {
  __asm__("" : "+x"(sum));
  return sum;
}

/* Groups of four inputs whose products may be added in 16 bits. */
INLINE int fold_of(int bits) { return bits == 4 ? 8 : bits == 5 ? 4 : 2; }

/* The lines of the next panel, fetched a few at a time. */
typedef struct {
  const uint8_t *at, *end;
  int lines;
} prefetch;

INLINE void fetch(prefetch *p) {
  for (int i = 0; i < p->lines && p->at < p->end; i++, p->at += LINE) {
    _mm_prefetch((const char *)p->at, _MM_HINT_T1);
  }
}

/* ---- the arithmetic of a block, the same for packed and open panels ---- */

INLINE __m256 add_block(__m256 y, __m256i product, __m256 scale, float activation_scale) {
  __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(activation_scale));
  return _mm256_fmadd_ps(factor, _mm256_cvtepi32_ps(product), y);
}

INLINE void put(float *to, __m256 y, int accumulate) {
  _mm256_storeu_ps(to, accumulate ? _mm256_add_ps(y, _mm256_loadu_ps(to)) : y);
}

/* ---- open half panels ---- */

/* Block of an open half panel: codes [8 groups][16 outputs][4] as bytes (8-bit kinds: weights as
 * int16 [8][2][16 outputs][2], in the order of TS(widen)), float scale[16], then as the kind has them float
 * minimum[16], int16 factor[16][2] or factor[2][16][2] and zero[16][2]. */
INLINE int open_codes_bytes(ts_layout l) { return l.bits == 8 ? 1024 : 512; }
INLINE int open_minimum(ts_layout l) { return open_codes_bytes(l) + LINE; }
INLINE int open_factor(ts_layout l) { return open_minimum(l) + (l.minimum >= 0 ? LINE : 0); }
INLINE int open_bytes(ts_layout l) {
  return open_factor(l) + (l.bits == 6 ? 3 * LINE : l.header ? LINE : 0);
}

/* Bits above the low four of group `group`, in place; `plane` is the kind's high bits. */
INLINE __m256i high_bits(ts_layout l, const uint8_t *plane, int group) {
  int width = l.bits - 4, in_byte = l.bits == 5 ? group : group % 4 * 2;
  __m256i v = load(plane + (l.bits == 5 ? 0 : group / 4 * 128));
  v = in_byte <= 4 ? _mm256_slli_epi16(v, 4 - in_byte) : _mm256_srli_epi16(v, in_byte - 4);
  return _mm256_and_si256(v, _mm256_set1_epi8((char)(((1 << width) - 1) << 4)));
}

/* The codes of eight outputs for groups j and j + 4; `at` is those outputs' bytes of group j. */
INLINE void unpack_codes(ts_layout l, const uint8_t *tile, int at, int j, __m256i *low,
                         __m256i *high) {
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i v = load(tile + j * 128 + at);
  *low = _mm256_and_si256(v, mask);
  *high = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
  if (l.bits > 4) {
    *low = _mm256_or_si256(*low, high_bits(l, tile + l.high + at, j));
    *high = _mm256_or_si256(*high, high_bits(l, tile + l.high + at, j + 4));
  }
}

INLINE void open_half(const int kind, const uint8_t *panel, int64_t blocks, int half, uint8_t *to) {
  const ts_layout l = ts_layout_of(kind);
  for (int64_t b = 0; b < blocks; b++, to += open_bytes(l)) {
    const uint8_t *tile = panel + ts_tile_offset(l, b), *header = panel + ts_header_offset(l, b);
    UNROLL for (int n = 0; n < 2; n++) {
      int output = half * HALF + n * 8, at = output * 4;
      if (l.bits == 8) {
        const __m256i even = _mm256_set1_epi16(255), zero = _mm256_set1_epi16(128);
        UNROLL for (int j = 0; j < 8; j++) {
          __m256i v = load(tile + j * 128 + at);
          store(to + j * 128 + n * 32, _mm256_sub_epi16(_mm256_and_si256(v, even), zero));
          store(to + j * 128 + 64 + n * 32, _mm256_sub_epi16(_mm256_srli_epi16(v, 8), zero));
        }
      } else {
        UNROLL for (int j = 0; j < 4; j++) {
          __m256i low, high;
          unpack_codes(l, tile, at, j, &low, &high);
          store(to + j * LINE + n * 32, low);
          store(to + (j + 4) * LINE + n * 32, high);
        }
      }
      const uint8_t *d = l.header ? header : tile + l.scale;
      _mm256_storeu_ps((float *)(to + open_codes_bytes(l) + n * 32), halves(d + output * 2));
      if (l.minimum >= 0) {
        __m256 m;
        if (l.header) {
          m = _mm256_cvtepi32_ps(bytes_to_dwords(tile + l.minimum + output));
          m = _mm256_mul_ps(halves(header + 64 + output * 2),
                            _mm256_xor_ps(m, _mm256_set1_ps(-0.0f)));
        } else {
          m = halves(tile + l.minimum + output * 2);
        }
        _mm256_storeu_ps((float *)(to + open_minimum(l) + n * 32), m);
      }
      if (l.header) store(to + open_factor(l) + n * 32, factor_pairs(tile + l.scale + output));
      if (l.bits == 6) {
        const uint8_t *scales = tile + l.scale + output;
        store(to + open_factor(l) + LINE + n * 32, factor_pairs(scales + 32));
        store(to + open_factor(l) + 2 * LINE + n * 32, zero_pairs(scales, l.zero));
      }
    }
  }
}

/* Everything that a kernel needs to know about its rows. */
typedef struct {
  const int8_t *q;
  const int16_t *wide; /* 8-bit kinds only */
  const float *scale, *total;
  const int16_t *sum;
  int64_t blocks;
  float *y;
  int64_t y_stride;
  int accumulate;
} rows_of;

/* product[m][n] = the integer dot products of block `b`, before zero points. */
INLINE void dot_open(const ts_layout l, const int rows, const uint8_t *w, const rows_of *r,
                     int64_t b, __m256i product[TILE_ROWS][2]) {
  const int fold = fold_of(l.bits);
  const int64_t inputs = r->blocks * TS_BLOCK;
  if (l.bits == 8) {
    UNROLL for (int k = 0; k < 16; k++) {
      __m256i w0 = load(w + k * LINE), w1 = load(w + k * LINE + 32);
      UNROLL for (int m = 0; m < rows; m++) {
        __m256i x = broadcast4(r->wide + m * inputs + b * TS_BLOCK + 2 * k);
        __m256i p0 = _mm256_madd_epi16(w0, x), p1 = _mm256_madd_epi16(w1, x);
        product[m][0] = in_order(k == 0 ? p0 : _mm256_add_epi32(product[m][0], p0));
        product[m][1] = in_order(k == 0 ? p1 : _mm256_add_epi32(product[m][1], p1));
      }
    }
    return;
  }
  UNROLL for (int from = 0; from < 8; from += fold) {
    __m256i sum[TILE_ROWS][2];
    UNROLL for (int j = from; j < from + fold; j++) {
      __m256i w0 = load(w + j * LINE), w1 = load(w + j * LINE + 32);
      UNROLL for (int m = 0; m < rows; m++) {
        __m256i x = broadcast4(r->q + m * inputs + b * TS_BLOCK + 4 * j);
        __m256i p0 = _mm256_maddubs_epi16(w0, x), p1 = _mm256_maddubs_epi16(w1, x);
        sum[m][0] = in_order(j == from ? p0 : _mm256_add_epi16(sum[m][0], p0));
        sum[m][1] = in_order(j == from ? p1 : _mm256_add_epi16(sum[m][1], p1));
      }
    }
    UNROLL for (int n = 0; n < 2; n++) {
      const uint8_t *factors = w + open_factor(l) + (l.bits == 6 && from >= 4 ? LINE : 0) + n * 32;
      __m256i factor = l.header ? load(factors) : _mm256_set1_epi16(1);
      UNROLL for (int m = 0; m < rows; m++) {
        __m256i p = _mm256_madd_epi16(sum[m][n], factor);
        product[m][n] = from == 0 ? p : _mm256_add_epi32(product[m][n], p);
      }
    }
  }
}

INLINE void multiply_open(const int kind, const int rows, const uint8_t *w, const rows_of *r,
                          prefetch *next) {
  const ts_layout l = ts_layout_of(kind);
  __m256 y[TILE_ROWS][2];
  UNROLL for (int m = 0; m < rows; m++) y[m][0] = y[m][1] = _mm256_setzero_ps();
  for (int64_t b = 0; b < r->blocks; b++, w += open_bytes(l)) {
    __m256i product[TILE_ROWS][2];
    fetch(next);
    dot_open(l, rows, w, r, b, product);
    UNROLL for (int m = 0; m < rows; m++) {
      int64_t at = m * r->blocks + b;
      __m256i sums = broadcast4(r->sum + 2 * at);
      UNROLL for (int n = 0; n < 2; n++) {
        if (l.zero != 0 && l.bits != 8) {
          __m256i zero = l.bits == 6 ? load(w + open_factor(l) + 2 * LINE + n * 32)
                                     : _mm256_set1_epi16((int16_t)-l.zero);
          product[m][n] = _mm256_add_epi32(product[m][n], _mm256_madd_epi16(zero, sums));
        }
        __m256 scale = _mm256_loadu_ps((const float *)(w + open_codes_bytes(l)) + n * 8);
        y[m][n] = add_block(y[m][n], product[m][n], scale, r->scale[at]);
        if (l.minimum >= 0) {
          __m256 minimum = _mm256_loadu_ps((const float *)(w + open_minimum(l)) + n * 8);
          y[m][n] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(r->total[at]), y[m][n]);
        }
      }
    }
  }
  UNROLL for (int m = 0; m < rows; m++) {
    put(r->y + m * r->y_stride, y[m][0], r->accumulate);
    put(r->y + m * r->y_stride + 8, y[m][1], r->accumulate);
  }
}

/* ---- packed panels, for few rows ---- */

/* product[m][n] as in dot_open, zero points included, straight from a packed tile. */
INLINE void dot_packed(const ts_layout l, const int rows, const uint8_t *tile, const rows_of *r,
                       int64_t b, __m256i product[TILE_ROWS][4]) {
  const int fold = fold_of(l.bits);
  const int64_t inputs = r->blocks * TS_BLOCK;
  const int8_t *q = r->q + b * TS_BLOCK;
  UNROLL for (int m = 0; m < rows; m++) {
    __m256i sums = broadcast4(r->sum + 2 * (m * r->blocks + b));
    UNROLL for (int n = 0; n < 4; n++) {
      __m256i zero = l.bits == 6 ? zero_pairs(tile + l.scale + n * 8, l.zero)
                                 : _mm256_set1_epi16((int16_t)-l.zero);
      product[m][n] = l.zero ? _mm256_madd_epi16(zero, sums) : _mm256_setzero_si256();
    }
  }
  if (l.bits == 8) {
    UNROLL for (int j = 0; j < 8; j++) {
      __m256i even[TILE_ROWS], odd[TILE_ROWS];
      UNROLL for (int m = 0; m < rows; m++) {
        __m256i x = broadcast4(q + m * inputs + 4 * j);
        even[m] = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
        odd[m] = _mm256_srai_epi16(x, 8);
      }
      UNROLL for (int n = 0; n < 4; n++) {
        __m256i v = load(tile + j * 128 + n * 32);
        __m256i v0 = _mm256_and_si256(v, _mm256_set1_epi16(255)), v1 = _mm256_srli_epi16(v, 8);
        UNROLL for (int m = 0; m < rows; m++) {
          __m256i p = _mm256_add_epi32(_mm256_madd_epi16(v0, even[m]), _mm256_madd_epi16(v1, odd[m]));
          product[m][n] = in_order(_mm256_add_epi32(product[m][n], p));
        }
      }
    }
    return;
  }
  /* A step takes `fold` groups: half of them from low nibbles, half from high ones, unless each
   * half of the block has its own scale. */
  UNROLL for (int n = 0; n < 4; n++) {
    __m256i first = _mm256_set1_epi16(1), second = first;
    if (l.header) first = second = factor_pairs(tile + l.scale + n * 8);
    if (l.bits == 6) second = factor_pairs(tile + l.scale + 32 + n * 8);
    __m256i low_sum[TILE_ROWS], high_sum[TILE_ROWS];
    UNROLL for (int j = 0; j < 4; j++) {
      __m256i low, high;
      unpack_codes(l, tile, n * 32, j, &low, &high);
      const int restart = l.bits == 4 ? j == 0 : l.bits == 5 ? j % 4 == 0 : j % 2 == 0;
      const int last = l.bits == 4 ? j == 3 : l.bits == 5 ? j % 4 == 3 : j % 2 == 1;
      UNROLL for (int m = 0; m < rows; m++) {
        const int8_t *x = q + m * inputs + 4 * j;
        __m256i p = _mm256_maddubs_epi16(low, broadcast4(x));
        __m256i p4 = _mm256_maddubs_epi16(high, broadcast4(x + 16));
        low_sum[m] = in_order(restart ? p : _mm256_add_epi16(low_sum[m], p));
        if (fold == 8) {
          low_sum[m] = in_order(_mm256_add_epi16(low_sum[m], p4));
        } else {
          high_sum[m] = in_order(restart ? p4 : _mm256_add_epi16(high_sum[m], p4));
        }
        if (!last) continue;
        __m256i sum = _mm256_madd_epi16(low_sum[m], first);
        if (fold != 8) sum = _mm256_add_epi32(sum, _mm256_madd_epi16(high_sum[m], second));
        product[m][n] = _mm256_add_epi32(product[m][n], sum);
      }
    }
  }
}

INLINE void multiply_packed(const int kind, const int rows, const uint8_t *panel,
                            int64_t panel_bytes, const rows_of *r, const uint8_t *next) {
  const ts_layout l = ts_layout_of(kind);
  __m256 y[TILE_ROWS][4];
  UNROLL for (int m = 0; m < rows; m++) {
    UNROLL for (int n = 0; n < 4; n++) y[m][n] = _mm256_setzero_ps();
  }
  for (int64_t b = 0; b < r->blocks; b++) {
    const uint8_t *tile = panel + ts_tile_offset(l, b), *header = panel + ts_header_offset(l, b);
    int64_t ahead = tile - panel + AHEAD;
    const uint8_t *soon = ahead < panel_bytes ? panel + ahead : next + (ahead - panel_bytes);
    if (ahead < panel_bytes || next) {
      UNROLL for (int i = 0; i < l.tile; i += LINE) {
        _mm_prefetch((const char *)soon + i, _MM_HINT_T0);
      }
    }
    __m256i product[TILE_ROWS][4];
    dot_packed(l, rows, tile, r, b, product);
    UNROLL for (int n = 0; n < 4; n++) {
      __m256 scale = halves((l.header ? header : tile + l.scale) + n * 16), minimum;
      if (l.minimum >= 0 && !l.header) minimum = halves(tile + l.minimum + n * 16);
      if (l.minimum >= 0 && l.header) {
        minimum = _mm256_cvtepi32_ps(bytes_to_dwords(tile + l.minimum + n * 8));
        minimum = _mm256_mul_ps(halves(header + 64 + n * 16),
                                _mm256_xor_ps(minimum, _mm256_set1_ps(-0.0f)));
      }
      UNROLL for (int m = 0; m < rows; m++) {
        int64_t at = m * r->blocks + b;
        y[m][n] = add_block(y[m][n], product[m][n], scale, r->scale[at]);
        if (l.minimum >= 0) {
          y[m][n] = _mm256_fmadd_ps(minimum, _mm256_set1_ps(r->total[at]), y[m][n]);
        }
      }
    }
  }
  UNROLL for (int m = 0; m < rows; m++) {
    UNROLL for (int n = 0; n < 4; n++) put(r->y + m * r->y_stride + n * 8, y[m][n], r->accumulate);
  }
}

/* ---- one function per kind and number of rows ---- */

typedef struct {
  int kind;
  void (*open)(const uint8_t *panel, int64_t blocks, int half, uint8_t *to);
  void (*packed[TILE_ROWS])(const uint8_t *, int64_t, const rows_of *, const uint8_t *);
  void (*opened[TILE_ROWS])(const uint8_t *, const rows_of *, prefetch *);
} kernels_of;

#define PACKED(kind, rows)                                                               \
  static void packed_##kind##_##rows(const uint8_t *panel, int64_t bytes, const rows_of *r, \
                                     const uint8_t *next) {                              \
    multiply_packed(TS_##kind, rows, panel, bytes, r, next);                             \
  }
#define OPENED(kind, rows)                                                                    \
  static void opened_##kind##_##rows(const uint8_t *w, const rows_of *r, prefetch *next) {    \
    multiply_open(TS_##kind, rows, w, r, next);                                               \
  }
#define KERNELS(kind)                                                                         \
  PACKED(kind, 1) PACKED(kind, 2) PACKED(kind, 3) PACKED(kind, 4)                             \
  OPENED(kind, 1) OPENED(kind, 2) OPENED(kind, 3) OPENED(kind, 4)                             \
  static void open_##kind(const uint8_t *panel, int64_t blocks, int half, uint8_t *to) {      \
    open_half(TS_##kind, panel, blocks, half, to);                                            \
  }
#define ENTRY(kind)                                                                           \
  {TS_##kind, open_##kind,                                                                    \
   {packed_##kind##_1, packed_##kind##_2, packed_##kind##_3, packed_##kind##_4},              \
   {opened_##kind##_1, opened_##kind##_2, opened_##kind##_3, opened_##kind##_4}}

KERNELS(Q4_0)
KERNELS(Q4_1)
KERNELS(Q5_0)
KERNELS(Q5_1)
KERNELS(Q8_0)
KERNELS(Q4_K)
KERNELS(Q5_K)
KERNELS(Q6_K)

static const kernels_of KERNEL_TABLE[] = {ENTRY(Q4_0), ENTRY(Q4_1), ENTRY(Q5_0), ENTRY(Q5_1),
                                          ENTRY(Q8_0), ENTRY(Q4_K), ENTRY(Q5_K), ENTRY(Q6_K)};

static rows_of rows_from(const ts_activations *a, int64_t row, float *y, int64_t y_stride,
                         int accumulate) {
  int64_t at = row * a->blocks;
  return (rows_of){a->q + at * TS_BLOCK, 0,        a->scale + at, a->total + at, a->sum + at * 2,
                   a->blocks,            y,        y_stride,      accumulate};
}

static void many_rows(const kernels_of *k, const ts_matrix *w, const uint8_t *data,
                      const ts_activations *a, int64_t first, int64_t count, float *y,
                      int64_t y_stride, int accumulate, const uint8_t *next) {
  int64_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS, inputs = w->blocks * (int64_t)TS_BLOCK;
  int64_t steps = 2 * tiles * w->blocks, lines = w->panel_bytes / LINE;
  prefetch p = {next, next ? next + w->panel_bytes : next, (int)((lines + steps - 1) / steps)};
  for (int half = 0; half < 2; half++) {
    k->open(data, w->blocks, half, open_panel);
    int64_t i = 0;
    for (int64_t t = 0; t < tiles; t++) {
      int64_t rows = (count - i + tiles - t - 1) / (tiles - t); /* nearly equal parts */
      rows_of r = rows_from(a, first + i, y + i * y_stride + half * HALF, y_stride, accumulate);
      if (w->kind == TS_Q8_0) {
        r.wide = a->wide ? a->wide + (first + i) * inputs : wide_rows;
        if (!a->wide) TS(widen)(r.q, rows * inputs, wide_rows);
      }
      k->opened[rows - 1](open_panel, &r, &p);
      i += rows;
    }
  }
}

void TS(panel)(const ts_matrix *w, int64_t panel, const ts_activations *a, int64_t first,
               int64_t count, float *y, int64_t y_stride, int accumulate, const uint8_t *next) {
  const uint8_t *data = w->data + panel * w->panel_bytes;
  if (ts_kind_is_float(w->kind)) {
    TS(float_panel)(w, data, a, first, count, y, y_stride, accumulate, next);
    return;
  }
  const kernels_of *k = KERNEL_TABLE;
  while (k->kind != w->kind) k++;
  ts_layout layout = ts_layout_of(w->kind);
  int fits = w->blocks * (int64_t)open_bytes(layout) <= OPEN_BYTES &&
             w->blocks * (int64_t)TS_BLOCK <= WIDE_INPUTS;
  if (count >= MANY && fits) {
    many_rows(k, w, data, a, first, count, y, y_stride, accumulate, next);
    return;
  }
  int64_t tiles = (count + TILE_ROWS - 1) / TILE_ROWS;
  for (int64_t i = 0, t = 0, rows; t < tiles; t++, i += rows) {
    rows = (count - i + tiles - t - 1) / (tiles - t); /* nearly equal parts */
    rows_of r = rows_from(a, first + i, y + i * y_stride, y_stride, accumulate);
    k->packed[rows - 1](data, w->panel_bytes, &r, next);
  }
}
