package dev.tessera.kernels.codec;

/// The scalar code of the unit Gaussian with the least mean squared error (Lloyd, 1957; Max, 1960),
/// and what becomes of it when its lowest bits are dropped.
///
/// Everything is computed with [StrictMath], so that every machine writes the same tiles.
final class LloydMax {

  /// Widths that a code can have.
  static final int MAX_WIDTH = 6;

  private static final double TOLERANCE = 1e-12;
  private static final int MAX_ROUNDS = 1_000_000;
  private static final double[][] BOUNDS = new double[MAX_WIDTH + 1][];

  /// The positive bounds of the 16-level code that is best to cut: a compromise between its own
  /// error and that of the codes of 3 and 2 bits inside it.
  private static final double[] CUTTABLE_4 = {.247, .499, .762, 1.045, 1.378, 1.774, 2.341};

  private LloydMax() {}

  /// Bounds between the `2^width` levels, ascending: `[2^width - 1]`.
  static synchronized double[] bounds(int width) {
    double[] bounds = BOUNDS[width];
    if (bounds == null) {
      bounds = width == 0 ? new double[0] : mirror(iterate(1 << width));
      BOUNDS[width] = bounds;
    }
    return bounds;
  }

  /// Bounds of a code that is going to be cut.
  static double[] cuttableBounds(int width) {
    return width == 4 ? mirror(CUTTABLE_4) : bounds(width);
  }

  /// The bounds that are left of a code of `width` bits when only its highest `kept` are.
  static double[] cut(double[] bounds, int width, int kept) {
    int step = 1 << (width - kept);
    var left = new double[(1 << kept) - 1];
    for (int i = 0; i < left.length; i++) {
      left[i] = bounds[(i + 1) * step - 1];
    }
    return left;
  }

  /// The mean of the unit Gaussian between each two bounds: `[bounds + 1]`.
  static double[] levels(double[] bounds) {
    var levels = new double[bounds.length + 1];
    for (int i = 0; i < levels.length; i++) {
      levels[i] = centroid(lower(bounds, i), upper(bounds, i));
    }
    return levels;
  }

  /// The mean squared error of the code with these bounds: the unit variance without that of the
  /// levels.
  static double error(double[] bounds) {
    double explained = 0;
    for (int i = 0; i <= bounds.length; i++) {
      double lower = lower(bounds, i);
      double upper = upper(bounds, i);
      double centroid = centroid(lower, upper);
      explained += mass(lower, upper) * centroid * centroid;
    }
    return 1 - explained;
  }

  private static double lower(double[] bounds, int cell) {
    return cell == 0 ? Double.NEGATIVE_INFINITY : bounds[cell - 1];
  }

  private static double upper(double[] bounds, int cell) {
    return cell == bounds.length ? Double.POSITIVE_INFINITY : bounds[cell];
  }

  /// Lloyd's iteration on the positive half: bounds halfway between centroids, until they rest.
  private static double[] iterate(int levels) {
    int positive = levels / 2;
    var bounds = new double[positive - 1];
    for (int i = 0; i < bounds.length; i++) {
      bounds[i] = 3.0 * (i + 1) / positive;
    }
    double change = 1;
    for (int round = 0; change > TOLERANCE && round < MAX_ROUNDS; round++) {
      change = 0;
      double below = centroid(0, upper(bounds, 0));
      for (int i = 0; i < bounds.length; i++) {
        double above = centroid(bounds[i], upper(bounds, i + 1));
        double bound = (below + above) / 2;
        change = Math.max(change, Math.abs(bound - bounds[i]));
        bounds[i] = bound;
        below = above;
      }
    }
    return bounds;
  }

  /// All bounds of a symmetric code from the positive ones.
  private static double[] mirror(double[] positive) {
    int zero = positive.length;
    var bounds = new double[2 * zero + 1];
    for (int i = 0; i < zero; i++) {
      bounds[zero + 1 + i] = positive[i];
      bounds[zero - 1 - i] = -positive[i];
    }
    return bounds;
  }

  private static double centroid(double lower, double upper) {
    return (density(lower) - density(upper)) / mass(lower, upper);
  }

  private static double mass(double lower, double upper) {
    // The difference of two tails on the side where they are small.
    if (lower >= 0) {
      return tail(lower) - tail(upper);
    }
    return upper <= 0 ? tail(-upper) - tail(-lower) : 1 - tail(-lower) - tail(upper);
  }

  private static double density(double x) {
    return StrictMath.exp(-x * x / 2) / StrictMath.sqrt(2 * Math.PI);
  }

  /// The mass of the unit Gaussian above x, for `x >= 0`.
  private static double tail(double x) {
    if (x == Double.POSITIVE_INFINITY) {
      return 0;
    }
    if (x < 3) {
      // 1/2 - φ(x) (x + x³/3 + x⁵/(3·5) + …): every term is positive.
      double term = x;
      double sum = x;
      for (int k = 3; term > sum * 0x1p-60; k += 2) {
        term *= x * x / k;
        sum += term;
      }
      return 0.5 - density(x) * sum;
    }
    // Laplace's continued fraction φ(x) / (x + 1/(x + 2/(x + …))).
    double fraction = x;
    for (int k = 100; k >= 1; k--) {
      fraction = x + k / fraction;
    }
    return density(x) / fraction;
  }
}
