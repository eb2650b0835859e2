package dev.tessera.kvcache;

import java.time.Duration;
import java.util.List;

/// Offers slabs that are given up to the tier below: the way down.
final class TierWriter {
  private static final long PATIENCE_NANOS = 50_000_000;
  private static final long OVERHEAD_BYTES = 4096; // of a slab in a tier, at most

  private final Tier tier;
  private final SlabTransfer transfer;
  private final BlockPool pool;
  private boolean isPatient = true;

  /// A form of a block of a prefix.
  record Slab(BlockHash hash, Block block, int form) {}

  TierWriter(TierBelow below, BlockPool pool) {
    this.tier = below.tier();
    this.transfer = below.transfer();
    this.pool = pool;
  }

  /// Offers a form of a block of a prefix, which can be read now and not for much longer. A prefix
  /// is worth nothing without one of its blocks, and computing that takes longer than writing it:
  /// so a tier that is behind is waited for a moment, unless that was in vain the last time.
  ///
  /// @return whether the tier holds it now
  boolean take(BlockHash hash, Block block, int form) {
    int group = block.group();
    int slab = block.slab(form);
    long bytes = pool.slabBytes(group, form);
    SlabKey key = new SlabKey(hash, group, form);
    if (isPatient && !tier.holds(key)) {
      await(bytes);
    }
    boolean taken = tier.store(key, bytes, copy -> transfer.readSlab(group, form, slab, copy));
    isPatient = taken;
    return taken;
  }

  private void await(long bytes) {
    try {
      boolean ignored = tier.awaitRoom(bytes, PATIENCE_NANOS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /// Offers slabs, in their order, to a tier that outlasts this process, waiting for it where it is
  /// behind. No more than it can hold: else the last would push the first out.
  ///
  /// @return slabs that it holds now
  int takeAll(List<Slab> slabs, Duration limit) throws InterruptedException {
    if (!tier.isLasting()) {
      return 0;
    }
    long end = System.nanoTime() + limit.toNanos();
    long left = tier.stats().limitBytes();
    int taken = 0;
    for (Slab slab : slabs) {
      long bytes = pool.slabBytes(slab.block.group(), slab.form);
      left -= bytes + OVERHEAD_BYTES;
      long nanos = end - System.nanoTime();
      if (left < 0 || nanos <= 0 || !tier.awaitRoom(bytes, nanos)) {
        break;
      }
      taken += take(slab.hash, slab.block, slab.form) ? 1 : 0;
    }
    return taken;
  }
}
