package dev.tessera.server.engine;

import dev.tessera.kvcache.CachePicture;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/// What the front ends see of the engine. Safe for many threads.
public interface TokenEngine {

  Admission submit(GenerationRequest request);

  /// Tokens that prompt and output may have together.
  int contextTokens();

  /// A consistent picture, taken between two steps.
  EngineStats stats();

  /// The cache, block by block, taken between two steps; null if none was made in time.
  @Nullable CachePicture picture(Duration limit) throws InterruptedException;

  /// Refuses new requests from now on and waits for the accepted ones.
  ///
  /// @return whether all of them finished in time; the others have been cancelled
  boolean drain(Duration limit) throws InterruptedException;

  /// Whether steps are being made or nothing waits for one.
  boolean isAlive();
}
