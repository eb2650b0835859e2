package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ExactFormatTest {

  @ParameterizedTest
  @EnumSource
  void hasTheBytesOfItsLayout(ElementType element) {
    for (ExactFormat.Arrangement arrangement : ExactFormat.Arrangement.values()) {
      var format = new ExactFormat(element, arrangement, TileShape.of(80));
      assertEquals(format.layout().byteSize(), format.tileBytes());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 40, 64, 256})
  void givesEveryElementAPlaceOfItsOwn(int headDim) {
    for (ExactFormat.Arrangement arrangement : ExactFormat.Arrangement.values()) {
      var format = new ExactFormat(ElementType.F16, arrangement, TileShape.of(headDim));
      boolean[] taken = new boolean[format.shape().elements()];
      for (int token = 0; token < TileShape.BLOCK_TOKENS; token++) {
        for (int dimension = 0; dimension < headDim; dimension++) {
          int index = format.index(token, dimension);
          assertFalse(taken[index], arrangement + " at " + token + ", " + dimension);
          taken[index] = true;
        }
      }
    }
  }
}
