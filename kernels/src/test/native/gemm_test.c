/* The matrix kernels against sums in double over a plain reading of the GGUF blocks: every kind,
 * every instruction set that this CPU runs, and AVX-512 by emulation, at awkward shapes.
 *
 * Tolerance: activations are compared in the form the kernels read (scale * q), so only rounding is
 * left. A chain of n fused multiply-adds errs by at most n * 2^-24 of the sum of the magnitudes of
 * its terms; two more roundings are in the scales and one in the accumulation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gemm.h"
#include "gemm_tiles.h"

#define FAIL(...) (printf("FAIL: " __VA_ARGS__), putchar('\n'), exit(1))

typedef struct {
  const char *name;
  int (*supported)(void);
  void (*quantise)(const float *, int64_t, int32_t, int64_t, int64_t, const ts_activations *);
  void (*panel)(const ts_matrix *, int64_t, const ts_activations *, int64_t, int64_t, float *,
                int64_t, int, const uint8_t *);
} isa;

#define DECLARE(i)                                                                              \
  void ts_quantise_##i(const float *, int64_t, int32_t, int64_t, int64_t, const ts_activations *); \
  void ts_panel_##i(const ts_matrix *, int64_t, const ts_activations *, int64_t, int64_t, float *, \
                    int64_t, int, const uint8_t *);
#define ISA(i, supported) {#i, supported, ts_quantise_##i, ts_panel_##i}

static int always(void) { return 1; }
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

#if defined(BARE) /* an emulated CPU, where time counts */
enum { IS_QUICK = 1 };
static const isa ISAS[] = {ISA(avx2, always), ISA(avx512, always)};
#else
enum { IS_QUICK = 0 };
DECLARE(portable)
DECLARE(emulated)
#if defined(__x86_64__)
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static int has_avx512(void) { return __builtin_cpu_supports("avx512vnni"); }
static const isa ISAS[] = {ISA(portable, always), ISA(emulated, always), ISA(avx2, has_avx2),
                           ISA(avx512, has_avx512)};
#else
static const isa ISAS[] = {ISA(portable, always), ISA(emulated, always)};
#endif
#endif
enum { ISA_COUNT = sizeof ISAS / sizeof *ISAS };

typedef struct {
  int kind;
  const char *name;
  int elements, bytes; /* of a block */
} kind_info;

static const kind_info KINDS[] = {
    {TS_F32, "F32", 1, 4},      {TS_F16, "F16", 1, 2},      {TS_BF16, "BF16", 1, 2},
    {TS_Q8_0, "Q8_0", 32, 34},  {TS_Q4_0, "Q4_0", 32, 18},  {TS_Q4_1, "Q4_1", 32, 20},
    {TS_Q5_0, "Q5_0", 32, 22},  {TS_Q5_1, "Q5_1", 32, 24},  {TS_Q4_K, "Q4_K", 256, 144},
    {TS_Q5_K, "Q5_K", 256, 176}, {TS_Q6_K, "Q6_K", 256, 210}};
enum { KIND_COUNT = sizeof KINDS / sizeof *KINDS };

static uint64_t state = 42;
static uint32_t next_random(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(state >> 33);
}
static float uniform(void) { return (float)next_random() / 0x1p30f - 1; } /* [-1, 1) */

static double half_value(const uint8_t *at) {
  int bits = at[0] | at[1] << 8, exponent = bits >> 10 & 31, fraction = bits & 1023;
  double value = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -value : value;
}

/* A weight as factor * code + offset, so that the magnitudes of both terms are known. */
typedef struct {
  double scaled, offset;
} weight;

