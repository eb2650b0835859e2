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
    BYTES(63, 127),
    COARSE(31, 63);

    final float querySteps;
    final float weightSteps;

    Grade(float querySteps, float weightSteps) {
      this.querySteps = querySteps;
      this.weightSteps = weightSteps;
    }

    static Grade of(int width) {
      return width > 4 ? FINE : width == 4 ? BYTES : COARSE;
    }
  }

  /// A query as products with the tiles of a code read it.
  ///
  /// @param query `[headDim]`, in the code's basis
  /// @return `[headDim]`
  public double[] query(TileCode code, double[] query) {
    double[] read = query.clone();
    if (this == SINGLE || code.format().coding() == CodedFormat.Coding.CHANNELS) {
      return read;
    }
    for (Grade grade : Grade.values()) {
      float largest = 0;
      for (int i = 0; i < query.length; i++) {
        if (isOf(grade, code, i)) {
          largest = Math.max(largest, Math.abs((float) (query[i] * unit(code, i))));
        }
      }
      for (int i = 0; i < query.length; i++) {
        if (isOf(grade, code, i) && largest > 0) {
          double unit = unit(code, i);
          read[i] = rounded(query[i] * unit, largest, grade.querySteps) / unit;
        }
      }
    }
    return read;
  }

  private static boolean isOf(Grade grade, TileCode code, int channel) {
    int width = table(code, channel).width();
    return width > 0 && Grade.of(width) == grade;
  }

  private static LevelTable table(TileCode code, int channel) {
    return code.tables().get(channel / CodedFormat.GROUP_CHANNELS);
  }

  private static double unit(TileCode code, int channel) {
    return code.sigma()[channel] * table(code, channel).step();
  }

  /// A tile's weights as products with codes of one width read them.
  ///
  /// @param weights not negative, times the tokens' scales
  public double[] weights(int width, double[] weights) {
    double[] read = weights.clone();
    if (this == SINGLE) {
      return read;
    }
    float largest = 0;
    for (double weight : weights) {
      largest = Math.max(largest, (float) weight);
    }
    for (int i = 0; i < read.length && largest > 0; i++) {
      read[i] = rounded(weights[i], largest, Grade.of(width).weightSteps);
    }
    return read;
  }

  private static double rounded(double x, float largest, float steps) {
    return Math.rint((float) x * (steps / largest)) * ((double) largest / steps);
  }
}
