package dev.tessera.server.engine;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/// The reader's end of an accepted request. The engine never waits for it: a reader whose queue
/// overflows is cancelled. One thread reads; any thread may cancel.
public interface Generation {

  /// The next event, or null if none came in time.
  @Nullable TokenEvent next(Duration timeout) throws InterruptedException;

  /// Ends all samples within one step. Does nothing once they have ended.
  void cancel();

  /// Ends one sample within one step.
  void cancel(int sample);

  /// Ends one sample within one step because its reader has seen enough of it, for example a stop
  /// string: its reason is STOP then.
  default void stop(int sample) {
    cancel(sample);
  }

  /// Prompt tokens that were found in the cache; -1 until the first step of the request.
  int cachedTokens();

  /// When it was accepted, first scheduled, had its first token and its last, as [System#nanoTime];
  /// 0 for what has not happened.
  Timing timing();

  record Timing(long accepted, long scheduled, long firstToken, long finished) {}
}
