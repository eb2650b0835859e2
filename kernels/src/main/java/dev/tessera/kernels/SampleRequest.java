package dev.tessera.kernels;

import org.jspecify.annotations.Nullable;

/// How to choose one token from one row of logits.
///
/// The order is that of vLLM: bias and mask, penalties, temperature, then min-p, top-k and top-p
/// over what is left, then the draw. Log probabilities are those of the unmodified logits.
///
/// @param logitRow row of the last step's logits
/// @param temperature 0 for greedy (the lowest id among equals)
/// @param topK tokens to keep; 0 for all
/// @param topP probability mass to keep; 1 for all
/// @param minP share of the best token's probability below which a token is dropped; 0 for none
/// @param uniform the draw, in [0, 1): given by the caller so that it depends on seed and position
///   alone
/// @param penalties tokens seen so far, or null for none
/// @param biasTokens ids whose logits get `biasValues` added; negative infinity bans a token
/// @param mask one bit per token of the vocabulary, set for allowed; null allows all
/// @param scoredToken a token to score instead of choosing one; -1 to choose
/// @param topLogprobs how many of the best tokens to report; -1 for no log probabilities at all
public record SampleRequest(
    int logitRow,
    float temperature,
    int topK,
    float topP,
    float minP,
    double uniform,
    @Nullable Penalties penalties,
    int[] biasTokens,
    float[] biasValues,
    long @Nullable [] mask,
    int scoredToken,
    int topLogprobs) {

  /// Penalties on tokens that were seen.
  ///
  /// @param tokens distinct ids that occurred in the prompt or the output
  /// @param outputCounts `[tokens]` occurrences in the output alone
  /// @param presence subtracted once from a token that occurred in the output
  /// @param frequency subtracted per occurrence in the output
  /// @param repetition divides positive and multiplies negative logits of every token in `tokens`
  public record Penalties(
      int[] tokens, int[] outputCounts, float presence, float frequency, float repetition) {}

  /// Greedy choice without log probabilities.
  public static SampleRequest greedy(int logitRow) {
    return new SampleRequest(logitRow, 0, 0, 1, 0, 0, null, new int[0], new float[0], null, -1, -1);
  }
}
