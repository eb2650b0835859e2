/* Quantised matrix products with AVX-512 VNNI: vpdpbusd multiplies four unsigned codes of one output
 * by four signed activations and adds them to its 32-bit lane, sixteen outputs to a register.
 *
 * A kernel holds up to six rows of activations times the panel's 32 outputs: twelve integer and
 * twelve float accumulators. Zero points are paid for by what the integers start from. For many
 * rows, codes of less than eight bits are unpacked once per panel and stay in the cache. */
#ifdef TS_EMULATE_AVX512
#include "avx512_emulated.h"
#else
#include <immintrin.h>
#endif

#include "gemm.h"
#include "gemm_parts.h"
#include "gemm_tiles.h"

enum {
  TILE_ROWS = 6,
  MANY = 12,               /* rows from which a panel is opened */
  LINE = 64,
  AHEAD = 6 * 1024,        /* bytes that a kernel prefetches of its own stream */
  OPEN_BYTES = 640 * 1024  /* an open panel: 14336 inputs of any kind */
};

static _Thread_local _Alignas(LINE) uint8_t open_panel[OPEN_BYTES];

INLINE __m512i load(const void *at) { return _mm512_loadu_si512(at); }
INLINE __m512i broadcast4(const void *at) {
  int32_t value;
  __builtin_memcpy(&value, at, 4);
  return _mm512_set1_epi32(value);
}
INLINE __m512 halves(const uint8_t *at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)at));
}
INLINE __m512 unsigned_bytes(const uint8_t *at) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)at)));
}
INLINE __m512 signed_bytes(const uint8_t *at) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)at)));
}

/* Lines that are fetched a few at a time while a kernel computes: the rest of one panel, perhaps,
 * then some or all of the next. */
typedef struct {
  const uint8_t *at, *end;
  int lines;
  const uint8_t *next, *next_end;
} prefetch;

INLINE void fetch(prefetch *p) {
  if (p->at >= p->end) {
    p->at = p->next;
    p->end = p->next_end;
    p->next = p->next_end;
  }
  for (int i = 0; i < p->lines && p->at < p->end; i++, p->at += LINE) {
    _mm_prefetch((const char *)p->at, _MM_HINT_T0);
  }
}

/* ---- packed and open tiles ---- */

/* A block of an open panel: codes [8][128] as bytes, then as the kind has them float scale[32],
 * minimum[32] and factor[32] of each half of the block. */
enum { OPEN_SCALE = 1024, OPEN_MINIMUM = 1152, OPEN_FACTOR = 1152 };
INLINE int open_factor(ts_layout l) { return OPEN_FACTOR + (l.minimum >= 0 ? 128 : 0); }
INLINE int open_bytes(ts_layout l) {
  return open_factor(l) + (l.bits == 6 ? 256 : l.header ? 128 : 0);
}

/* The numbers of a block beside its codes, for outputs 16n .. 16n + 15. */
typedef struct {
  __m512 scale, minimum, factor[2];
} numbers;

INLINE numbers packed_numbers(const ts_layout l, const uint8_t *tile, const uint8_t *header, int n) {
  numbers out = {0};
  out.scale = halves((l.header ? header : tile + l.scale) + n * 32);
  if (l.minimum >= 0) {
    if (l.header) {
      __m512 m = _mm512_sub_ps(_mm512_set1_ps(-0.0f), unsigned_bytes(tile + l.minimum + n * 16));
      out.minimum = _mm512_mul_ps(halves(header + 64 + n * 32), m);
    } else {
      out.minimum = halves(tile + l.minimum + n * 32);
    }
  }
  if (l.header) out.factor[0] = signed_bytes(tile + l.scale + n * 16);
  if (l.bits == 6) out.factor[1] = signed_bytes(tile + l.scale + 32 + n * 16);
  return out;
}

