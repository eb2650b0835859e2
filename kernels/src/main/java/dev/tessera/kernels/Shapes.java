package dev.tessera.kernels;

import java.util.Arrays;
import java.util.stream.Collectors;

/// Keeps the comments about shapes honest.
public final class Shapes {

  private Shapes() {}

  /// Checks that an array has as many elements as its shape says.
  public static void require(String name, long elements, int... shape) {
    long expected = 1;
    for (int extent : shape) {
      expected *= extent;
    }
    if (elements != expected) {
      String product =
          Arrays.stream(shape).mapToObj(Integer::toString).collect(Collectors.joining(" x "));
      throw new IllegalArgumentException(
          "%s has %,d elements; expected %s = %,d".formatted(name, elements, product, expected));
    }
  }
}
