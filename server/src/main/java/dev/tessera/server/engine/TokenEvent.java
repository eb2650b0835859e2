package dev.tessera.server.engine;

import org.jspecify.annotations.Nullable;

/// What comes out of a [Generation], in order per sample.
public sealed interface TokenEvent {

  /// Which of the request's samples it belongs to.
  int sample();

  /// A prompt token's log probability; comes first, for sample 0 only, for every prompt token but
  /// the first.
  record PromptToken(int sample, int position, Scored token) implements TokenEvent {}

  /// A generated token.
  record Token(int sample, Scored token) implements TokenEvent {}

  /// The sample's last event.
  ///
  /// @param stopToken the token that ended it, where one did; it is not part of the output
  /// @param error what failed, with reason ERROR
  record Finished(
      int sample, FinishReason reason, @Nullable Integer stopToken, @Nullable String error)
      implements TokenEvent {}

  /// A token with its log probability.
  ///
  /// @param logprob NaN when not asked for
  /// @param topTokens the best tokens at this place, best first; empty when not asked for
  record Scored(int id, float logprob, int rank, int[] topTokens, float[] topLogprobs) {}
}
