package dev.tessera.server.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class BootstrapTest {

  @Test
  void isAsWideAsTheNormalIntervalOfIndependentValues() {
    double[] values = new Random(5).doubles(2000).toArray();
    double mean = Arrays.stream(values).average().orElseThrow();
    double expected = 1.96 * Math.sqrt(1 / 12.0 / values.length);
    Interval interval = Bootstrap.of(values, 1);
    assertEquals(mean - expected, interval.low(), 0.15 * expected);
    assertEquals(mean + expected, interval.high(), 0.15 * expected);
  }

  /// Runs of sixteen equal values say no more than one value each.
  @Test
  void runsKeepWhatHangsTogether() {
    double[] single = new Random(6).doubles(200).toArray();
    double[] repeated = new double[16 * single.length];
    Arrays.setAll(repeated, i -> single[i / 16]);
    double apart = width(Bootstrap.of(repeated, 1));
    double together = width(Bootstrap.of(repeated, 32));
    assertTrue(together > 3 * apart, together + " and " + apart);
  }

  private static double width(Interval interval) {
    return interval.high() - interval.low();
  }

  @Test
  void knowsOfFewValuesAndOfNone() {
    assertEquals(new Interval(2, 2), Bootstrap.of(new double[] {2, 2, 2}, 32));
    assertTrue(Double.isNaN(Bootstrap.of(new double[0], 1).low()));
  }
}
