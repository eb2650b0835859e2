package dev.tessera.kernels.codec;

/// The codewords in the plane that suit the unit Gaussian: Lloyd's iteration in two dimensions
/// (Linde, Buzo and Gray, 1980).
///
/// Everything is computed with [StrictMath] on a grid, so that every machine writes the same tiles.
final class GaussianPairs {

  private static final double REACH = 5;
  private static final int CELLS = 200; // of the grid, along each axis
  private static final int ROUNDS = 60;
  private static final PairTable[] TABLES = new PairTable[4];

  private GaussianPairs() {}

  /// The codewords of a code of `width` bits for each channel, from 1 to 3.
  static synchronized PairTable table(int width) {
    PairTable table = TABLES[width];
    if (table == null) {
      table = PairTable.of(iterate(PairTable.codewords(width)));
      TABLES[width] = table;
    }
    return table;
  }

  private static double[] iterate(int count) {
    var points = new double[2 * CELLS * CELLS];
    var weights = new double[CELLS * CELLS];
    for (int i = 0; i < weights.length; i++) {
      double x = coordinate(i / CELLS);
      double y = coordinate(i % CELLS);
      points[2 * i] = x;
      points[2 * i + 1] = y;
      weights[i] = StrictMath.exp(-(x * x + y * y) / 2);
    }
    double[] codewords = spiral(count);
    for (int round = 0; round < ROUNDS; round++) {
      KMeans.round(points, weights, codewords);
    }
    return codewords;
  }

  private static double coordinate(int cell) {
    return REACH * (2 * cell + 1 - CELLS) / CELLS;
  }

  /// A sunflower whose seeds lie as dense as good codewords do: like the square root of the density
  /// (Panter and Dite's rule in the plane), which is a Gaussian of twice the variance.
  private static double[] spiral(int count) {
    double golden = Math.PI * (3 - StrictMath.sqrt(5));
    var points = new double[2 * count];
    for (int i = 0; i < count; i++) {
      double radius = StrictMath.sqrt(-4 * StrictMath.log(1 - (i + 0.5) / count));
      points[2 * i] = radius * StrictMath.cos(golden * i);
      points[2 * i + 1] = radius * StrictMath.sin(golden * i);
    }
    return points;
  }
}
