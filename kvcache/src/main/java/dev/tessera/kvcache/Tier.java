package dev.tessera.kvcache;

import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/// A place below the pools where the bytes of slabs wait until they are wanted again: a disk of
/// this machine, or the memory of another one. It holds them whole, under the name of their
/// content, and knows nothing of what they mean. What it does not take or has lost is computed
/// again: it may refuse and forget as it likes, but never gives back other bytes than it was given.
///
/// One thread, the engine's, calls; no call but [#awaitRoom] waits for a device.
public interface Tier extends AutoCloseable {

  /// As metrics call it, for example `disk`.
  String name();

  /// Whether it has the bytes of a slab, as far as it knows.
  boolean holds(SlabKey key);

  /// Offers bytes.
  ///
  /// @param fill asked to copy them into memory of the tier's, at once, if it wants them
  /// @return whether it holds them now
  boolean store(SlabKey key, long bytes, Consumer<MemorySegment> fill);

  /// Waits until it would take so many bytes, or for so long. False if it does not take them then.
  default boolean awaitRoom(long bytes, long nanos) throws InterruptedException {
    return true;
  }

  /// Sends for bytes.
  Fetch fetch(SlabKey key, long bytes);

  /// How long it takes to fetch so many bytes, judged by what it has fetched so far: nanoseconds, 0
  /// as long as nothing is known.
  default double fetchNanos(long bytes) {
    return 0;
  }

  /// Whether what it holds is there for the next process.
  default boolean isLasting() {
    return false;
  }

  TierStats stats();

  @Override
  void close();
}
