package dev.tessera.kernels.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

final class LanesTest {

  @Test
  void exponentialIsRightToTwoUnitsInTheLastPlace() {
    for (float x = -87.2f; x < 88; x += 0.0137f) {
      float expected = (float) Math.exp(x);
      assertEquals(expected, exp(x), 2 * Math.ulp(expected), "exp(" + x + ")");
    }
    assertEquals(1, exp(0));
    assertEquals(1, exp(-0.0f));
  }

  @Test
  void exponentialVanishesBelowTheNormalNumbers() {
    assertEquals(0, exp(-88));
    assertEquals(0, exp(-1e30f));
    assertEquals(0, exp(Float.NEGATIVE_INFINITY));
  }

  @Test
  void exponentialOfLargeNumbersStaysFinite() {
    assertTrue(exp(1e30f) > 1e38f && Float.isFinite(exp(1e30f)));
  }

  @Test
  void exponentialKeepsNotANumber() {
    assertTrue(Float.isNaN(exp(Float.NaN)));
  }

  @Test
  void hyperbolicTangentIsRightToAFewRoundingsOfOne() {
    for (float x = -20; x < 20; x += 0.0137f) {
      assertEquals(Math.tanh(x), tanh(x), 2e-7, "tanh(" + x + ")");
    }
    assertEquals(1, tanh(1000));
    assertEquals(-1, tanh(-1000));
  }

  @Test
  void sumsTheFirstLaneFirst() {
    var x = new float[Lanes.COUNT];
    Arrays.fill(x, 1);
    x[0] = 0x1p24f; // swallows every 1 that is added to it
    assertEquals(0x1p24f, Lanes.sum(Lanes.load(x, 0)));
  }

  private static float exp(float x) {
    return Lanes.exp(Lanes.splat(x)).lane(Lanes.COUNT - 1);
  }

  private static float tanh(float x) {
    return Lanes.tanh(Lanes.splat(x)).lane(0);
  }
}
