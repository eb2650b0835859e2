package dev.tessera.server.bench;

import dev.tessera.server.engine.Admission;
import dev.tessera.server.engine.Generation;
import dev.tessera.server.engine.GenerationRequest;
import dev.tessera.server.engine.SamplingParameters;
import dev.tessera.server.engine.TokenEngine;
import dev.tessera.server.engine.TokenEvent;
import java.time.Duration;
import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;

/// The engine without HTTP.
///
/// @param engine to be timed
/// @param vocabulary ids below this are tokens
public record EngineProbe(TokenEngine engine, int vocabulary) implements Probe {
  private static final Duration PATIENCE = Duration.ofMinutes(10);
  private static final AtomicInteger COUNT = new AtomicInteger();

  @Override
  public int contextTokens() {
    return engine.contextTokens();
  }

  @Override
  public long[] generate(int[] prompt, int newTokens) throws InterruptedException {
    var request =
        new GenerationRequest(
            "bench-" + COUNT.incrementAndGet(),
            prompt,
            1,
            newTokens,
            newTokens,
            Set.of(),
            true,
            SamplingParameters.greedy(),
            0,
            "");
    long[] times = new long[1 + newTokens];
    times[0] = System.nanoTime();
    if (!(engine.submit(request) instanceof Admission.Accepted(Generation generation))) {
      throw new IllegalStateException("the engine refused a request of the benchmark");
    }
    int count = 1;
    while (true) {
      TokenEvent event = generation.next(PATIENCE);
      if (event instanceof TokenEvent.Token && count <= newTokens) {
        times[count++] = System.nanoTime();
      } else if (event == null || event instanceof TokenEvent.Finished) {
        return Arrays.copyOf(times, count);
      }
    }
  }
}