static weight block_weight(int kind, const uint8_t *b, int i) {
  int part = i / 32, k = i % 32, shift = k < 16 ? 0 : 4;
  switch (kind) {
    case TS_F32: {
      float value;
      memcpy(&value, b, 4);
      return (weight){value, 0};
    }
    case TS_F16: return (weight){half_value(b), 0};
    case TS_BF16: {
      uint32_t bits = (uint32_t)(b[0] | b[1] << 8) << 16;
      float value;
      memcpy(&value, &bits, 4);
      return (weight){value, 0};
    }
    case TS_Q8_0: return (weight){half_value(b) * (int8_t)b[2 + k], 0};
    case TS_Q4_0: return (weight){half_value(b) * ((b[2 + k % 16] >> shift & 15) - 8), 0};
    case TS_Q4_1: return (weight){half_value(b) * (b[4 + k % 16] >> shift & 15), half_value(b + 2)};
    case TS_Q5_0: {
      int high = b[2 + k / 8] >> k % 8 & 1;
      return (weight){half_value(b) * ((b[6 + k % 16] >> shift & 15) + 16 * high - 16), 0};
    }
    case TS_Q5_1: {
      int high = b[4 + k / 8] >> k % 8 & 1;
      return (weight){half_value(b) * ((b[8 + k % 16] >> shift & 15) + 16 * high),
                      half_value(b + 2)};
    }
    case TS_Q4_K:
    case TS_Q5_K: {
      const uint8_t *s = b + 4;
      int scale = part < 4 ? s[part] & 63 : (s[part + 4] & 15) + (s[part - 4] >> 6) * 16;
      int minimum = part < 4 ? s[part + 4] & 63 : (s[part + 4] >> 4) + (s[part] >> 6) * 16;
      const uint8_t *low = kind == TS_Q4_K ? b + 16 : b + 48;
      int code = low[part / 2 * 32 + k] >> (part % 2 ? 4 : 0) & 15;
      if (kind == TS_Q5_K) code += (b[16 + k] >> part & 1) * 16;
      return (weight){half_value(b) * scale * code, -half_value(b + 2) * minimum};
    }
    case TS_Q6_K: {
      int of_128 = i % 128, low = b[i / 128 * 64 + of_128 % 64];
      int high = b[128 + i / 128 * 32 + of_128 % 32];
      int code = (of_128 < 64 ? low & 15 : low >> 4) + (high >> of_128 / 32 * 2 & 3) * 16 - 32;
      return (weight){half_value(b + 208) * (int8_t)b[192 + i / 16] * code, 0};
    }
  }
  abort();
}

static weight weight_at(const kind_info *kind, const uint8_t *tensor, int columns, int row, int k) {
  const uint8_t *start = tensor + (int64_t)row * (columns / kind->elements) * kind->bytes;
  return block_weight(kind->kind, start + k / kind->elements * kind->bytes, k % kind->elements);
}

static void put_half(uint8_t *at, int sign_too) {
  int exponent = (int)(next_random() % 12) + 6; /* 2^-9 .. 2^2 */
  if (next_random() % 16 == 0) exponent = 0;    /* subnormal */
  int bits = exponent << 10 | (int)(next_random() & 1023);
  if (sign_too && next_random() % 2) bits |= 0x8000;
  at[0] = (uint8_t)bits;
  at[1] = (uint8_t)(bits >> 8);
}

/* Any bytes are codes; the halves must be finite. */
static uint8_t *random_tensor(const kind_info *kind, int rows, int columns) {
  int64_t blocks = (int64_t)rows * columns / kind->elements;
  uint8_t *tensor = malloc((size_t)(blocks * kind->bytes));
  for (int64_t b = 0; b < blocks; b++) {
    uint8_t *block = tensor + b * kind->bytes;
    if (kind->kind == TS_F32 || kind->kind == TS_BF16) {
      float value = uniform();
      memcpy(block, (char *)&value + (4 - kind->bytes), (size_t)kind->bytes);
      continue;
    }
    int extreme = next_random() % 16 == 0; /* all bits set: the largest codes */
    for (int i = 0; i < kind->bytes; i++) block[i] = extreme ? 0xff : (uint8_t)next_random();
    if (kind->kind == TS_Q8_0 && extreme) memset(block, 0x80, 34); /* the code -128 */
    put_half(kind->kind == TS_Q6_K ? block + 208 : block, 1);
    if (kind->kind == TS_Q4_1 || kind->kind == TS_Q5_1 || kind->bytes == 144 || kind->bytes == 176) {
      put_half(block + 2, 1);
    }
  }
  return tensor;
}

