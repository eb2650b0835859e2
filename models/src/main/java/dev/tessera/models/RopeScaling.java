package dev.tessera.models;

/// The ways in which models stretch rotary position embeddings beyond the context that they were
/// trained on. Frequencies are radians per position, one for each pair of elements.
final class RopeScaling {

  private RopeScaling() {}

  /// `base^(-2i / rotaryDim)` (Su et al., 2021).
  static double[] frequencies(double base, int rotaryDim) {
    double[] frequencies = new double[rotaryDim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = Math.pow(base, -2.0 * i / rotaryDim);
    }
    return frequencies;
  }

  /// Position interpolation (Chen et al., 2023): every position counts for `1 / factor`.
  static double[] linear(double[] frequencies, double factor) {
    double[] scaled = frequencies.clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] /= factor;
    }
    return scaled;
  }

  /// A factor of its own for each pair, as GGUF files bring them in `rope_freqs.weight`.
  static double[] perPair(double[] frequencies, float[] factors) {
    double[] scaled = frequencies.clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] /= factors[i];
    }
    return scaled;
  }

  /// Llama 3.1: slow pairs, which turn less than `lowFactor` times within the original context, are
  /// interpolated; fast ones, with more than `highFactor` turns, stay; those between are blended.
  static double[] llama3(
      double[] frequencies,
      double factor,
      double lowFactor,
      double highFactor,
      int originalContext) {
    double[] scaled = frequencies.clone();
    for (int i = 0; i < scaled.length; i++) {
      double turns = originalContext * frequencies[i] / (2 * Math.PI);
      double kept = Math.clamp((turns - lowFactor) / (highFactor - lowFactor), 0, 1);
      scaled[i] = frequencies[i] * (kept + (1 - kept) / factor);
    }
    return scaled;
  }

  /// What YaRN takes beside the frequencies.
  ///
  /// @param betaFast turns within the original context above which a pair stays as it is
  /// @param betaSlow turns below which it is interpolated
  /// @param extrapolation share of the fast pairs that stays as it is, usually 1
  /// @param truncate whether the borders of the ramp are rounded to whole pairs, outwards
  record Yarn(
      double factor,
      int originalContext,
      double betaFast,
      double betaSlow,
      double extrapolation,
      boolean truncate) {

    /// The factor on rotated queries and keys that goes with it (Peng et al., 2023, equation 22).
    double magnitude() {
      return magnitude(factor, 1);
    }

    static double magnitude(double factor, double weight) {
      return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
    }
  }

  /// YaRN (Peng et al., 2023): like [#llama3], with a ramp over the index of the pairs.
  static double[] yarn(double[] frequencies, double base, Yarn yarn) {
    int rotaryDim = 2 * frequencies.length;
    double low = pairWithTurns(yarn.betaFast, rotaryDim, base, yarn.originalContext);
    double high = pairWithTurns(yarn.betaSlow, rotaryDim, base, yarn.originalContext);
    if (yarn.truncate) {
      low = Math.floor(low);
      high = Math.ceil(high);
    }
    low = Math.max(low, 0);
    high = Math.min(high, rotaryDim - 1);
    double width = Math.max(high - low, 0.001);
    double[] scaled = frequencies.clone();
    for (int i = 0; i < scaled.length; i++) {
      double kept = (1 - Math.clamp((i - low) / width, 0, 1)) * yarn.extrapolation;
      scaled[i] = frequencies[i] * (kept + (1 - kept) / yarn.factor);
    }
    return scaled;
  }

  /// The index, as a real number, of the pair that turns so often within the context.
  private static double pairWithTurns(double turns, int rotaryDim, double base, int context) {
    return rotaryDim * Math.log(context / (turns * 2 * Math.PI)) / (2 * Math.log(base));
  }
}
