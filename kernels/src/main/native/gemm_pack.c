/* From GGUF's rows of blocks to panels of tiles, and back for the embedding. Scalar code, run once
 * per weight at load and once per token: the layout is for the kernels, see gemm_tiles.h. */
#include <string.h>

#include "gemm_parts.h"
#include "gemm_tiles.h"

/* GGUF blocks that share scales have 32 weights, or 256 in the K-quants. */
enum { Q_BLOCK = 32, K_BLOCK = 256, K_SCALES = 12 };

int ts_kind_is_float(int32_t kind) {
  return ts_layout_of(kind).bits == 0;
}

int ts_kind_is_wide(int32_t kind) {
  return kind == TS_Q8_0;
}

INLINE int64_t file_row_bytes(int kind, int64_t columns) {
  switch (kind) {
    case TS_F32: return columns * 4;
    case TS_F16:
    case TS_BF16: return columns * 2;
    case TS_Q4_0: return columns / Q_BLOCK * 18;
    case TS_Q4_1: return columns / Q_BLOCK * 20;
    case TS_Q5_0: return columns / Q_BLOCK * 22;
    case TS_Q5_1: return columns / Q_BLOCK * 24;
    case TS_Q8_0: return columns / Q_BLOCK * 34;
    case TS_Q4_K: return columns / K_BLOCK * 144;
    case TS_Q5_K: return columns / K_BLOCK * 176;
    case TS_Q6_K: return columns / K_BLOCK * 210;
    default: return -1;
  }
}

int64_t ts_panel_bytes(int32_t kind, int64_t columns) {
  ts_layout layout = ts_layout_of(kind);
  int64_t multiple = layout.header ? K_BLOCK : layout.bits ? Q_BLOCK : 1;
  if (layout.bits < 0 || columns <= 0 || columns % multiple != 0) return -1;
  int64_t blocks = (columns + TS_BLOCK - 1) / TS_BLOCK;
  return blocks * layout.tile + (layout.header ? blocks / TS_SUPER * layout.header : 0);
}

/* One output's part of one tile: the codes of four inputs to a word, the first in its lowest byte. */
typedef struct {
  uint32_t code[TS_BLOCK / 4];
  ts_half scale, minimum; /* kinds without a header */
  uint8_t factor[2];      /* kinds with one: the scale, and the minimum or the second half's scale */
} tile_row;

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF blocks are read as they lie");

enum { NIBBLES = 0x0f0f0f0f, PAIRS = 0x03030303, BITS = 0x01010101 };

INLINE uint32_t word_at(const uint8_t *bytes) {
  uint32_t word;
  memcpy(&word, bytes, 4);
  return word;
}

/* The lowest four bits, one to each byte. */
INLINE uint32_t spread(uint32_t bits) {
  return (bits & 15) * 0x00204081u & BITS;
}

INLINE void put(uint8_t *tile, const ts_layout layout, int row, const tile_row *from) {
  uint8_t *at = tile + 4 * row;
  const uint32_t *code = from->code;
  if (layout.bits == 8) {
    for (int j = 0; j < 8; j++) memcpy(at + j * 128, &code[j], 4);
  } else {
    uint32_t fifth = 0, two[2] = {0, 0};
    for (int j = 0; j < 4; j++) {
      uint32_t low = (code[j] & NIBBLES) | (code[j + 4] & NIBBLES) << 4;
      memcpy(at + j * 128, &low, 4);
      fifth |= (code[j] >> 4 & BITS) << j | (code[j + 4] >> 4 & BITS) << (j + 4);
      two[0] |= (code[j] >> 4 & PAIRS) << 2 * j;
      two[1] |= (code[j + 4] >> 4 & PAIRS) << 2 * j;
    }
    if (layout.bits == 5) memcpy(at + layout.high, &fifth, 4);
    if (layout.bits == 6) {
      memcpy(at + layout.high, &two[0], 4);
      memcpy(at + layout.high + 128, &two[1], 4);
    }
  }
  if (layout.header) {
    tile[layout.scale + row] = from->factor[0];
    tile[(layout.minimum < 0 ? layout.scale + 32 : layout.minimum) + row] = from->factor[1];
  } else {
    memcpy(tile + layout.scale + 2 * row, &from->scale, 2);
    if (layout.minimum >= 0) memcpy(tile + layout.minimum + 2 * row, &from->minimum, 2);
  }
}