static void *aligned_zeros(int64_t bytes) {
  void *to = aligned_alloc(64, (size_t)((bytes + 127) / 64 * 64));
  memset(to, 0, (size_t)((bytes + 127) / 64 * 64));
  return to;
}

static ts_activations new_activations(int rows, int64_t blocks) {
  return (ts_activations){.blocks = blocks,
                          .x = aligned_zeros(rows * blocks * 128),
                          .q = aligned_zeros(rows * blocks * 32),
                          .scale = aligned_zeros(rows * blocks * 4),
                          .total = aligned_zeros(rows * blocks * 4),
                          .sum = aligned_zeros(rows * blocks * 4),
                          .wide = next_random() % 2 ? aligned_zeros(rows * blocks * 64) : 0};
}

static void free_activations(ts_activations a) {
  free(a.x), free(a.q), free(a.scale), free(a.total), free(a.sum), free(a.wide);
}

static int same(const void *a, const void *b, int64_t bytes) { return !memcmp(a, b, (size_t)bytes); }

static void check_quantised(const char *name, const float *x, int columns, int rows,
                            const ts_activations *a) {
  for (int i = 0; i < rows; i++) {
    for (int k = 0; k < a->blocks * 32; k++) {
      double value = k < columns ? x[(int64_t)i * columns + k] : 0;
      float scale = a->scale[i * a->blocks + k / 32];
      double error = fabs(value - (double)scale * a->q[i * a->blocks * 32 + k]);
      if (!(error <= scale * 0.5001)) FAIL("%s: x[%d][%d] errs by %g of scale", name, i, k, error / scale);
    }
  }
}

static void check_product(const kind_info *kind, const uint8_t *tensor, int rows, int columns,
                          int count, const ts_activations *a, const float *y, int64_t stride,
                          const float *old, const char *name) {
  for (int i = 0; i < count; i++) {
    for (int r = 0; r < rows; r++) {
      double sum = old ? old[i * stride + r] : 0, magnitude = fabs(sum);
      for (int k = 0; k < columns; k++) {
        int64_t at = i * a->blocks * 32 + k;
        double x = kind->elements == 1 ? a->x[at] : (double)a->scale[at / 32] * a->q[at];
        weight w = weight_at(kind, tensor, columns, r, k);
        sum += (w.scaled + w.offset) * x;
        magnitude += (fabs(w.scaled) + fabs(w.offset)) * fabs(x);
      }
      int64_t chain = kind->elements == 1 ? columns : 2 * a->blocks;
      double error = fabs(y[i * stride + r] - sum);
      if (!(error <= magnitude * (double)(chain + 3) * 0x1p-24)) {
        FAIL("%s %s %dx%d: y[%d][%d] is %g, expected %g", name, kind->name, rows, columns, i, r,
             y[i * stride + r], sum);
      }
    }
  }
}

static void check_unpacked(const kind_info *kind, const ts_matrix *m, const uint8_t *tensor) {
  float *row = malloc((size_t)m->columns * 4);
  for (int r = 0; r < m->rows; r++) {
    ts_unpack_row(m, r, row);
    for (int k = 0; k < m->columns; k++) {
      weight w = weight_at(kind, tensor, m->columns, r, k);
      /* The two terms are exact or rounded once, their sum once more. */
      double bound = (fabs(w.scaled) + fabs(w.offset)) * 0x1p-23;
      if (!(fabs(row[k] - (w.scaled + w.offset)) <= bound)) {
        FAIL("%s: unpacked [%d][%d] is %g, expected %g", kind->name, r, k, row[k],
             w.scaled + w.offset);
      }
    }
  }
  free(row);
}