INLINE numbers open_numbers(const ts_layout l, const uint8_t *block, int n) {
  numbers out = {0};
  out.scale = _mm512_loadu_ps(block + OPEN_SCALE + n * LINE);
  if (l.minimum >= 0) out.minimum = _mm512_loadu_ps(block + OPEN_MINIMUM + n * LINE);
  if (l.header) out.factor[0] = _mm512_loadu_ps(block + open_factor(l) + n * LINE);
  if (l.bits == 6) out.factor[1] = _mm512_loadu_ps(block + open_factor(l) + 128 + n * LINE);
  return out;
}

/* Bits above the low four of group `group`, in place. */
INLINE __m512i high_bits(const ts_layout l, const uint8_t *plane, const int group) {
  const int width = l.bits - 4, in_byte = l.bits == 5 ? group : group % 4 * 2;
  __m512i v = load(plane + (l.bits == 5 ? 0 : group / 4 * 128));
  v = in_byte <= 4 ? _mm512_slli_epi16(v, 4 - in_byte) : _mm512_srli_epi16(v, in_byte - 4);
  return _mm512_and_si512(v, _mm512_set1_epi8((char)(((1 << width) - 1) << 4)));
}

/* The codes of 16 outputs for groups j and j + 4. */
INLINE void unpack_codes(const ts_layout l, const uint8_t *tile, int n, int j, __m512i *low,
                         __m512i *high) {
  const __m512i mask = _mm512_set1_epi8(15);
  __m512i v = load(tile + j * 128 + n * LINE);
  *low = _mm512_and_si512(v, mask);
  *high = _mm512_and_si512(_mm512_srli_epi16(v, 4), mask);
  if (l.bits > 4) {
    *low = _mm512_or_si512(*low, high_bits(l, tile + l.high + n * LINE, j));
    *high = _mm512_or_si512(*high, high_bits(l, tile + l.high + n * LINE, j + 4));
  }
}

INLINE void open_whole(const int kind, const uint8_t *panel, int64_t blocks, uint8_t *to) {
  const ts_layout l = ts_layout_of(kind);
  for (int64_t b = 0; b < blocks; b++, to += open_bytes(l)) {
    const uint8_t *tile = panel + ts_tile_offset(l, b), *header = panel + ts_header_offset(l, b);
    UNROLL for (int n = 0; n < 2; n++) {
      UNROLL for (int j = 0; j < 4; j++) {
        __m512i low, high;
        unpack_codes(l, tile, n, j, &low, &high);
        _mm512_storeu_si512(to + j * 128 + n * LINE, low);
        _mm512_storeu_si512(to + (j + 4) * 128 + n * LINE, high);
      }
      numbers of = packed_numbers(l, tile, header, n);
      _mm512_storeu_ps(to + OPEN_SCALE + n * LINE, of.scale);
      if (l.minimum >= 0) _mm512_storeu_ps(to + OPEN_MINIMUM + n * LINE, of.minimum);
      if (l.header) _mm512_storeu_ps(to + open_factor(l) + n * LINE, of.factor[0]);
      if (l.bits == 6) _mm512_storeu_ps(to + open_factor(l) + 128 + n * LINE, of.factor[1]);
    }
  }
}

/* ---- the kernel ---- */

typedef struct {
  const int8_t *q;
  const float *scale, *total;
  const int16_t *sum;
  int64_t blocks;
  float *y;
  int64_t y_stride;
  int accumulate;
} rows_of;

typedef __m512i products[TILE_ROWS][2];

/* Adds the products of one group, as four-byte codes of 2 x 16 outputs. */
INLINE void add_group(products sum, const int rows, __m512i w0, __m512i w1, const int8_t *q,
                      int64_t inputs) {
  UNROLL for (int m = 0; m < rows; m++) {
    __m512i x = broadcast4(q + m * inputs);
    sum[m][0] = _mm512_dpbusd_epi32(sum[m][0], w0, x);
    sum[m][1] = _mm512_dpbusd_epi32(sum[m][1], w1, x);
  }
}

