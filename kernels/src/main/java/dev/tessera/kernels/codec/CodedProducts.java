package dev.tessera.kernels.codec;

import dev.tessera.kvcache.CodedFormat;

/// What a product with coded tiles reads of its queries and of its attention weights.
public enum CodedProducts {
  /// Both as they are, in single precision or nearly so.
  SINGLE,

  /// Integers, as finely as the width of the codes that they meet deserves. A query, in the basis
  /// of a code and times the units of its channels, has one scale for all channels of a grade, a
  /// tile's weights, times the tokens' scales, have one too: `scale = largest / steps`, rounded to
  /// the nearest integer, in single precision.
  GRADED;

  private enum Grade {
    FINE(32767, 32767),
    BYTES(63, 127);

    final float querySteps;
    final float weightSteps;

    Grade(float querySteps, float weightSteps) {
      this.querySteps = querySteps;
      this.weightSteps = weightSteps;
    }

    /// The grade of a group of channels, by the width of its codes.
    static Grade of(CodedFormat format, int width) {
      return width > BYTES_WIDTH || format.coding() != CodedFormat.Coding.TOKENS ? FINE : BYTES;
    }
  }

  private static final int BYTES_WIDTH = 5;

  /// A query as products with the tiles of a format read it.
  ///
  /// @param query `[headDim]`, in the basis of the code
  /// @param units `[headDim]`, what a level of each channel is worth ([TileCodec#units])
  /// @return `[headDim]`
  public double[] query(CodedFormat format, double[] query, double[] units) {
    double[] read = query.clone();
    for (Grade grade : this == SINGLE ? new Grade[0] : Grade.values()) {
      float largest = 0;
      for (int i = 0; i < query.length; i++) {
        if (isOf(grade, format, i)) {
          largest = Math.max(largest, Math.abs((float) (query[i] * units[i])));
        }
      }
      for (int i = 0; i < query.length; i++) {
        if (isOf(grade, format, i) && largest > 0 && units[i] > 0) {
          read[i] = rounded(query[i] * units[i], largest, grade.querySteps) / units[i];
        }
      }
    }
    return read;
  }

  private static boolean isOf(Grade grade, CodedFormat format, int channel) {
    int width = format.widths().get(channel / CodedFormat.GROUP_CHANNELS);
    return width > 0 && Grade.of(format, width) == grade;
  }

  /// A tile's weights as products with one group of its channels read them.
  ///
  /// @param weights not negative, times the tokens' scales
  public double[] weights(CodedFormat format, int group, double[] weights) {
    double[] read = weights.clone();
    int width = format.widths().get(group);
    if (this == SINGLE || width == 0) {
      return read;
    }
    float largest = 0;
    for (double weight : weights) {
      largest = Math.max(largest, (float) weight);
    }
    for (int i = 0; i < read.length && largest > 0; i++) {
      read[i] = rounded(weights[i], largest, Grade.of(format, width).weightSteps);
    }
    return read;
  }

  private static double rounded(double x, float largest, float steps) {
    return Math.rint((float) x * (steps / largest)) * ((double) largest / steps);
  }
}
