package dev.tessera.kvcache.testing;

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

/// A tier in memory that takes its time, declines now and then, and loses things: by its seed
/// alone.
public final class ForgetfulTier implements Tier {
  private final Random random;
  private final int capacity;
  private final Map<SlabKey, MemorySegment> slabs = new LinkedHashMap<>();
  private final Deque<Runnable> waiting = new ArrayDeque<>();
  private long stored;
  private long fetched;
  private long lost;

  /// @param capacity slabs at most
  public ForgetfulTier(Random random, int capacity) {
    this.random = random;
    this.capacity = capacity;
  }

  @Override
  public String name() {
    return "forgetful";
  }

  @Override
  public boolean holds(SlabKey key) {
    return slabs.containsKey(key);
  }

  @Override
  public boolean store(SlabKey key, long bytes, Consumer<MemorySegment> fill) {
    if (slabs.containsKey(key)) {
      return true;
    }
    if (random.nextInt(20) == 0) {
      return false;
    }
    MemorySegment copy = MemorySegment.ofArray(new byte[(int) bytes]);
    fill.accept(copy);
    slabs.put(key, copy);
    stored++;
    if (slabs.size() > capacity) {
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
            work(); // in the time that it is waited for
          }
        };
    waiting.add(() -> fetch.complete(read(key, bytes)));
    return fetch;
  }

  /// As if it gave back a gigabyte in a second.
  @Override
  public double fetchNanos(long bytes) {
    return bytes;
  }

  private MemorySegment read(SlabKey key, long bytes) {
    if (random.nextInt(30) == 0) {
      slabs.remove(key);
    }
    MemorySegment slab = slabs.get(key);
    if (slab != null && slab.byteSize() != bytes) {
      throw new IllegalStateException(slab.byteSize() + " bytes are not " + bytes);
    }
    fetched += slab == null ? 0 : 1;
    lost += slab == null ? 1 : 0;
    return slab;
  }

  /// Lets some of what was sent for arrive, at least one.
  public void work() {
    work(1 + random.nextInt(4));
  }

  /// Lets some of what was sent for arrive.
  public void work(int fetches) {
    for (int i = 0; i < fetches && !waiting.isEmpty(); i++) {
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