/* first (and second, where each half of a block has its own scale) = the integer dot products. */
INLINE void dot(const ts_layout l, const int rows, const int open, const uint8_t *tile,
                const rows_of *r, int64_t b, products first, products second) {
  const int64_t inputs = r->blocks * TS_BLOCK;
  const int8_t *q = r->q + b * TS_BLOCK;
  UNROLL for (int m = 0; m < rows; m++) {
    first[m][0] = second[m][0] = _mm512_setzero_si512();
    if (l.zero != 0) {
      __m512i sums = broadcast4(r->sum + 2 * (m * r->blocks + b)); /* two sums of 16 bits */
      const int zero = -l.zero & 0xffff, both = (int)((unsigned)zero << 16 | (unsigned)zero);
      const int low = l.bits == 6 ? zero : both, high = (int)((unsigned)zero << 16);
      first[m][0] = _mm512_madd_epi16(sums, _mm512_set1_epi32(low));
      if (l.bits == 6) second[m][0] = _mm512_madd_epi16(sums, _mm512_set1_epi32(high));
    }
    first[m][1] = first[m][0];
    second[m][1] = second[m][0];
  }
  if (open || l.bits == 8) {
    UNROLL for (int j = 0; j < 8; j++) {
      products *sum = l.bits == 6 && j >= 4 ? (products *)second : (products *)first;
      add_group(*sum, rows, load(tile + j * 128), load(tile + j * 128 + LINE), q + 4 * j, inputs);
    }
  } else {
    UNROLL for (int j = 0; j < 4; j++) {
      __m512i low0, low1, high0, high1;
      unpack_codes(l, tile, 0, j, &low0, &high0);
      unpack_codes(l, tile, 1, j, &low1, &high1);
      add_group(first, rows, low0, low1, q + 4 * j, inputs);
      add_group(l.bits == 6 ? second : first, rows, high0, high1, q + 4 * j + 16, inputs);
    }
  }
}

INLINE void multiply(const int kind, const int rows, const int open, const uint8_t *panel,
                     const rows_of *r, prefetch *next) {
  const ts_layout l = ts_layout_of(kind);
  __m512 y[TILE_ROWS][2];
  UNROLL for (int m = 0; m < rows; m++) y[m][0] = y[m][1] = _mm512_setzero_ps();
  for (int64_t b = 0; b < r->blocks; b++) {
    const uint8_t *tile = panel + (open ? b * open_bytes(l) : ts_tile_offset(l, b));
    products first, second;
    fetch(next);
    dot(l, rows, open, tile, r, b, first, second);
    UNROLL for (int n = 0; n < 2; n++) {
      numbers of = open ? open_numbers(l, tile, n)
                        : packed_numbers(l, tile, panel + ts_header_offset(l, b), n);
      UNROLL for (int m = 0; m < rows; m++) {
        int64_t at = m * r->blocks + b;
        /* Integers below 2^24 are exact as floats, and so are their sums and products here. */
        __m512 product = _mm512_cvtepi32_ps(first[m][n]);
        if (l.header) product = _mm512_mul_ps(product, of.factor[0]);
        if (l.bits == 6) {
          product = _mm512_fmadd_ps(_mm512_cvtepi32_ps(second[m][n]), of.factor[1], product);
        }
        __m512 scale = _mm512_mul_ps(of.scale, _mm512_set1_ps(r->scale[at]));
        y[m][n] = _mm512_fmadd_ps(scale, product, y[m][n]);
        if (l.minimum >= 0) {
          y[m][n] = _mm512_fmadd_ps(of.minimum, _mm512_set1_ps(r->total[at]), y[m][n]);
        }
      }
    }
  }
  UNROLL for (int m = 0; m < rows; m++) {
    UNROLL for (int n = 0; n < 2; n++) {
      float *to = r->y + m * r->y_stride + n * 16;
      __m512 out = y[m][n];
      _mm512_storeu_ps(to, r->accumulate ? _mm512_add_ps(out, _mm512_loadu_ps(to)) : out);
    }
  }
}

/* ---- one function per kind, form and number of rows ---- */

typedef void kernel(const uint8_t *panel, const rows_of *r, prefetch *next);

typedef struct {
  int kind, rows; /* rows that fit the registers */
  void (*open)(const uint8_t *panel, int64_t blocks, uint8_t *to); /* null: as fast packed */
  kernel *packed[TILE_ROWS], *opened[TILE_ROWS];
} kernels_of;

