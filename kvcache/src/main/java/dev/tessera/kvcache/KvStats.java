package dev.tessera.kvcache;

/// What the cache holds, and how often prefixes were found.
///
/// @param usedBlocks blocks that live sequences reference
/// @param cachedBlocks blocks that only the prefix tree keeps
/// @param totalBlocks blocks that the budget could hold, over all layer groups
/// @param usedBytes bytes of slabs that live sequences reference
/// @param cachedBytes bytes of slabs that only the prefix tree keeps
/// @param budgetBytes the limit of both together
/// @param queryTokens tokens of the prompts that were looked up so far
/// @param hitTokens those of them that were found
/// @param evictedBlocks blocks that the prefix tree gave up so far
public record KvStats(
    int usedBlocks,
    int cachedBlocks,
    long totalBlocks,
    long usedBytes,
    long cachedBytes,
    long budgetBytes,
    long queryTokens,
    long hitTokens,
    long evictedBlocks) {}
