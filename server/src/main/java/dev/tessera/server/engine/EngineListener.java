package dev.tessera.server.engine;

import java.util.List;

/// Hears what the engine does, on the engine's thread: it must be quick and must not throw.
public interface EngineListener {

  /// Hears nothing.
  EngineListener NONE = new EngineListener() {};

  /// After every step.
  default void onStep(StepStats step) {}

  /// A request is scheduled for the first time.
  default void onScheduled(long nanosSinceAccepted) {}

  /// A sample has its first token.
  default void onFirstToken(long nanosSinceAccepted) {}

  /// A sample has one more token.
  default void onNextToken(long nanosSincePrevious) {}

  /// A sequence lost its blocks and will be computed again.
  default void onPreempted() {}

  /// All samples of a request have ended.
  default void onFinished(RequestStats request) {}

  /// The engine has failed; nothing comes any more.
  default void onFailure(Throwable cause) {}

  /// One step.
  ///
  /// @param rows tokens computed
  /// @param prefillRows those of them that belong to chunks of more than one token
  /// @param sequences sequences that advanced
  /// @param nanos from scheduling to the last token handed out
  record StepStats(
      int rows,
      int prefillRows,
      int sequences,
      int logitRows,
      int running,
      int waiting,
      long nanos) {}

  /// A request that has ended.
  ///
  /// @param cachedTokens prompt tokens found in the cache; -1 if it was never scheduled
  /// @param generatedTokens over all samples
  /// @param reasons by sample
  record RequestStats(
      String id,
      int promptTokens,
      int maxTokens,
      int cachedTokens,
      int generatedTokens,
      int preemptions,
      List<FinishReason> reasons,
      Generation.Timing timing) {}
}
