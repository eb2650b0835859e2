package dev.tessera.server.engine;

import org.jspecify.annotations.Nullable;

/// How a request wants its tokens chosen. Every value is finite and in range: the only constructor
/// checks it, whichever door the request came through.
///
/// @param temperature 0 for greedy, at most 2
/// @param topP in (0, 1]
/// @param topK 0 for all
/// @param minP in [0, 1]
/// @param presencePenalty in [-2, 2]
/// @param frequencyPenalty in [-2, 2]
/// @param repetitionPenalty above 0; 1 for none
/// @param seed null draws one
/// @param biasTokens ids with `biasValues`, each in [-100, 100] or negative infinity to ban
/// @param topLogprobs -1 for no log probabilities, else how many alternatives to report
/// @param promptLogprobs -1 for none, else log probabilities of the prompt with so many
///   alternatives
public record SamplingParameters(
    float temperature,
    float topP,
    int topK,
    float minP,
    float presencePenalty,
    float frequencyPenalty,
    float repetitionPenalty,
    @Nullable Long seed,
    int[] biasTokens,
    float[] biasValues,
    int topLogprobs,
    int promptLogprobs) {

  public SamplingParameters {
    requireRange("temperature", temperature, 0, 2);
    requireRange("top_p", topP, Float.MIN_VALUE, 1);
    requireRange("min_p", minP, 0, 1);
    requireRange("presence_penalty", presencePenalty, -2, 2);
    requireRange("frequency_penalty", frequencyPenalty, -2, 2);
    requireRange("repetition_penalty", repetitionPenalty, Float.MIN_VALUE, Float.MAX_VALUE);
    if (topK < 0) {
      throw new IllegalArgumentException("top_k must be at least 0, is " + topK);
    }
    if (biasTokens.length != biasValues.length) {
      throw new IllegalArgumentException(
          biasTokens.length + " biased tokens with " + biasValues.length + " values");
    }
  }

  private static void requireRange(String name, float value, float low, float high) {
    if (!(value >= low && value <= high)) {
      throw new IllegalArgumentException(
          "%s must be from %s to %s, is %s".formatted(name, low, high, value));
    }
  }

  /// Greedy decoding without log probabilities.
  public static SamplingParameters greedy() {
    return new SamplingParameters(0, 1, 0, 0, 0, 0, 1, null, new int[0], new float[0], -1, -1);
  }
}
