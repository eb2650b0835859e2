package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;

/// What the codes of two neighbouring channels mean: codewords in the plane. Codeword i is
/// `(levels[i], levels[codewords + i]) * step`.
///
/// @param step of both channels
/// @param levels `[2][codewords]`, 16 or 64 of them
public record PairTable(float step, byte[] levels) {

  /// Codewords of a code of this many bits for each of the two channels.
  public static int codewords(int width) {
    return 1 << 2 * width;
  }

  public PairTable {
    if (!(step > 0 && step < Float.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("codewords in steps of " + step);
    }
    if (levels.length < 2 || Integer.bitCount(levels.length) != 1) {
      throw new IllegalArgumentException(
          levels.length + " levels of codewords; there are two for each of a power of two");
    }
  }

  /// Rounds codewords to levels.
  ///
  /// @param codewords `[codewords][2]`, not all zero
  public static PairTable of(double[] codewords) {
    double largest = 0;
    for (double value : codewords) {
      largest = Math.max(largest, Math.abs(value));
    }
    float step = (float) (largest / Byte.MAX_VALUE);
    int count = codewords.length / 2;
    var levels = new byte[2 * count];
    for (int i = 0; i < count; i++) {
      levels[i] = (byte) Math.clamp(Math.rint(codewords[2 * i] / step), -127, 127);
      levels[count + i] = (byte) Math.clamp(Math.rint(codewords[2 * i + 1] / step), -127, 127);
    }
    return new PairTable(step, levels);
  }

  /// The codewords, `[codewords][2]`.
  double[] points() {
    var points = new double[levels.length];
    for (int i = 0; i < codewords(); i++) {
      points[2 * i] = first(i) * step;
      points[2 * i + 1] = second(i) * step;
    }
    return points;
  }

  public int codewords() {
    return levels.length / 2;
  }

  /// The first channel's level of a codeword, in steps.
  public int first(int codeword) {
    return levels[codeword];
  }

  /// The second channel's level.
  public int second(int codeword) {
    return levels[codewords() + codeword];
  }

  void requireWidth(int width) {
    Shapes.require("levels of codewords", levels.length, 2, codewords(width));
  }

  /// The number of the codeword that is nearest to a point, the first of several. Single precision,
  /// in this order.
  int nearest(float x, float y) {
    int nearest = 0;
    float most = 0;
    for (int i = 0; i < codewords(); i++) {
      float first = first(i) * step;
      float second = second(i) * step;
      float half = (first * first + second * second) * 0.5f;
      float score = x * first + y * second - half;
      if (i == 0 || score > most) {
        nearest = i;
        most = score;
      }
    }
    return nearest;
  }
}
