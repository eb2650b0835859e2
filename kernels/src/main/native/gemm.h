/* Matrix products with packed weights: the contract between packing, kernels and the decoder.
 *
 * A weight matrix y = W x is cut into panels of 32 outputs, each panel into tiles of 32 outputs x 32
 * inputs, stored one behind the other along the inputs: a thread that owns a panel reads one stream.
 * Rows and columns are padded to 32 with zeros. Activations are quantised per row and 32 inputs.
 *
 * The result for one row of activations never depends on the rows beside it, nor on the instruction
 * set: every variant of a kernel adds the same terms in the same order. With the integer dot product
 * I of a tile's row and a block of activations (always below 2^24, so exact as a float), the order is
 *
 *   for each block:  y = fma(d * scale, I, y)              d: the weights' scale
 *                    y = fma(minimum, total, y)            kinds with minima only
 *
 * and y = fma(w, x, y) input by input for F32, F16 and BF16. `accumulate` adds the old y at the end.
 *
 * Every function exists once per instruction set; TS(name) is its name in this translation unit. */
#ifndef TESSERA_GEMM_H
#define TESSERA_GEMM_H

#include <stdint.h>

#ifndef TS_ISA
#define TS_ISA portable
#endif
#define TS_JOIN2(name, isa) name##_##isa
#define TS_JOIN(name, isa) TS_JOIN2(name, isa)
#define TS(name) TS_JOIN(ts_##name, TS_ISA)

enum { TS_PANEL = 32, TS_BLOCK = 32 };

/* A packed matrix. `kind` is a TensorType's GGML number: the tile layout follows from it. */
typedef struct {
  int32_t kind;
  int32_t rows;        /* outputs, before padding */
  int32_t columns;     /* inputs, before padding */
  int32_t panels;      /* ceil(rows / 32) */
  int32_t blocks;      /* ceil(columns / 32) */
  int32_t reserved;
  int64_t panel_bytes; /* bytes of a panel: a multiple of 64 */
  const uint8_t *data; /* [panels][panel_bytes], 64-byte aligned */
} ts_matrix;

/* Rows of activations, in every form that some kind of weight reads.
 * `x` is needed by F32, F16 and BF16 weights only, the others by quantised weights only. */
typedef struct {
  int64_t blocks; /* ceil(columns / 32) */
  float *x;       /* [rows][blocks * 32], zero in the padding */
  int8_t *q;      /* [rows][blocks * 32] */
  float *scale;   /* [rows][blocks]: x ~ scale * q */
  float *total;   /* [rows][blocks]: scale * (sum of the block's q), the factor of a minimum */
  int16_t *sum;   /* [rows][blocks * 2]: sums of q over each 16 inputs, the factor of a zero point */
  int16_t *wide;  /* null, or [rows][blocks * 32]: q as the AVX2 kernels of 8-bit weights read it,
                     which otherwise widen it for each panel anew; other kernels leave it alone */
} ts_activations;

/* Whether weights of this kind read `x` rather than the quantised form. */
int ts_kind_is_float(int32_t kind);

/* Whether some kernel of this kind reads `wide`. */
int ts_kind_is_wide(int32_t kind);

/* Bytes of a packed panel, or -1 for an unknown kind or columns that are no whole number of the
 * kind's blocks. */
int64_t ts_panel_bytes(int32_t kind, int64_t columns);

/* Packs rows of a GGUF tensor into panels of `matrix`. The source's row r becomes output r % 32 of
 * panel `first_panel + r / 32 * panel_stride`: with stride 2, source panels land in every second
 * panel, which is how gate and up are interleaved. Outputs that no call fills must have been
 * zeroed. Calls that fill different panels may run at the same time. */
void ts_pack(ts_matrix *matrix, const uint8_t *source, int64_t source_rows, int64_t first_panel,
             int64_t panel_stride);

/* One row of a packed matrix as floats: the token embedding. `out` has `columns` floats. */
void ts_unpack_row(const ts_matrix *matrix, int64_t row, float *out);

/* Fills row `row` of `a` from input 32 * first_block on with `columns` floats, in the form that
 * weights of `kind` read; a last part of a block is padded with zeros. A block with an infinity or
 * a NaN gets the scale NaN, and so does every output that reads it. */
void TS(quantise)(const float *x, int64_t columns, int32_t kind, int64_t row, int64_t first_block,
                  const ts_activations *a);

/* y[i * y_stride + 0..32) (+)= the panel's outputs for activation rows first .. first + count.
 * `next` is the panel that this thread computes next, or null: it is prefetched meanwhile. */
void TS(panel)(const ts_matrix *w, int64_t panel, const ts_activations *a, int64_t first,
               int64_t count, float *y, int64_t y_stride, int accumulate, const uint8_t *next);

#endif
