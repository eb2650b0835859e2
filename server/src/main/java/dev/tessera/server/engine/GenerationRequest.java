package dev.tessera.server.engine;

import java.util.Set;

/// A prompt and what to make of it.
///
/// @param id for logs; already checked to be printable
/// @param prompt token ids, each below the logits' width; at least one
/// @param samples continuations wanted (`n`); sample i has index i
/// @param maxTokens tokens to generate at most, per sample; 0 only scores the prompt
/// @param minTokens tokens before which no end token may come
/// @param stopTokens tokens that end the generation besides the model's own
/// @param ignoreEos go on past the model's end tokens
/// @param priority lower is sooner; 0 is usual
/// @param cacheSalt prefixes are shared only among requests with the same salt; may be empty
public record GenerationRequest(
    String id,
    int[] prompt,
    int samples,
    int maxTokens,
    int minTokens,
    Set<Integer> stopTokens,
    boolean ignoreEos,
    SamplingParameters sampling,
    long priority,
    String cacheSalt) {

  public GenerationRequest {
    stopTokens = Set.copyOf(stopTokens);
    if (prompt.length == 0) {
      throw new IllegalArgumentException("the prompt has no tokens");
    }
    if (samples < 1 || maxTokens < 0 || minTokens < 0 || minTokens > maxTokens) {
      throw new IllegalArgumentException(
          "samples %d, max_tokens %d, min_tokens %d".formatted(samples, maxTokens, minTokens));
    }
  }
}
