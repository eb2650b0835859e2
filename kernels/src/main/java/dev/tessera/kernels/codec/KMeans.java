package dev.tessera.kernels.codec;

/// Lloyd's iteration in the plane.
final class KMeans {

  private KMeans() {}

  /// Moves every codeword to the mean of the points that are nearest to it; one that has none
  /// stays.
  ///
  /// @param points `[points][2]`
  /// @param weights `[points]`
  /// @param codewords `[codewords][2]`
  static void round(double[] points, double[] weights, double[] codewords) {
    int count = codewords.length / 2;
    var halves = new double[count];
    for (int i = 0; i < count; i++) {
      double x = codewords[2 * i];
      double y = codewords[2 * i + 1];
      halves[i] = (x * x + y * y) / 2;
    }
    var sums = new double[3 * count];
    for (int point = 0; point < weights.length; point++) {
      double x = points[2 * point];
      double y = points[2 * point + 1];
      int nearest = 0;
      double most = Double.NEGATIVE_INFINITY;
      for (int i = 0; i < count; i++) {
        double score = x * codewords[2 * i] + y * codewords[2 * i + 1] - halves[i];
        if (score > most) {
          most = score;
          nearest = i;
        }
      }
      sums[3 * nearest] += weights[point] * x;
      sums[3 * nearest + 1] += weights[point] * y;
      sums[3 * nearest + 2] += weights[point];
    }
    for (int i = 0; i < count; i++) {
      if (sums[3 * i + 2] > 0) {
        codewords[2 * i] = sums[3 * i] / sums[3 * i + 2];
        codewords[2 * i + 1] = sums[3 * i + 1] / sums[3 * i + 2];
      }
    }
  }
}
