/* Rates of the matrix kernels on one thread, beside the machine's own limits measured in the same
 * run: the multiply-add of bytes and of floats without memory, and reading memory.
 *
 *   gemm_bench [kind ...]      for example: gemm_bench Q4_1 Q8_0
 *
 * One row streams weights that are not in the first caches, as decoding one sequence does (several
 * copies of the matrix, 96 MB together); more rows repeat over the copies likewise. Best of many. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gemm.h"
#include "gemm_tiles.h"

#define DECLARE(isa)                                                                             \
  void ts_quantise_##isa(const float *, int64_t, int32_t, int64_t, int64_t, const ts_activations *); \
  void ts_panel_##isa(const ts_matrix *, int64_t, const ts_activations *, int64_t, int64_t, float *, \
                      int64_t, int, const uint8_t *);
DECLARE(portable)

#if defined(__x86_64__)
#include <immintrin.h>
DECLARE(avx2)
DECLARE(avx512)
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static volatile float sink;

#if defined(__x86_64__)
enum { CHAINS = 12, TURNS = 400000 };

/* 32 products and sums in 16 bits per step: what four- to six-bit kinds are made of. */
__attribute__((target("avx2"))) static double peak_bytes(void) {
  double best = 1e9;
  for (int round = 0; round < 10; round++) {
    __m256i sum[CHAINS], w = _mm256_set1_epi8(3), x = _mm256_set1_epi8(round);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_set1_epi16((short)i);
    double start = now();
    for (int t = 0; t < TURNS; t++) {
#pragma GCC unroll 12
      for (int i = 0; i < CHAINS; i++) {
        __m256i p;
        __asm__ volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"
                         : "+x"(sum[i]), "=&x"(p)
                         : "x"(w), "x"(x));
      }
    }
    double seconds = now() - start;
    best = seconds < best ? seconds : best;
    for (int i = 0; i < CHAINS; i++) sink += (float)_mm256_extract_epi16(sum[i], 0);
  }
  return 64.0 * CHAINS * TURNS / best * 1e-9;
}

__attribute__((target("avx2,fma"))) static double peak_floats(void) {
  double best = 1e9;
  for (int round = 0; round < 10; round++) {
    __m256 sum[CHAINS], w = _mm256_set1_ps(0.5f), x = _mm256_set1_ps(0.25f);
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_set1_ps((float)i);
    double start = now();
    for (int t = 0; t < TURNS; t++) {
#pragma GCC unroll 12
      for (int i = 0; i < CHAINS; i++) {
        __asm__ volatile("vfmadd231ps %2, %1, %0" : "+x"(sum[i]) : "x"(w), "x"(x));
      }
    }
    double seconds = now() - start;
    best = seconds < best ? seconds : best;
    for (int i = 0; i < CHAINS; i++) sink += _mm256_cvtss_f32(sum[i]);
  }
  return 16.0 * CHAINS * TURNS / best * 1e-9;
}

__attribute__((target("avx2"))) static double peak_read(const uint8_t *data, int64_t bytes) {
  double best = 1e9;
  for (int round = 0; round < 6; round++) {
    __m256i sum[4] = {_mm256_setzero_si256()};
    double start = now();
    for (int64_t i = 0; i + 256 <= bytes; i += 256) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; j++) {
        sum[j % 4] = _mm256_xor_si256(sum[j % 4], _mm256_load_si256((const void *)(data + i + j * 32)));
      }
    }
    double seconds = now() - start;
    best = seconds < best ? seconds : best;
    sink += (float)_mm256_extract_epi8(_mm256_or_si256(_mm256_or_si256(sum[0], sum[1]), _mm256_or_si256(sum[2], sum[3])), 0);
  }
  return (double)bytes / best * 1e-9;
}
#endif

typedef struct {
  const char *name;
  int kind;
} kind_name;

static const kind_name KINDS[] = {{"Q4_1", TS_Q4_1}, {"Q8_0", TS_Q8_0}, {"Q4_0", TS_Q4_0},
                                  {"Q5_0", TS_Q5_0}, {"Q5_1", TS_Q5_1}, {"Q4_K", TS_Q4_K},
                                  {"Q5_K", TS_Q5_K}, {"Q6_K", TS_Q6_K}, {"F16", TS_F16},
                                  {"BF16", TS_BF16}, {"F32", TS_F32}};

