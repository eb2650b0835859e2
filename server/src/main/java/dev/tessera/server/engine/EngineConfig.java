package dev.tessera.server.engine;

import dev.tessera.kvcache.KvPolicy;

/// What an operator can set about the engine.
///
/// @param contextTokens tokens that prompt and output of a request may have together
/// @param maxSequences sequences that are computed at the same time at most
/// @param maxQueuedRequests accepted requests that may wait for their first step
/// @param maxQueuedPromptTokens prompt tokens that may wait for their first step
/// @param kvBudgetBytes bytes of the tiles, the scratch of a step and the tables
/// @param tailBudgetBytes of these, what copies may take that exist only so that later prompts can
///   go on behind a prefix
/// @param policy form of the tiles
/// @param targetStepMillis time that a step should take at most: what a stream waits for its next
///   token while prompts are computed
/// @param streamIntervalMillis time between two wakes of a stream's reader at least: tokens that
///   come sooner travel together; 0 for a wake for each
/// @param maxStepTokens rows of a step at most, however fast the machine
/// @param maxQueuedEvents events that a reader may leave unread before its request is cancelled
/// @param stallMillis time without an end of a step after which the engine counts as dead
public record EngineConfig(
    int contextTokens,
    int maxSequences,
    int maxQueuedRequests,
    long maxQueuedPromptTokens,
    long kvBudgetBytes,
    long tailBudgetBytes,
    KvPolicy policy,
    int targetStepMillis,
    int streamIntervalMillis,
    int maxStepTokens,
    int maxQueuedEvents,
    int stallMillis) {

  /// Logits rows of a step that are there for scoring prompts, beside one per sequence.
  static final int SCORING_ROWS = 64;

  public EngineConfig {
    requireAtLeast("context", contextTokens, 1);
    requireAtLeast("scheduler.max-sequences", maxSequences, 1);
    requireAtLeast("scheduler.max-queued-requests", maxQueuedRequests, 1);
    requireAtLeast("scheduler.max-queued-prompt-tokens", maxQueuedPromptTokens, 1);
    requireAtLeast("kv-cache.memory", kvBudgetBytes, 1);
    requireAtLeast("kv-cache.tail-memory", tailBudgetBytes, 0);
    requireAtLeast("scheduler.target-step-millis", targetStepMillis, 1);
    requireAtLeast("scheduler.stream-interval-millis", streamIntervalMillis, 0);
    requireAtLeast("scheduler.max-step-tokens", maxStepTokens, maxSequences);
    requireAtLeast("scheduler.max-queued-events", maxQueuedEvents, 1);
    requireAtLeast("scheduler.stall-millis", stallMillis, 1);
  }

  /// The defaults for all but what depends on model and machine.
  public static EngineConfig of(int contextTokens, int maxSequences, long kvBudgetBytes) {
    return new EngineConfig(
        contextTokens,
        maxSequences,
        1_024,
        4_000_000,
        kvBudgetBytes,
        defaultTailBytes(kvBudgetBytes),
        KvPolicy.EXACT,
        60,
        10,
        Math.max(1_024, maxSequences),
        16_384,
        60_000);
  }

  /// What tails may take where nothing else is said.
  public static long defaultTailBytes(long kvBudgetBytes) {
    return kvBudgetBytes / 8;
  }

  /// Logits rows of a step at most.
  int maxLogitRows() {
    return Math.addExact(maxSequences, SCORING_ROWS);
  }

  private static void requireAtLeast(String key, long value, long least) {
    if (value < least) {
      throw new IllegalArgumentException(
          "%s must be at least %,d, is %,d".formatted(key, least, value));
    }
  }
}
