package dev.tessera.kernels;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// What the bytes of a weight tensor mean: the executable definition of every [TensorType].
public final class Dequantizer {

  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Tensor tensor;
  private final QuantisedRow codes;

  /// Prepares to read rows of a tensor. Not for use by several threads at once.
  public Dequantizer(Tensor tensor) {
    this.tensor = tensor;
    this.codes = new QuantisedRow(QuantisedRow.holds(tensor.type()) ? tensor.columns() : 0);
  }

  /// One row as floats.
  ///
  /// @param destination `[columns]` or longer
  public void row(int row, float[] destination) {
    if (row < 0 || row >= tensor.rows()) {
      throw new IllegalArgumentException(
          "row %d of tensor %s, which has %d rows".formatted(row, tensor.name(), tensor.rows()));
    }
    int columns = tensor.columns();
    long base = row * tensor.type().rowBytes(columns);
    switch (tensor.type()) {
      case F32 -> {
        for (int i = 0; i < columns; i++) {
          destination[i] = tensor.data().get(FLOAT, base + 4L * i);
        }
      }
      case F16 -> {
        for (int i = 0; i < columns; i++) {
          destination[i] = Float.float16ToFloat(tensor.data().get(SHORT, base + 2L * i));
        }
      }
      case BF16 -> {
        for (int i = 0; i < columns; i++) {
          destination[i] = Float.intBitsToFloat(tensor.data().get(SHORT, base + 2L * i) << 16);
        }
      }
      case Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K -> {
        codes.read(tensor, row);
        for (int i = 0; i < columns; i++) {
          destination[i] = codes.value(i);
        }
      }
    }
  }

  /// A whole tensor as floats, `[rows * columns]`: for vectors and small matrices.
  public static float[] all(Tensor tensor) {
    var dequantizer = new Dequantizer(tensor);
    var values = new float[Math.multiplyExact(tensor.rows(), tensor.columns())];
    var row = new float[tensor.columns()];
    for (int i = 0; i < tensor.rows(); i++) {
      dequantizer.row(i, row);
      System.arraycopy(row, 0, values, i * row.length, row.length);
    }
    return values;
  }
}
