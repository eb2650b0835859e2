package dev.tessera.kernels.vector;

import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.QuantisedRow;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/// A weight matrix laid out so that a lane is an output: panels of 32 outputs, each a row of blocks
/// of 32 inputs, zero beyond the edges.
///
/// | form      | a block                                                     | for types             |
/// |-----------|-------------------------------------------------------------|-----------------------|
/// | `NIBBLES` | scales, offsets, `u8[16][32]`: input i below, i + 16 above  | Q4_0, Q4_1, Q4_K      |
/// | `BYTES`   | scales, offsets, `i8[32][32]`                               | Q8_0, Q5, Q6_K        |
/// | `HALVES`  | `f16[32][32]`                                               | F16                   |
/// | `BFLOATS` | `bf16[32][32]`                                              | BF16                  |
/// | `FLOATS`  | `f32[32][32]`                                               | F32                   |
///
/// Scales and offsets are `f32[groups][32]`; two groups of 16 inputs where the type has such, else
/// one; no offsets where it has none.
final class PackedMatrix {

  /// Outputs of a panel, and inputs of a block.
  static final int SIDE = 32;

  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, Lanes.COUNT * Byte.SIZE)));

  private enum Form {
    NIBBLES,
    BYTES,
    HALVES,
    BFLOATS,
    FLOATS
  }

  private final int rows;
  private final int columns;
  private final Form form;
  private final int groups;
  private final boolean hasOffsets;
  private final int centre; // what a stored nibble exceeds its code by
  private final long codesAt; // from the start of a block
  private final long blockBytes;
  private final MemorySegment data;

  private PackedMatrix(Tensor tensor, Arena arena) {
    TensorType type = tensor.type();
    rows = tensor.rows();
    columns = tensor.columns();
    form =
        switch (type) {
          case Q4_0, Q4_1, Q4_K -> Form.NIBBLES;
          case Q8_0, Q5_0, Q5_1, Q5_K, Q6_K -> Form.BYTES;
          case F16 -> Form.HALVES;
          case BF16 -> Form.BFLOATS;
          case F32 -> Form.FLOATS;
        };
    groups = type == TensorType.Q6_K ? 2 : 1;
    hasOffsets =
        switch (type) {
          case Q4_1, Q5_1, Q4_K, Q5_K -> true;
          default -> false;
        };
    centre = type == TensorType.Q4_0 ? 8 : 0;
    codesAt =
        QuantisedRow.holds(type) ? (long) Float.BYTES * SIDE * groups * (hasOffsets ? 2 : 1) : 0;
    blockBytes =
        codesAt
            + (long) SIDE
                * SIDE
                * switch (form) {
                  case NIBBLES, BYTES -> 1;
                  case HALVES, BFLOATS -> Short.BYTES;
                  case FLOATS -> Float.BYTES;
                }
                / (form == Form.NIBBLES ? 2 : 1);
    data = arena.allocate(Math.multiplyExact((long) panels() * blocks(), blockBytes), Long.SIZE);
  }

  /// Packs a tensor; the memory belongs to the arena.
  static PackedMatrix pack(Tensor tensor, Arena arena, Parallel parallel) {
    var matrix = new PackedMatrix(tensor, arena);
    parallel.forEach(matrix.panels(), (worker, panel) -> matrix.packPanel(tensor, panel));
    return matrix;
  }

  int panels() {
    return Math.ceilDiv(rows, SIDE);
  }

  int blocks() {
    return Math.ceilDiv(columns, SIDE);
  }

  long bytes() {
    return data.byteSize();
  }

  private void packPanel(Tensor tensor, int panel) {
    boolean quantised = QuantisedRow.holds(tensor.type());
    var codes = new QuantisedRow(quantised ? columns : 0);
    var dequantizer = new Dequantizer(tensor);
    var values = new float[quantised ? 0 : columns];
    for (int lane = 0; lane < Math.min(SIDE, rows - panel * SIDE); lane++) {
      if (quantised) {
        codes.read(tensor, panel * SIDE + lane);
        for (int block = 0; block < blocks(); block++) {
          packCodes(codes, panel, block, lane);
        }
      } else {
        dequantizer.row(panel * SIDE + lane, values);
        for (int column = 0; column < columns; column++) {
          packValue(values[column], panel, column, lane);
        }
      }
    }
  }

  private void packCodes(QuantisedRow row, int panel, int block, int lane) {
    long at = blockAt(panel, block);
    for (int group = 0; group < groups; group++) {
      int source = (block * SIDE + group * (SIDE / groups)) / QuantisedRow.GROUP;
      long scaleAt = at + (long) Float.BYTES * (group * SIDE + lane);
      data.set(ValueLayout.JAVA_FLOAT_UNALIGNED, scaleAt, row.scales()[source]);
      if (hasOffsets) {
        data.set(
            ValueLayout.JAVA_FLOAT_UNALIGNED,
            scaleAt + (long) Float.BYTES * groups * SIDE,
            row.offsets()[source]);
      }
    }
    byte[] codes = row.codes();
    int first = block * SIDE;
    if (form == Form.BYTES) {
      for (int i = 0; i < SIDE; i++) {
        data.set(ValueLayout.JAVA_BYTE, at + codesAt + (long) i * SIDE + lane, codes[first + i]);
      }
    } else {
      for (int i = 0; i < SIDE / 2; i++) {
        int below = codes[first + i] + centre;
        int above = codes[first + i + SIDE / 2] + centre;
        data.set(
            ValueLayout.JAVA_BYTE,
            at + codesAt + (long) i * SIDE + lane,
            (byte) (below | above << 4));
      }
    }
  }

  private void packValue(float value, int panel, int column, int lane) {
    long at = blockAt(panel, column / SIDE);
    long element = (long) (column % SIDE) * SIDE + lane;
    switch (form) {
      case FLOATS -> data.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at + Float.BYTES * element, value);
      case HALVES ->
          data.set(
              ValueLayout.JAVA_SHORT_UNALIGNED,
              at + Short.BYTES * element,
              Float.floatToFloat16(value));
      case BFLOATS ->
          data.set(
              ValueLayout.JAVA_SHORT_UNALIGNED,
              at + Short.BYTES * element,
              (short) (Float.floatToRawIntBits(value) >>> 16));
      case NIBBLES, BYTES -> throw new IllegalStateException(form + " holds codes");
    }
  }

  private long blockAt(int panel, int block) {
    return ((long) panel * blocks() + block) * blockBytes;
  }

  /// A block as floats.
  ///
  /// @param w `[32 inputs][32 outputs]`
  /// @param halves scratch of the same size
  void expand(int panel, int block, float[] w, short[] halves) {
    long at = blockAt(panel, block);
    switch (form) {
      case FLOATS ->
          MemorySegment.copy(data, ValueLayout.JAVA_FLOAT_UNALIGNED, at, w, 0, SIDE * SIDE);
      case HALVES -> {
        MemorySegment.copy(data, ValueLayout.JAVA_SHORT_UNALIGNED, at, halves, 0, SIDE * SIDE);
        for (int i = 0; i < SIDE * SIDE; i++) {
          w[i] = Float.float16ToFloat(halves[i]);
        }
      }
      case BFLOATS -> {
        MemorySegment.copy(data, ValueLayout.JAVA_SHORT_UNALIGNED, at, halves, 0, SIDE * SIDE);
        for (int i = 0; i < SIDE * SIDE; i++) {
          w[i] = Float.intBitsToFloat(halves[i] << 16);
        }
      }
      case BYTES -> {
        for (int group = 0; group < groups; group++) {
          int inputs = SIDE / groups;
          for (int lane = 0; lane < SIDE; lane += BYTES.length()) {
            expandBytes(at, group, inputs, lane, w);
          }
        }
      }
      case NIBBLES -> {
        for (int lane = 0; lane < SIDE; lane += BYTES.length()) {
          expandNibbles(at, lane, w);
        }
      }
    }
  }

  // A byte vector fills one float vector, or two where a float vector has only four lanes.

  private void expandBytes(long at, int group, int inputs, int lane, float[] w) {
    FloatVector scale = scale(at, group, lane);
    FloatVector offset = offset(at, group, lane);
    boolean two = BYTES.length() > Lanes.COUNT;
    FloatVector scale2 = two ? scale(at, group, lane + Lanes.COUNT) : scale;
    FloatVector offset2 = two ? offset(at, group, lane + Lanes.COUNT) : offset;
    int first = group * inputs;
    for (int i = first; i < first + inputs; i++) {
      ByteVector codes =
          ByteVector.fromMemorySegment(BYTES, data, at + codesAt + (long) i * SIDE + lane, ORDER);
      toFloats(codes, 0).fma(scale, offset).intoArray(w, i * SIDE + lane);
      if (two) {
        toFloats(codes, 1).fma(scale2, offset2).intoArray(w, i * SIDE + lane + Lanes.COUNT);
      }
    }
  }

  private void expandNibbles(long at, int lane, float[] w) {
    FloatVector scale = scale(at, 0, lane);
    FloatVector offset = offset(at, 0, lane);
    boolean two = BYTES.length() > Lanes.COUNT;
    FloatVector scale2 = two ? scale(at, 0, lane + Lanes.COUNT) : scale;
    FloatVector offset2 = two ? offset(at, 0, lane + Lanes.COUNT) : offset;
    for (int i = 0; i < SIDE / 2; i++) {
      ByteVector pairs =
          ByteVector.fromMemorySegment(BYTES, data, at + codesAt + (long) i * SIDE + lane, ORDER);
      ByteVector below = pairs.and((byte) 15).sub((byte) centre);
      ByteVector above = pairs.lanewise(VectorOperators.LSHR, 4).and((byte) 15).sub((byte) centre);
      int to = i * SIDE + lane;
      int toAbove = to + SIDE / 2 * SIDE;
      toFloats(below, 0).fma(scale, offset).intoArray(w, to);
      toFloats(above, 0).fma(scale, offset).intoArray(w, toAbove);
      if (two) {
        toFloats(below, 1).fma(scale2, offset2).intoArray(w, to + Lanes.COUNT);
        toFloats(above, 1).fma(scale2, offset2).intoArray(w, toAbove + Lanes.COUNT);
      }
    }
  }

  private static FloatVector toFloats(ByteVector codes, int part) {
    return (FloatVector) codes.convertShape(VectorOperators.B2F, Lanes.SPECIES, part);
  }

  private FloatVector scale(long at, int group, int lane) {
    return FloatVector.fromMemorySegment(
        Lanes.SPECIES, data, at + (long) Float.BYTES * (group * SIDE + lane), ORDER);
  }

  private FloatVector offset(long at, int group, int lane) {
    return hasOffsets ? scale(at, groups + group, lane) : FloatVector.zero(Lanes.SPECIES);
  }
}