typedef void panel_function(const ts_matrix *, int64_t, const ts_activations *, int64_t, int64_t,
                            float *, int64_t, int, const uint8_t *);

static const int64_t COPIES_BYTES = 96 << 20;

static void *buffer(int64_t bytes) {
  void *to = aligned_alloc(2 << 20, (size_t)((bytes + (2 << 20)) >> 21 << 21));
  memset(to, 0, (size_t)bytes);
  return to;
}

static void measure(panel_function *panel, const kind_name *kind, int rows, int columns, int count,
                    uint8_t *data, const ts_activations *a, float *y) {
  ts_matrix m = {kind->kind, rows, columns, rows / 32, columns / 32, 0, ts_panel_bytes(kind->kind, columns), data};
  if (m.panel_bytes < 0) return;
  int64_t bytes = m.panel_bytes * m.panels, copies = COPIES_BYTES / bytes;
  if (copies < 1) copies = 1;
  double best = 1e9, total = 0;
  for (int64_t turn = 0; turn < 400 && (turn < copies || total < 0.25); turn++) {
    m.data = data + turn % copies * bytes;
    double start = now();
    for (int64_t p = 0; p < m.panels; p++) {
      panel(&m, p, a, 0, count, y + p * 32, rows, 0, m.data + (p + 1) * m.panel_bytes);
    }
    double seconds = now() - start;
    total += seconds;
    best = seconds < best ? seconds : best;
  }
  printf("  %7.1f", 2.0 * rows * columns * count / best * 1e-9);
  if (count == 1) printf(" (%4.1f GB/s)", (double)bytes / best * 1e-9);
  fflush(stdout);
}

int main(int argc, char **argv) {
  panel_function *panel = ts_panel_portable;
  const char *isa = "portable";
  uint8_t *data = buffer(COPIES_BYTES + (160 << 20));
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) panel = ts_panel_avx2, isa = "avx2";
#ifdef TS_BENCH_AVX512
  if (__builtin_cpu_supports("avx512vnni")) panel = ts_panel_avx512, isa = "avx512";
#endif
  printf("limits: bytes in 16 bits %.0f GOP/s, float FMA %.0f GFLOP/s, read 96 MB %.1f GB/s\n",
         peak_bytes(), peak_floats(), peak_read(data, COPIES_BYTES));
#endif
  enum { MOST = 512, WIDEST = 1536 };
  ts_activations a = {.blocks = WIDEST / 32};
  a.x = buffer(MOST * WIDEST * 4), a.q = buffer(MOST * WIDEST), a.scale = buffer(MOST * WIDEST / 8);
  a.total = buffer(MOST * WIDEST / 8), a.sum = buffer(MOST * WIDEST / 8);
  a.wide = buffer(MOST * WIDEST * 2);
  float *y = buffer((int64_t)MOST * 49152 * 4);
  printf("%s, one thread, GOP/s\n%-5s %-12s  %-20s %9s %9s %9s\n", isa, "kind", "shape", "1 row", "8", "32", "512");
  const int shapes[][2] = {{1536, 576}, {576, 1536}, {49152, 576}, {1536, 768}};
  for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
    int wanted = argc == 1;
    for (int i = 1; i < argc; i++) wanted |= !strcmp(argv[i], KINDS[k].name);
    if (!wanted) continue;
    for (int s = 0; s < 4; s++) {
      int rows = shapes[s][0], columns = shapes[s][1];
      if (ts_panel_bytes(KINDS[k].kind, columns) < 0) continue;
      if (s == 3 && ts_panel_bytes(KINDS[k].kind, 576) > 0) continue;
      a.blocks = columns / 32;
      printf("%-5s %5dx%-6d ", KINDS[k].name, rows, columns);
      for (int c = 0; c < 4; c++) {
        const int counts[] = {1, 8, 32, 512};
        measure(panel, &KINDS[k], rows, columns, counts[c], data, &a, y);
      }
      putchar('\n');
    }
  }
  return 0;
}
