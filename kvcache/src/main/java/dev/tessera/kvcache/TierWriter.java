package dev.tessera.kvcache;

/// Offers slabs that are given up to the tier below: the way down.
final class TierWriter {
  private final Tier tier;
  private final SlabTransfer transfer;
  private final BlockPool pool;

  TierWriter(TierBelow below, BlockPool pool) {
    this.tier = below.tier();
    this.transfer = below.transfer();
    this.pool = pool;
  }

  /// Offers a form of a block of a prefix, which can be read now and not for much longer.
  void take(BlockHash hash, Block block, int form) {
    int group = block.group();
    int slab = block.slab(form);
    boolean ignored =
        tier.store(
            new SlabKey(hash, group, form),
            pool.slabBytes(group, form),
            bytes -> transfer.readSlab(group, form, slab, bytes));
  }
}
