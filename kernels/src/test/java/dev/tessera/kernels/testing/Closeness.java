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

  /// The norm of the difference in relation to the norm of what was expected.
  public static double relativeError(float[] expected, float[] actual) {
    double error = 0;
    double size = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = (double) expected[i] - actual[i];
      error += difference * difference;
      size += (double) expected[i] * expected[i];
    }
    return Math.sqrt(error / size);
  }
}
