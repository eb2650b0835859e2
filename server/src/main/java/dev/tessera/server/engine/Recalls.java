package dev.tessera.server.engine;

import dev.tessera.kvcache.KvCache;
import dev.tessera.kvcache.Recall;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongSupplier;

/// The waiting sequences whose prefixes are on their way back from the tier below. They are
/// admitted when all has come, or when no more will; meanwhile others go on.
final class Recalls {

  /// Prefixes on their way at once: more would only push each other out.
  static final int MAX = 8;

  /// A sequence is sent for again where something was lost: then less may do.
  static final int ATTEMPTS = 3;

  /// A tier that takes longer is not worth its while, or is gone.
  static final long PATIENCE_NANOS = 10_000_000_000L;

  private static final long WAIT_NANOS = 5_000_000;

  private final KvCache cache;
  private final StepCost cost;
  private final LongSupplier clock;
  private final Map<Sequence, Journey> journeys = new LinkedHashMap<>();

  private record Journey(Recall recall, long since) {}

  /// @param cost of computing what could be read
  /// @param clock as [System#nanoTime]
  Recalls(KvCache cache, StepCost cost, LongSupplier clock) {
    this.cache = cache;
    this.cost = cost;
    this.clock = clock;
  }

  boolean isFull() {
    return journeys.size() >= MAX;
  }

  boolean isOnItsWay(Sequence sequence) {
    return journeys.containsKey(sequence);
  }

  /// Sends for a sequence's prefix, if the tier has some of it that is not here and that is sooner
  /// read than computed. False if it has not: then nothing of the cache has changed.
  boolean begin(Sequence sequence) {
    if (sequence.recallsLeft == 0 || sequence.scoresPrompt()) {
      return false;
    }
    Recall recall =
        cache.recall(
            sequence.chain,
            sequence.tokens(),
            sequence.length(),
            (nanos, from, to) -> nanos < cost.of(from, to - from));
    sequence.recallsLeft = recall == null ? 0 : sequence.recallsLeft - 1;
    if (recall == null) {
      return false;
    }
    if (cache.advance(recall)) {
      journeys.put(sequence, new Journey(recall, clock.getAsLong()));
    }
    return true;
  }

  /// Takes in what has come.
  void advance() {
    if (journeys.isEmpty()) {
      return;
    }
    List<Sequence> arrived = new ArrayList<>();
    journeys.forEach(
        (sequence, journey) -> {
          boolean more = cache.advance(journey.recall);
          if (more && clock.getAsLong() - journey.since > PATIENCE_NANOS) {
            cache.abandon(journey.recall);
            more = false;
          }
          if (!more) {
            arrived.add(sequence);
            if (!journey.recall.isBroken()) {
              sequence.recallsLeft = 0;
            }
          }
        });
    journeys.keySet().removeAll(arrived);
  }

  /// Forgets a sequence that ends.
  void drop(Sequence sequence) {
    Journey journey = journeys.remove(sequence);
    if (journey != null) {
      cache.abandon(journey.recall);
    }
  }

  /// Waits a moment for something to come: for when there is nothing else to do. False if nothing
  /// is on its way.
  boolean await() {
    if (journeys.isEmpty()) {
      return false;
    }
    try {
      journeys.values().iterator().next().recall.await(WAIT_NANOS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return true;
  }
}
