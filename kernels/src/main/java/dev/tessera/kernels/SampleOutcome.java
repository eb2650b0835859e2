package dev.tessera.kernels;

/// What became of a [SampleRequest].
public sealed interface SampleOutcome {

  /// A token, with its log probability where it was asked for.
  ///
  /// @param logprob natural logarithm of the token's probability under the unmodified logits; NaN
  ///   when not asked for
  /// @param rank 1 + the number of tokens with a larger logit; 0 when not asked for
  /// @param topTokens the best tokens, best first
  /// @param topLogprobs their log probabilities
  record Chosen(int token, float logprob, int rank, int[] topTokens, float[] topLogprobs)
      implements SampleOutcome {}

  /// The logits held NaN, or nothing was left to choose from.
  record Broken(String reason) implements SampleOutcome {}
}