#define KERNEL(form, kind, rows, open)                                                       \
  static void form##_##kind##_##rows(const uint8_t *panel, const rows_of *r, prefetch *p) {  \
    multiply(TS_##kind, rows, open, panel, r, p);                                            \
  }
#define FORM(form, kind, open)                                                               \
  KERNEL(form, kind, 1, open) KERNEL(form, kind, 2, open) KERNEL(form, kind, 3, open)        \
  KERNEL(form, kind, 4, open) KERNEL(form, kind, 5, open) KERNEL(form, kind, 6, open)
#define KERNELS(kind)                                                                        \
  FORM(packed, kind, 0)                                                                      \
  FORM(opened, kind, 1)                                                                      \
  static void open_##kind(const uint8_t *panel, int64_t blocks, uint8_t *to) {               \
    open_whole(TS_##kind, panel, blocks, to);                                                \
  }
#define ALL(form, kind)                                                                      \
  {form##_##kind##_1, form##_##kind##_2, form##_##kind##_3,                                  \
   form##_##kind##_4, form##_##kind##_5, form##_##kind##_6}
#define ENTRY(kind, rows) {TS_##kind, rows, open_##kind, ALL(packed, kind), ALL(opened, kind)}

FORM(packed, Q8_0, 0)
KERNELS(Q4_0)
KERNELS(Q4_1)
KERNELS(Q5_0)
KERNELS(Q5_1)
KERNELS(Q4_K)
KERNELS(Q5_K)
KERNELS(Q6_K)

static const kernels_of KERNEL_TABLE[] = {
    {TS_Q8_0, 6, 0, ALL(packed, Q8_0), {0}},
    ENTRY(Q4_0, 6), ENTRY(Q4_1, 6), ENTRY(Q5_0, 6), ENTRY(Q5_1, 6),
    ENTRY(Q4_K, 6), ENTRY(Q5_K, 6), ENTRY(Q6_K, 4)};

void TS(panel)(const ts_matrix *w, int64_t panel, const ts_activations *a, int64_t first,
               int64_t count, float *y, int64_t y_stride, int accumulate, const uint8_t *next) {
  const uint8_t *data = w->data + panel * w->panel_bytes;
  if (ts_kind_is_float(w->kind)) {
    TS(float_panel)(w, data, a, first, count, y, y_stride, accumulate, next);
    return;
  }
  const kernels_of *k = KERNEL_TABLE;
  while (k->kind != w->kind) k++;
  int64_t tiles = (count + k->rows - 1) / k->rows;
  /* One tile reads the panel once and runs ahead of itself, into the next panel; more tiles fetch
   * the next panel, each its share. */
  prefetch p = {data, data, 0, next, next ? next + w->panel_bytes : next};
  const uint8_t *from = data;
  kernel *const *kernels = k->packed;
  if (tiles == 1) {
    if (AHEAD < w->panel_bytes) {
      p.at = data + AHEAD;
      p.end = data + w->panel_bytes;
      if (next) p.next_end = next + AHEAD;
    }
    p.lines = (ts_layout_of(w->kind).tile + LINE - 1) / LINE + 1;
  } else {
    int64_t steps = tiles * w->blocks, lines = w->panel_bytes / LINE;
    p.lines = (int)((lines + steps - 1) / steps);
  }
  if (k->open && count >= MANY && w->blocks * (int64_t)open_bytes(ts_layout_of(w->kind)) <= OPEN_BYTES) {
    k->open(data, w->blocks, open_panel);
    from = open_panel;
    kernels = k->opened;
  }
  for (int64_t i = 0, t = 0, rows; t < tiles; t++, i += rows) {
    rows = (count - i + tiles - t - 1) / (tiles - t); /* nearly equal parts */
    int64_t at = (first + i) * a->blocks;
    rows_of r = {a->q + at * TS_BLOCK, a->scale + at,    a->total + at, a->sum + at * 2, a->blocks,
                 y + i * y_stride,     y_stride, accumulate};
    kernels[rows - 1](from, &r, &p);
  }
}
