package dev.tessera.kernels;

/// What a product with quantised weights reads of its activations. Weights that are plain numbers
/// ([QuantisedRow#holds]) always meet activations in single precision.
public enum ActivationFormat {
  /// The activations as they are.
  SINGLE,

  /// Signed bytes with one scale for each 32 of a row: `scale = largest / 127`, `code = x * (127 /
  /// largest)` rounded to the nearest integer, ties to even, all in single precision.
  EIGHT_BIT;

  /// Activations that share a scale.
  public static final int BLOCK = 32;

  /// Below this, 127 over the largest leaves the normal numbers: such a block is zero.
  private static final float SMALLEST_LARGEST = 0x1p-119f;

  /// The numbers that a product reads instead of the given ones.
  ///
  /// @param x `[rows][columns]`
  public double[] round(double[] x, int columns) {
    if (this == SINGLE) {
      return x;
    }
    var rounded = new double[x.length];
    for (int row = 0; row < x.length; row += columns) {
      for (int first = 0; first < columns; first += BLOCK) {
        roundBlock(x, row + first, Math.min(BLOCK, columns - first), rounded);
      }
    }
    return rounded;
  }

  private static void roundBlock(double[] x, int first, int count, double[] to) {
    float largest = 0;
    for (int i = first; i < first + count; i++) {
      largest = Math.max(largest, Math.abs((float) x[i]));
    }
    float scale = Float.isFinite(largest) ? largest / 127 : Float.NaN;
    float inverse = 127 / largest;
    boolean vanishes = largest < SMALLEST_LARGEST;
    for (int i = first; i < first + count; i++) {
      to[i] = vanishes ? 0 : scale * Math.rint((float) x[i] * inverse);
    }
  }
}
