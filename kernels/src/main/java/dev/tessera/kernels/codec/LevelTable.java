package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;
import dev.tessera.kvcache.CodedFormat;

/// What the codes of a group of channels mean: a nested scalar code for the unit Gaussian. A code
/// of `fullWidth` bits loses its lowest bits and is a code of `width` bits.
///
/// An index counts the levels from the most negative; its value is `levels[index] * step`. Levels
/// of narrow codes have seven bits instead of eight, so that four products with queries of seven
/// bits or weights of eight add up within 16; it adds at most 0.7 % to the code's own error.
///
/// @param fullWidth bits of the code that vectors are encoded with
/// @param width bits that are stored; at most `fullWidth`
/// @param bounds between neighbouring levels, ascending: `[2^width - 1]`, none for 8 bits
/// @param levels `[2^width]`, none for 8 bits, whose codes are their own levels
/// @param step 1 for 8 bits, 0 for no bits
/// @param fullBounds the same of the code of `fullWidth` bits
/// @param fullLevels the same
/// @param fullStep the same
public record LevelTable(
    int fullWidth,
    int width,
    float[] bounds,
    byte[] levels,
    float step,
    float[] fullBounds,
    byte[] fullLevels,
    float fullStep) {

  /// Bits of a code whose levels have seven.
  static final int NARROW = 4;

  public LevelTable {
    requireCut(fullWidth, width);
    Shapes.require("bounds", bounds.length, bounds(width));
    Shapes.require("levels", levels.length, levels(width));
    Shapes.require("full bounds", fullBounds.length, bounds(fullWidth));
    Shapes.require("full levels", fullLevels.length, levels(fullWidth));
  }

  private static void requireCut(int fullWidth, int width) {
    boolean isBytes = fullWidth == CodedFormat.BYTE;
    if (width < 0 || width > fullWidth || isBytes != (width == CodedFormat.BYTE)) {
      throw new IllegalArgumentException(
          "a code of %d bits cannot be cut to %d".formatted(fullWidth, width));
    }
  }

  private static int levels(int width) {
    return width == CodedFormat.BYTE ? 0 : 1 << width;
  }

  private static int bounds(int width) {
    return width == CodedFormat.BYTE ? 0 : levels(width) - 1;
  }

  /// The best code of a width for vectors that stay at that width: Lloyd's and Max's. For 8 bits,
  /// even steps.
  public static LevelTable of(int width) {
    if (width == CodedFormat.BYTE) {
      var none = new float[0];
      return new LevelTable(width, width, none, new byte[0], 1, none, new byte[0], 1);
    }
    return of(width, width, LloydMax.bounds(width));
  }

  /// The code of `fullWidth` bits that is going to be cut, cut to `width`.
  public static LevelTable cut(int fullWidth, int width) {
    requireCut(fullWidth, width);
    return width == CodedFormat.BYTE
        ? of(width)
        : of(fullWidth, width, LloydMax.cuttableBounds(fullWidth));
  }

  /// Even steps upwards from zero: a code is its own level.
  public static LevelTable steps(int width) {
    requireCut(LloydMax.MAX_WIDTH, width);
    var levels = new byte[1 << width];
    var bounds = new float[levels.length - 1];
    for (int i = 0; i < bounds.length; i++) {
      bounds[i] = i + 0.5f;
      levels[i + 1] = (byte) (i + 1);
    }
    return new LevelTable(width, width, bounds, levels, 1, bounds, levels, 1);
  }

  private static LevelTable of(int fullWidth, int width, double[] full) {
    double[] left = LloydMax.cut(full, fullWidth, width);
    return new LevelTable(
        fullWidth,
        width,
        floats(left),
        levels(width, left),
        (float) step(width, left),
        floats(full),
        levels(fullWidth, full),
        (float) step(fullWidth, full));
  }

  /// The code before anything was cut from it.
  LevelTable uncut() {
    return new LevelTable(
        fullWidth, fullWidth, fullBounds, fullLevels, fullStep, fullBounds, fullLevels, fullStep);
  }

  /// The level that a stored code stands for, in steps.
  public int level(byte code) {
    return width == CodedFormat.BYTE ? code : levels[code];
  }

  private static double step(int width, double[] bounds) {
    double[] levels = LloydMax.levels(bounds);
    return levels[levels.length - 1] / (width > NARROW ? 127 : 63);
  }

  private static byte[] levels(int width, double[] bounds) {
    double[] levels = LloydMax.levels(bounds);
    double step = step(width, bounds);
    var rounded = new byte[levels.length];
    for (int i = 0; i < rounded.length; i++) {
      rounded[i] = step == 0 ? 0 : (byte) Math.rint(levels[i] / step);
    }
    return rounded;
  }

  private static float[] floats(double[] x) {
    var floats = new float[x.length];
    for (int i = 0; i < x.length; i++) {
      floats[i] = (float) x[i];
    }
    return floats;
  }
}
