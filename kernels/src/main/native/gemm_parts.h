/* What the files of one instruction set share; not for callers of gemm.h. */
#ifndef TESSERA_GEMM_PARTS_H
#define TESSERA_GEMM_PARTS_H

#include "gemm.h"

/* Kernels are written once for any number of rows; each copy with a constant is straight code. */
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* As TS(panel), for F32, F16 and BF16 weights, with the panel's bytes. */
void TS(float_panel)(const ts_matrix *w, const uint8_t *data, const ts_activations *a,
                     int64_t first, int64_t count, float *y, int64_t y_stride, int accumulate,
                     const uint8_t *next);

/* Activations as int16, inputs 4j .. 4j + 3 in the order 0 2 1 3: the order in which bytes widen
 * when the even and odd bytes of 16-bit lanes are taken apart. AVX2 only. */
void TS(widen)(const int8_t *q, int64_t inputs, int16_t *to);

#endif
