package dev.tessera.server.engine;

/// What an engine's memory is for. The budget of the KV-cache (`kv-cache.memory`) counts everything
/// that comes on top of the weights: the tiles get what scratch and tables leave.
///
/// @param weightBytes of the weights as the backend holds them; 0 where it reads the model's own
/// @param scratchBytes activations and logits of a step, with the backend's own copies of codes,
///   and slabs on their way to a tier and back
/// @param codeBytes what tiles are coded with: bases, means, codewords and levels; 0 where they
///   stay exact
/// @param tableBytes what the cache keeps of each block beside its tiles, and a tier of each slab
/// @param tileBytes of the tiles at most
public record MemoryPlan(
    long weightBytes, long scratchBytes, long codeBytes, long tableBytes, long tileBytes) {

  /// Of a block of one layer group: its entries in pool, tree and tables, its hash and its tokens,
  /// with room to spare.
  static final int RECORD_BYTES = 1024;

  /// Of a slab in a tier: its name and its place in the order of use, with room to spare.
  static final int TIER_RECORD_BYTES = 256;

  /// @param budgetBytes of the KV-cache
  /// @param blockBytes of a block's tiles, over all layer groups
  /// @param tierSlabs that the tier below may hold
  /// @throws IllegalArgumentException if what is left holds no block
  static MemoryPlan of(
      long budgetBytes,
      long weightBytes,
      long scratchBytes,
      long codeBytes,
      long blockBytes,
      int groups,
      long tierSlabs) {
    long records = (long) RECORD_BYTES * groups;
    long tier = TIER_RECORD_BYTES * tierSlabs;
    long left = Math.max(0, budgetBytes - scratchBytes - codeBytes - tier);
    long tables = Math.ceilDiv(left, blockBytes + records) * records;
    long tiles = left - tables;
    if (tiles < blockBytes) {
      throw new IllegalArgumentException(
          ("%,d bytes of KV-cache, of which the scratch of a step takes %,d, what tiles are coded"
                  + " with %,d and the names of what is on disk %,d, hold no block of this model,"
                  + " which takes %,d (kv-cache.memory)")
              .formatted(budgetBytes, scratchBytes, codeBytes, tier, blockBytes));
    }
    return new MemoryPlan(weightBytes, scratchBytes, codeBytes, tables + tier, tiles);
  }
}
