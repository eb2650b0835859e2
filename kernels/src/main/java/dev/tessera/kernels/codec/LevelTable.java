package dev.tessera.kernels.codec;

import dev.tessera.kernels.Shapes;

/// What the codes of a group of channels mean: a nested scalar code for the unit Gaussian. A code
/// of `fullWidth` bits loses its lowest bits and is a code of `width` bits.
///
/// An index counts the levels from the most negative; its value is `levels[index] * step`.
///
/// @param fullWidth bits of the code that vectors are encoded with
/// @param width bits that are stored; at most `fullWidth`
/// @param bounds between neighbouring levels, ascending: `[2^width - 1]`, none for 8 bits
/// @param levels `[2^width]`, none for 8 bits, whose codes are their own levels
/// @param step 1 for 8 bits, 0 for no bits
/// @param fullBounds the same of the code of `fullWidth` bits
public record LevelTable(
    int fullWidth,
    int width,
    float[] bounds,
    byte[] levels,
    float step,
    float[] fullBounds,
    byte[] fullLevels,
    float fullStep) {

  public LevelTable {
    if (width < 0 || width > fullWidth || (fullWidth == 8) != (width == 8)) {
      throw new IllegalArgumentException(
          "a code of %d bits cannot be cut to %d".formatted(fullWidth, width));
    }
    Shapes.require("bounds", bounds.length, levels(width) == 0 ? 0 : levels(width) - 1);
    Shapes.require("levels", levels.length, levels(width));
    Shapes.require(
        "full bounds", fullBounds.length, levels(fullWidth) == 0 ? 0 : levels(fullWidth) - 1);
    Shapes.require("full levels", fullLevels.length, levels(fullWidth));
  }

  private static int levels(int width) {
    return width == 8 ? 0 : 1 << width;
  }
}
