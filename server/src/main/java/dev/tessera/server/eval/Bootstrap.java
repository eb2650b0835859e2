package dev.tessera.server.eval;

import java.util.Arrays;
import java.util.Random;

/// How sure a mean is: where it lies when the sample is drawn again from itself, in runs of
/// neighbours, as what a text does to one token it does to the next (Künsch, 1989).
final class Bootstrap {
  private static final int DRAWS = 1000;
  private static final double OUTSIDE = 0.025; // on each side

  private Bootstrap() {}

  /// The middle 95 % of the means.
  ///
  /// @param values in their order
  /// @param run neighbours that are drawn together; 1 where the values are independent
  static Interval of(double[] values, int run) {
    if (values.length == 0) {
      return new Interval(Double.NaN, Double.NaN);
    }
    int length = Math.min(run, values.length);
    var sums = new double[values.length + 1];
    for (int i = 0; i < values.length; i++) {
      sums[i + 1] = sums[i] + values[i];
    }
    int runs = Math.ceilDiv(values.length, length);
    var random = new Random(1);
    var means = new double[DRAWS];
    for (int draw = 0; draw < DRAWS; draw++) {
      double sum = 0;
      for (int i = 0; i < runs; i++) {
        int start = random.nextInt(values.length - length + 1);
        sum += sums[start + length] - sums[start];
      }
      means[draw] = sum / ((long) runs * length);
    }
    Arrays.sort(means);
    int cut = (int) (OUTSIDE * DRAWS);
    return new Interval(means[cut], means[DRAWS - 1 - cut]);
  }
}
