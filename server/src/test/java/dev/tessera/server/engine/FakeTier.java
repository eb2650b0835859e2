package dev.tessera.server.engine;

import dev.tessera.kvcache.Fetch;
import dev.tessera.kvcache.SlabKey;
import dev.tessera.kvcache.Tier;
import dev.tessera.kvcache.TierStats;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;

/// A tier that takes its time, and that declines and loses a slab now and then: by its seed alone.
final class FakeTier implements Tier {
  private final Random random;
  private final Map<SlabKey, MemorySegment> slabs = new LinkedHashMap<>();
  private final Deque<Runnable> waiting = new ArrayDeque<>();
  private long stored;
  private long fetched;
  private long lost;

  FakeTier(long seed) {
    this.random = new Random(seed);
  }

  @Override
  public String name() {
    return "fake";
  }

  @Override
  public boolean holds(SlabKey key) {
    return slabs.containsKey(key);
  }

  @Override
  public boolean store(SlabKey key, long bytes, Consumer<MemorySegment> fill) {
    if (random.nextInt(10) == 0) {
      return false;
    }
    if (!slabs.containsKey(key)) {
      MemorySegment copy = MemorySegment.ofArray(new byte[(int) bytes]);
      fill.accept(copy);
      slabs.put(key, copy);
      stored++;
    }
    if (slabs.size() > 400) {
      slabs.remove(slabs.keySet().iterator().next());
    }
    return true;
  }

  @Override
  public Fetch fetch(SlabKey key, long bytes) {
    Fetch fetch =
        new Fetch() {
          @Override
          public void await(long nanos) {
            work(); // the time that it is waited for
          }
        };
    waiting.add(
        () -> {
          MemorySegment slab = random.nextInt(30) == 0 ? null : slabs.get(key);
          if (slab == null) {
            slabs.remove(key);
            lost++;
          } else {
            fetched++;
          }
          fetch.complete(slab);
        });
    return fetch;
  }

  /// Lets some of what was sent for arrive, at least one.
  void work() {
    for (int i = random.nextInt(4); i >= 0 && !waiting.isEmpty(); i--) {
      waiting.removeFirst().run();
    }
  }

  @Override
  public TierStats stats() {
    return new TierStats(name(), Map.of(), 0, Long.MAX_VALUE, stored, 0, fetched, lost, 0, 0);
  }

  @Override
  public void close() {}
}
