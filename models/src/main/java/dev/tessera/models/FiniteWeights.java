package dev.tessera.models;

import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// Looks for NaN and infinity in a matrix: in its elements, or in the scales of its blocks.
///
/// A single one turns every answer into NaN, which would be found only when somebody asks. Of a
/// large matrix only as many rows are read as fit a budget, evenly spread, so that a model of many
/// gigabytes still starts in seconds.
final class FiniteWeights {
  private static final long BUDGET_BYTES = 64L << 20;

  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int F16_EXPONENT = 0x7c00;
  private static final int BF16_EXPONENT = 0x7f80;
  private static final int F32_EXPONENT = 0x7f80_0000;

  private FiniteWeights() {}

  /// @throws ModelFormatException if a number is not finite, naming tensor and row
  static void check(Tensor tensor, String where) throws ModelFormatException {
    long rowBytes = tensor.type().rowBytes(tensor.columns());
    long stride = Math.max(1, Math.ceilDiv(tensor.data().byteSize(), BUDGET_BYTES));
    for (long row = 0; row < tensor.rows(); row += stride) {
      MemorySegment data = tensor.data().asSlice(row * rowBytes, rowBytes);
      if (!isFinite(data, tensor.type())) {
        throw new ModelFormatException(
            "%s: tensor %s (%s) holds NaN or infinity in row %d; expected finite numbers"
                .formatted(where, tensor.name(), tensor.type(), row));
      }
    }
  }

  private static boolean isFinite(MemorySegment row, TensorType type) {
    return switch (type) {
      case F32 -> allFinite32(row);
      case F16 -> allFinite16(row, 0, 2, F16_EXPONENT);
      case BF16 -> allFinite16(row, 0, 2, BF16_EXPONENT);
      case Q4_0, Q5_0, Q8_0 -> allFinite16(row, 0, type.blockBytes(), F16_EXPONENT);
      case Q4_1, Q5_1, Q4_K, Q5_K ->
          allFinite16(row, 0, type.blockBytes(), F16_EXPONENT)
              && allFinite16(row, 2, type.blockBytes(), F16_EXPONENT);
      case Q6_K -> allFinite16(row, type.blockBytes() - 2, type.blockBytes(), F16_EXPONENT);
    };
  }

  private static boolean allFinite16(MemorySegment row, long first, int step, int exponent) {
    boolean finite = true;
    for (long at = first; at < row.byteSize(); at += step) {
      finite &= (row.get(SHORT, at) & exponent) != exponent;
    }
    return finite;
  }

  private static boolean allFinite32(MemorySegment row) {
    boolean finite = true;
    for (long at = 0; at < row.byteSize(); at += 4) {
      finite &= (row.get(INT, at) & F32_EXPONENT) != F32_EXPONENT;
    }
    return finite;
  }
}
