package dev.tessera.kvcache;

import java.util.List;

/// What the cache holds, and how often prefixes were found.
///
/// @param usedBlocks blocks that live sequences reference
/// @param cachedBlocks blocks that only the prefix tree keeps
/// @param totalBlocks blocks that the budget could hold, over all layer groups
/// @param usedBytes bytes of slabs that live sequences reference
/// @param cachedBytes bytes of slabs that only the prefix tree keeps
/// @param copyBytes of those, bytes of copies that no query will read and no tail needs
/// @param tailBytes of those, bytes of copies that exist for tails alone
/// @param budgetBytes the limit of both together
/// @param queryTokens tokens of the prompts that were looked up so far
/// @param hitTokens those of them that were found
/// @param evictedBlocks blocks that the prefix tree gave up so far
/// @param coolings blocks that took a cooler form so far, once for each form
/// @param formats tiles of every format that the cache may hold
/// @param tiers below the memory in which tiles are used
public record KvStats(
    int usedBlocks,
    int cachedBlocks,
    long totalBlocks,
    long usedBytes,
    long cachedBytes,
    long copyBytes,
    long tailBytes,
    long budgetBytes,
    long queryTokens,
    long hitTokens,
    long evictedBlocks,
    long coolings,
    List<FormatStats> formats,
    List<TierUse> tiers) {

  /// A tier, and what it was good for.
  ///
  /// @param formats the tiles of every format that it holds
  /// @param recalls how prefixes fared that were looked for in it
  public record TierUse(TierStats stats, List<FormatStats> formats, RecallStats recalls) {}

  /// How prefixes fared that were looked for in a tier, so far.
  ///
  /// @param hits that it makes longer, and that were sent for
  /// @param misses of which it holds no more than memory does
  /// @param outrun that are sooner computed than read
  public record RecallStats(long hits, long misses, long outrun) {}

  /// Tiles of one format.
  public record FormatStats(String format, long tiles, long bytes) {}
}
