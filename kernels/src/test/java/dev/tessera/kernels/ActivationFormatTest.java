package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

final class ActivationFormatTest {

  @Test
  void eightBitsTakeTheNearestOf255StepsTiesToEven() {
    var x = new double[32];
    double[] given = {127, 1.5, 2.5, -0.5, -1.5, 0.49, -126.6};
    System.arraycopy(given, 0, x, 0, given.length);
    double[] rounded = ActivationFormat.EIGHT_BIT.round(x, 32);
    double[] expected = {127, 2, 2, 0, -2, 0, -127};
    for (int i = 0; i < x.length; i++) {
      assertEquals(i < expected.length ? expected[i] : 0, rounded[i] + 0.0, "element " + i);
    }
  }

  @Test
  void everyBlockOfARowHasItsScale() {
    var x = new double[2 * 40]; // blocks of 32 and 8 in each row
    x[0] = 127e6;
    x[32] = 127;
    x[33] = 3;
    x[40] = 1;
    double[] rounded = ActivationFormat.EIGHT_BIT.round(x, 40);
    assertEquals(3, rounded[33]);
    assertEquals(1, rounded[40], 1e-7);
  }

  @Test
  void aBlockThatIsNotFiniteBecomesNaNAndATinyOneZero() {
    var x = new double[96];
    x[3] = Double.POSITIVE_INFINITY;
    x[32] = 1e-38;
    x[64] = Double.NaN;
    double[] rounded = ActivationFormat.EIGHT_BIT.round(x, 96);
    assertTrue(Double.isNaN(rounded[3]) && Double.isNaN(rounded[0]) && Double.isNaN(rounded[95]));
    assertEquals(0, rounded[32]);
  }

  @Test
  void singlePrecisionLeavesActivationsAsTheyAre() {
    double[] x = {1, 0.123456789, -7};
    assertArrayEquals(x, ActivationFormat.SINGLE.round(x, 3));
  }
}
