package dev.tessera.kernels;

import java.lang.foreign.MemorySegment;

/// A named weight as it lies in the model file.
///
/// @param rows outputs of a matrix (`y[rows] = W x[columns]`), or 1 for a vector
/// @param data `rows * type.rowBytes(columns)` bytes, little endian, any alignment; owned by the
///   model
public record Tensor(String name, TensorType type, int rows, int columns, MemorySegment data) {

  public Tensor {
    long expected = rows * type.rowBytes(columns);
    if (data.byteSize() != expected) {
      throw new IllegalArgumentException(
          "tensor %s (%s, %d x %d) has %d bytes; expected %d"
              .formatted(name, type, rows, columns, data.byteSize(), expected));
    }
  }
}