static void check_matrix(const kind_info *kind, int rows, int columns, int count) {
  uint8_t *tensor = random_tensor(kind, rows, columns);
  int panels = (rows + 31) / 32, blocks = (columns + 31) / 32;
  ts_matrix m = {kind->kind, rows, columns, panels, blocks, 0, ts_panel_bytes(kind->kind, columns), 0};
  m.data = aligned_zeros(m.panel_bytes * panels);
  ts_pack(&m, tensor, rows, 0, 1);
  check_unpacked(kind, &m, tensor);

  float *x = malloc((size_t)count * (size_t)columns * 4);
  for (int i = 0; i < count * columns; i++) x[i] = uniform() * (i / 32 % 5 == 0 ? 30 : 1);
  if (columns > 64) memset(x + 32, 0, 128); /* a block of zeros */

  int64_t stride = panels * 32 + 5;
  int64_t bytes = count * stride * 4;
  ts_activations expected_a = new_activations(count, blocks);
  float *expected = aligned_zeros(bytes), *y = aligned_zeros(bytes), *alone = aligned_zeros(bytes);
  float *old = aligned_zeros(bytes), *sum = aligned_zeros(bytes);
  for (int i = 0; i < count * stride; i++) old[i] = uniform();

  for (int s = 0; s < ISA_COUNT; s++) {
    const isa *isa = &ISAS[s];
    if (!isa->supported()) continue;
    ts_activations a = s == 0 ? expected_a : new_activations(count, blocks);
    for (int i = 0; i < count; i++) isa->quantise(x + (int64_t)i * columns, columns, kind->kind, i, 0, &a);
    memcpy(sum, old, (size_t)bytes);
    for (int p = 0; p < panels; p++) {
      const uint8_t *next = p + 1 < panels ? m.data + (p + 1) * m.panel_bytes : 0;
      isa->panel(&m, p, &a, 0, count, y + p * 32, stride, 0, next);
      isa->panel(&m, p, &a, 0, count, sum + p * 32, stride, 1, next);
      for (int i = 0; i < count; i++) {
        isa->panel(&m, p, &a, i, 1, alone + i * stride + p * 32, stride, 0, next);
      }
    }
    if (s == 0) {
      if (kind->elements > 1) check_quantised(isa->name, x, columns, count, &a);
      check_product(kind, tensor, rows, columns, count, &a, y, stride, 0, isa->name);
      check_product(kind, tensor, rows, columns, count, &a, sum, stride, old, isa->name);
      memcpy(expected, y, (size_t)bytes);
    }
    const char *what = "portable code";
    if (kind->elements > 1 &&
        !(same(a.q, expected_a.q, count * blocks * 32) &&
          same(a.scale, expected_a.scale, count * blocks * 4) &&
          same(a.total, expected_a.total, count * blocks * 4) &&
          same(a.sum, expected_a.sum, count * blocks * 4))) {
      FAIL("%s quantises activations otherwise than %s", isa->name, what);
    }
    for (int i = 0; i < count; i++) {
      for (int r = 0; r < rows; r++) {
        int64_t at = i * stride + r;
        if (!same(y + at, expected + at, 4)) {
          FAIL("%s %s %dx%d, %d rows: y[%d][%d] is %.9g, by %s %.9g", isa->name, kind->name, rows,
               columns, count, i, r, y[at], what, expected[at]);
        }
        float added = expected[at] + old[at];
        if (!same(sum + at, &added, 4)) FAIL("%s %s accumulates wrongly", isa->name, kind->name);
        if (!same(alone + at, y + at, 4)) {
          FAIL("%s %s %dx%d: y[%d][%d] depends on the rows beside it", isa->name, kind->name, rows,
               columns, i, r);
        }
      }
      for (int64_t r = panels * 32; r < stride; r++) {
        if (y[i * stride + r] != 0) FAIL("%s %s writes beyond its panel", isa->name, kind->name);
      }
    }
    if (s > 0) free_activations(a);
  }
  free_activations(expected_a);
  free((void *)m.data), free(tensor), free(x), free(y), free(expected), free(alone), free(old), free(sum);
}

