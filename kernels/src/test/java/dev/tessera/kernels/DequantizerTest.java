package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// The golden values were made by the Python package gguf: src/test/python/golden_tensors.py.
final class DequantizerTest {

  private static final int ROWS = 3;
  private static final int COLUMNS = 256;

  @ParameterizedTest
  @EnumSource(TensorType.class)
  void readsEveryTypeBitForBitAsTheReference(TensorType type) throws IOException {
    assertArrayEquals(goldenFloats(type), Dequantizer.all(goldenTensor(type, 0)));
  }

  @Test
  void readsRowsThatLieAtAnyAddress() throws IOException {
    assertArrayEquals(
        goldenFloats(TensorType.Q5_1), Dequantizer.all(goldenTensor(TensorType.Q5_1, 3)));
    assertArrayEquals(
        goldenFloats(TensorType.BF16), Dequantizer.all(goldenTensor(TensorType.BF16, 1)));
  }

  @Test
  void namesTheRowThatDoesNotExist() throws IOException {
    var dequantizer = new Dequantizer(goldenTensor(TensorType.F32, 0));
    var thrown =
        assertThrows(
            IllegalArgumentException.class, () -> dequantizer.row(ROWS, new float[COLUMNS]));
    assertEquals("row 3 of tensor golden, which has 3 rows", thrown.getMessage());
  }

  private static Tensor goldenTensor(TensorType type, int shift) throws IOException {
    byte[] bytes = resource(type + ".bin");
    var shifted = new byte[bytes.length + shift];
    System.arraycopy(bytes, 0, shifted, shift, bytes.length);
    return new Tensor("golden", type, ROWS, COLUMNS, MemorySegment.ofArray(shifted).asSlice(shift));
  }

  private static float[] goldenFloats(TensorType type) throws IOException {
    var floats = new float[ROWS * COLUMNS];
    ByteBuffer.wrap(resource(type + ".f32"))
        .order(ByteOrder.LITTLE_ENDIAN)
        .asFloatBuffer()
        .get(floats);
    return floats;
  }

  private static byte[] resource(String name) throws IOException {
    try (var stream = DequantizerTest.class.getResourceAsStream("golden/" + name)) {
      if (stream == null) {
        throw new IllegalStateException("no golden tensor " + name);
      }
      return stream.readAllBytes();
    }
  }
}
