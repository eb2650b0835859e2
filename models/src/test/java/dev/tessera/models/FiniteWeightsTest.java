package dev.tessera.models;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class FiniteWeightsTest {
  private static final int ROWS = 5;
  private static final int COLUMNS = 512;

  @ParameterizedTest
  @EnumSource
  void findsNumbersThatAreNoneInTheLastBlock(TensorType type) {
    int rowBytes = (int) type.rowBytes(COLUMNS);
    byte[] sound = new byte[ROWS * rowBytes];
    assertDoesNotThrow(() -> FiniteWeights.check(tensor(type, sound), "tiny"));
    int lastBlock = 4 * rowBytes - type.blockBytes();
    int scale = type == TensorType.Q6_K ? type.blockBytes() - 2 : 0;
    for (int sign : new int[] {0, 1}) {
      byte[] broken = sound.clone();
      ByteBuffer bytes = ByteBuffer.wrap(broken).order(ByteOrder.LITTLE_ENDIAN);
      switch (type) {
        case F32 -> bytes.putFloat(lastBlock, sign == 0 ? Float.NaN : Float.NEGATIVE_INFINITY);
        case BF16 -> bytes.putShort(lastBlock, (short) (0x7f80 | sign << 15));
        default -> bytes.putShort(lastBlock + scale, (short) (0x7c00 | sign << 15));
      }
      var thrown =
          assertThrows(
              ModelFormatException.class, () -> FiniteWeights.check(tensor(type, broken), "tiny"));
      assertTrue(thrown.getMessage().contains("in row 3"), thrown.getMessage());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"Q4_1", "Q5_1", "Q4_K", "Q5_K"})
  void findsThemInTheMinimaToo(TensorType type) {
    byte[] broken = new byte[ROWS * (int) type.rowBytes(COLUMNS)];
    ByteBuffer.wrap(broken).order(ByteOrder.LITTLE_ENDIAN).putShort(2, (short) 0x7e00);
    assertThrows(
        ModelFormatException.class, () -> FiniteWeights.check(tensor(type, broken), "tiny"));
  }

  private static Tensor tensor(TensorType type, byte[] data) {
    return new Tensor("t", type, ROWS, COLUMNS, MemorySegment.ofArray(data));
  }
}
