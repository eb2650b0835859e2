package dev.tessera.kvcache;

import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/// A place below the pools where the bytes of slabs wait until they are wanted again: a disk of
/// this machine, or the memory of another one. It holds them whole, under the name of their
/// content, and knows nothing of what they mean. What it does not take or has lost is computed
/// again: it may refuse and forget as it likes, but never gives back other bytes than it was given.
///
/// One thread, the engine's, calls; no call waits for a device.
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

  /// Sends for bytes.
  Fetch fetch(SlabKey key, long bytes);

  TierStats stats();

  @Override
  void close();
}