/* An infinity or a NaN must reach every output; what is too small for a scale counts as zero. */
static void check_nonfinite(const kind_info *kind) {
  enum { COLUMNS = 256 };
  uint8_t *tensor = random_tensor(kind, 32, COLUMNS);
  ts_matrix m = {kind->kind, 32, COLUMNS, 1, 8, 0, ts_panel_bytes(kind->kind, COLUMNS), 0};
  m.data = aligned_zeros(m.panel_bytes);
  ts_pack(&m, tensor, 32, 0, 1);
  const float odd[] = {NAN, INFINITY, -INFINITY, 0x1p-149f, 0x1p-125f, 3.4e38f};
  for (int s = 0; s < ISA_COUNT; s++) {
    if (!ISAS[s].supported()) continue;
    for (int c = 0; c < 6; c++) {
      ts_activations a = new_activations(1, 8);
      float x[COLUMNS], y[32];
      for (int k = 0; k < COLUMNS; k++) x[k] = c < 3 ? uniform() : 0;
      x[77] = odd[c];
      ISAS[s].quantise(x, COLUMNS, kind->kind, 0, 0, &a);
      ISAS[s].panel(&m, 0, &a, 0, 1, y, 32, 0, 0);
      for (int r = 0; r < 32; r++) {
        if (c < 3 && isfinite(y[r])) FAIL("%s %s hides %g", ISAS[s].name, kind->name, odd[c]);
        if ((c == 3 || c == 4) && fabsf(y[r]) > 0x1p-100f) {
          FAIL("%s %s makes %g of %g", ISAS[s].name, kind->name, y[r], odd[c]);
        }
      }
      free_activations(a);
    }
  }
  free((void *)m.data), free(tensor);
}

/* Two matrices interleaved panel by panel are the two matrices. */
static void check_interleaved(const kind_info *kind) {
  enum { ROWS = 70, COLUMNS = 256 };
  uint8_t *tensor[2];
  ts_matrix both = {kind->kind, 6 * 32, COLUMNS, 6, 8, 0, ts_panel_bytes(kind->kind, COLUMNS), 0};
  both.data = aligned_zeros(both.panel_bytes * 6);
  for (int t = 0; t < 2; t++) {
    tensor[t] = random_tensor(kind, ROWS, COLUMNS);
    ts_pack(&both, tensor[t], ROWS, t, 2);
  }
  float row[COLUMNS];
  for (int t = 0; t < 2; t++) {
    for (int r = 0; r < ROWS; r++) {
      ts_unpack_row(&both, (r / 32 * 2 + t) * 32 + r % 32, row);
      weight w = weight_at(kind, tensor[t], COLUMNS, r, 99);
      if (!(fabs(row[99] - (w.scaled + w.offset)) <= (fabs(w.scaled) + fabs(w.offset)) * 0x1p-23)) {
        FAIL("%s: interleaved row %d of matrix %d", kind->name, r, t);
      }
    }
    free(tensor[t]);
  }
  free((void *)both.data);
}

int main(void) {
  for (int s = 0; s < ISA_COUNT; s++) {
    printf("%s%s", s ? ", " : "", ISAS[s].name);
    if (!ISAS[s].supported()) printf(" (not run: this CPU lacks it)");
  }
  putchar('\n');
  const int rows[] = {1, 31, 32, 33, 100};
  for (int k = 0; k < KIND_COUNT; k++) {
    const kind_info *kind = &KINDS[k];
    for (int r = 0; r < 5; r++) {
      const int any[] = {1, 2, 31, 33, 100}, by_32[] = {32, 64, 96, 320, 576};
      int columns = kind->elements == 1 ? any[r] : kind->elements == 32 ? by_32[r] : 256 * (r % 3 + 1);
      check_matrix(kind, rows[r], columns, 1 + (int)(next_random() % 40));
    }
    if (!IS_QUICK && kind->elements > 1) check_matrix(kind, 40, 20480, 9); /* a panel that no scratch holds */
    for (int count = 1; count <= 40; count += IS_QUICK ? 5 : 1) {
      check_matrix(kind, 32, kind->elements == 1 ? 45 : 256, count);
    }
    check_nonfinite(kind);
    check_interleaved(kind);
    printf("%s ok\n", kind->name);
  }
  return 0;
}
