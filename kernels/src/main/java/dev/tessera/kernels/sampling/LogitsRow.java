package dev.tessera.kernels.sampling;

/// One row of logits, with the passes over a whole vocabulary that sampling needs. A backend whose
/// logits lie in its own memory brings its own passes.
///
/// A weight is `exp((logit - max) / temperature)`, and 1 for a logit that equals max, so that
/// infinite logits share the probability evenly.
public interface LogitsRow {

  /// Tokens whose weights are summed together by [#sumWeights(float, double, double\[\])].
  int CHUNK = 1024;

  /// What [#argMax()] answers for a row with a NaN.
  int HOLDS_NAN = -1;

  /// Tokens in the row.
  int size();

  float get(int token);

  void set(int token, float logit);

  /// The token with the largest logit, the lowest id among equals, or [#HOLDS_NAN].
  int argMax();

  /// Sums the weights of every 1,024 tokens.
  ///
  /// @param sums `[ceil(size / 1024)]` or longer
  void sumWeights(float max, double temperature, double[] sums);

  /// How many logits are larger than this one.
  int countAbove(float logit);

  /// The tokens whose logit is at least `threshold`, ascending.
  ///
  /// @param tokens `[size]` or longer
  /// @return how many there are
  int collect(float threshold, int[] tokens);
}