static int code_at(const uint8_t *tile, ts_layout layout, int row, int k) {
  int group = k / 4, at = 4 * row + k % 4;
  if (layout.bits == 8) return tile[group * 128 + at];
  int code = tile[group % 4 * 128 + at] >> (group / 4 * 4) & 15;
  if (layout.bits == 5) code |= (tile[layout.high + at] >> group & 1) << 4;
  if (layout.bits == 6) {
    code |= (tile[layout.high + group / 4 * 128 + at] >> (group % 4 * 2) & 3) << 4;
  }
  return code;
}

/* Q4_0 .. Q8_0: one block of the file is one row of a tile. */
INLINE void read_block(const int kind, const uint8_t *block, tile_row *row) {
  memcpy(&row->scale, block, 2);
  block += 2;
  if (kind == TS_Q8_0) {
    for (int j = 0; j < 8; j++) row->code[j] = word_at(block + 4 * j) ^ 0x80808080u; /* w + 128 */
    return;
  }
  if (kind == TS_Q4_1 || kind == TS_Q5_1) {
    memcpy(&row->minimum, block, 2);
    block += 2;
  }
  uint32_t high = 0;
  if (kind == TS_Q5_0 || kind == TS_Q5_1) {
    high = word_at(block);
    block += 4;
  }
  for (int j = 0; j < 4; j++) {
    uint32_t both = word_at(block + 4 * j);
    row->code[j] = (both & NIBBLES) | spread(high >> 4 * j) << 4;
    row->code[j + 4] = (both >> 4 & NIBBLES) | spread(high >> (4 * j + 16)) << 4;
  }
}

/* Tile `part` (0..7) of a Q4_K or Q5_K block. */
INLINE void read_k45(const int kind, const uint8_t *block, int part, tile_row *row) {
  const uint8_t *packed = block + 4, *high = packed + K_SCALES;
  const uint8_t *low = (kind == TS_Q5_K ? high + 32 : high) + part / 2 * 32;
  if (part < 4) {
    row->factor[0] = packed[part] & 63;
    row->factor[1] = packed[part + 4] & 63;
  } else {
    row->factor[0] = (uint8_t)((packed[part + 4] & 15) | packed[part - 4] >> 6 << 4);
    row->factor[1] = (uint8_t)(packed[part + 4] >> 4 | packed[part] >> 6 << 4);
  }
  for (int j = 0; j < 8; j++) {
    row->code[j] = word_at(low + 4 * j) >> (part % 2 * 4) & NIBBLES;
    if (kind == TS_Q5_K) row->code[j] |= (word_at(high + 4 * j) >> part & BITS) << 4;
  }
}

/* Tile `part` (0..7) of a Q6_K block: 128 weights interleave their nibbles and bit pairs. */
INLINE void read_k6(const uint8_t *block, int part, tile_row *row) {
  int half = part / 4, quarter = part % 4;
  const uint8_t *low = block + half * 64 + quarter % 2 * 32;
  const uint8_t *high = block + 128 + half * 32;
  for (int j = 0; j < 8; j++) {
    uint32_t nibbles = word_at(low + 4 * j) >> (quarter / 2 * 4) & NIBBLES;
    row->code[j] = nibbles | (word_at(high + 4 * j) >> (quarter * 2) & PAIRS) << 4;
  }
  memcpy(row->factor, block + 192 + part * 2, 2);
}

INLINE void pack_quantised(const int kind, uint8_t *panel, int64_t blocks, const uint8_t *source,
                           int row) {
  const ts_layout layout = ts_layout_of(kind);
  const int64_t block_bytes = file_row_bytes(kind, layout.header ? K_BLOCK : Q_BLOCK);
  for (int64_t b = 0; b < blocks; b++) {
    tile_row r = {0};
    if (layout.header) {
      const uint8_t *block = source + b / TS_SUPER * block_bytes;
      int part = (int)(b % TS_SUPER);
      if (part == 0) {
        uint8_t *header = panel + ts_header_offset(layout, b) + 2 * row;
        memcpy(header, kind == TS_Q6_K ? block + 208 : block, 2);
        if (layout.minimum >= 0) memcpy(header + 64, block + 2, 2);
      }
      if (kind == TS_Q6_K) {
        read_k6(block, part, &r);
      } else {
        read_k45(kind, block, part, &r);
      }
    } else {
      read_block(kind, source + b * block_bytes, &r);
    }
    put(panel + ts_tile_offset(layout, b), layout, row, &r);
  }
}

