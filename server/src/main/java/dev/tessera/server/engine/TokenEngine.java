package dev.tessera.server.engine;

import java.time.Duration;

/// What the front ends see of the engine. Safe for many threads.
public interface TokenEngine {

  Admission submit(GenerationRequest request);

  /// Tokens that prompt and output may have together.
  int contextTokens();

  /// A consistent picture, taken between two steps.
  EngineStats stats();

  /// Refuses new requests from now on and waits for the accepted ones.
  ///
  /// @return whether all of them finished in time; the others have been cancelled
  boolean drain(Duration limit) throws InterruptedException;

  /// Whether steps are being made or nothing waits for one.
  boolean isAlive();
}
