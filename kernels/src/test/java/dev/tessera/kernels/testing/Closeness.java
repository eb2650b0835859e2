package dev.tessera.kernels.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;

/// Comparisons of arrays, element by element.
public final class Closeness {

  private Closeness() {}

  /// How far an element may be off.
  public interface Tolerance {
    double at(int index);
  }

  public static void assertClose(float[] expected, float[] actual, Tolerance tolerance) {
    assertEquals(expected.length, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], tolerance.at(i), "element " + i);
    }
  }
}