static void pack_quantised_row(int kind, uint8_t *panel, int64_t blocks, const uint8_t *source,
                               int row) {
  switch (kind) {
    case TS_Q4_0: pack_quantised(TS_Q4_0, panel, blocks, source, row); break;
    case TS_Q4_1: pack_quantised(TS_Q4_1, panel, blocks, source, row); break;
    case TS_Q5_0: pack_quantised(TS_Q5_0, panel, blocks, source, row); break;
    case TS_Q5_1: pack_quantised(TS_Q5_1, panel, blocks, source, row); break;
    case TS_Q8_0: pack_quantised(TS_Q8_0, panel, blocks, source, row); break;
    case TS_Q4_K: pack_quantised(TS_Q4_K, panel, blocks, source, row); break;
    case TS_Q5_K: pack_quantised(TS_Q5_K, panel, blocks, source, row); break;
    case TS_Q6_K: pack_quantised(TS_Q6_K, panel, blocks, source, row); break;
  }
}

/* Sixteen inputs of all rows at a time, so that the lines written stay in the cache. */
INLINE void pack_floats(const int64_t width, uint8_t *panel, int64_t columns, const uint8_t *source,
                        int64_t rows) {
  for (int64_t from = 0; from < columns; from += 16) {
    int64_t to = from + 16 < columns ? from + 16 : columns;
    for (int64_t row = 0; row < rows; row++) {
      for (int64_t k = from; k < to; k++) {
        memcpy(panel + (k * TS_PANEL + row) * width, source + (row * columns + k) * width, width);
      }
    }
  }
}

void ts_pack(ts_matrix *matrix, const uint8_t *source, int64_t source_rows, int64_t first_panel,
             int64_t panel_stride) {
  int kind = matrix->kind;
  int64_t row_bytes = file_row_bytes(kind, matrix->columns), panel_index = first_panel;
  for (int64_t first = 0; first < source_rows; first += TS_PANEL, panel_index += panel_stride) {
    uint8_t *panel = (uint8_t *)matrix->data + panel_index * matrix->panel_bytes;
    int64_t rows = source_rows - first < TS_PANEL ? source_rows - first : TS_PANEL;
    const uint8_t *from = source + first * row_bytes;
    if (kind == TS_F32) {
      pack_floats(4, panel, matrix->columns, from, rows);
    } else if (ts_kind_is_float(kind)) {
      pack_floats(2, panel, matrix->columns, from, rows);
    } else {
      for (int row = 0; row < rows; row++) {
        pack_quantised_row(kind, panel, matrix->blocks, from + row * row_bytes, row);
      }
    }
  }
}

static void unpack_float_row(const ts_matrix *matrix, const uint8_t *panel, int row, float *out) {
  for (int64_t k = 0; k < matrix->columns; k++) {
    int64_t at = k * TS_PANEL + row;
    if (matrix->kind == TS_F32) {
      memcpy(out + k, panel + at * 4, 4);
    } else {
      uint16_t value;
      memcpy(&value, panel + at * 2, 2);
      uint32_t wide = (uint32_t)value << 16;
      if (matrix->kind == TS_BF16) {
        memcpy(out + k, &wide, 4);
      } else {
        out[k] = ts_half_to_float(value);
      }
    }
  }
}

static float half_at(const uint8_t *halves, int row) {
  ts_half half;
  memcpy(&half, halves + 2 * row, 2);
  return ts_half_to_float(half);
}

void ts_unpack_row(const ts_matrix *matrix, int64_t row_index, float *out) {
  ts_layout layout = ts_layout_of(matrix->kind);
  const uint8_t *panel = matrix->data + row_index / TS_PANEL * matrix->panel_bytes;
  int row = (int)(row_index % TS_PANEL);
  if (layout.bits == 0) {
    unpack_float_row(matrix, panel, row, out);
    return;
  }
  for (int64_t b = 0; b < matrix->blocks; b++, out += TS_BLOCK) {
    const uint8_t *tile = panel + ts_tile_offset(layout, b);
    float scale[2], minimum = 0;
    if (layout.header) {
      const uint8_t *header = panel + ts_header_offset(layout, b);
      float d = half_at(header, row);
      int second = layout.minimum < 0 ? 32 : 0; /* each 16 inputs have their scale */
      for (int half = 0; half < 2; half++) {
        scale[half] = d * (int8_t)tile[layout.scale + row + half * second];
      }
      if (layout.minimum >= 0) minimum = -(half_at(header + 64, row) * tile[layout.minimum + row]);
    } else {
      scale[0] = scale[1] = half_at(tile + layout.scale, row);
      if (layout.minimum >= 0) minimum = half_at(tile + layout.minimum, row);
    }
    for (int k = 0; k < TS_BLOCK; k++) {
      out[k] = scale[k / 16] * (float)(code_at(tile, layout, row, k) - layout.zero) + minimum;
    }
  }
}
