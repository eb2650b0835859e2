package dev.tessera.models;

import dev.tessera.kernels.Dequantizer;
import dev.tessera.kernels.QuantisedRow;
import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/// The vectors of a model (norms, biases, factors), which are few and small: they are read whole,
/// checked, and handed on in F32 whatever the file stores.
final class Vectors {
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Vectors() {}

  /// The elements of a vector of the given length.
  ///
  /// @throws ModelFormatException if it has another length or type, or holds NaN or infinity
  static float[] read(Tensor tensor, int length, String where) throws ModelFormatException {
    if ((long) tensor.rows() * tensor.columns() != length) {
      throw new ModelFormatException(
          "%s: tensor %s has %d x %d elements; expected %d"
              .formatted(where, tensor.name(), tensor.rows(), tensor.columns(), length));
    }
    if (QuantisedRow.holds(tensor.type())) {
      throw new ModelFormatException(
          "%s: tensor %s is a vector of type %s; supported: F32, F16, BF16"
              .formatted(where, tensor.name(), tensor.type()));
    }
    float[] elements = Dequantizer.all(tensor);
    for (int i = 0; i < length; i++) {
      if (!Float.isFinite(elements[i])) {
        throw new ModelFormatException(
            "%s: tensor %s holds %s at index %d; expected finite numbers"
                .formatted(where, tensor.name(), elements[i], i));
      }
    }
    return elements;
  }

  /// A vector as an F32 tensor, outside the heap so that native code can read it.
  static Tensor tensor(String name, float[] elements) {
    MemorySegment data = Arena.ofAuto().allocate(4L * elements.length, 64);
    MemorySegment.copy(elements, 0, data, FLOAT, 0, elements.length);
    return new Tensor(name, TensorType.F32, 1, elements.length, data);
  }
}
