/* The part of a panel product that F32, F16 and BF16 weights take; not for callers of gemm.h. */
#ifndef TESSERA_GEMM_FLOAT_H
#define TESSERA_GEMM_FLOAT_H

#include "gemm.h"

/* As TS(panel), with the panel's bytes. */
void TS(float_panel)(const ts_matrix *w, const uint8_t *data, const ts_activations *a,
                     int64_t first, int64_t count, float *y, int64_t y_stride, int accumulate,
                     const uint8_t *next);

#endif
