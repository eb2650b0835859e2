package dev.tessera.server.engine;

import dev.tessera.kernels.CodecStats;
import dev.tessera.kvcache.KvStats;
import java.util.List;

/// Counters and gauges of the engine.
///
/// @param usedBlocks blocks that live sequences reference
/// @param cachedBlocks blocks that only the prefix tree holds
/// @param totalBlocks blocks of the budget
/// @param prefixQueryTokens prompt tokens looked up in the prefix tree so far
/// @param prefixHitTokens those of them that were found
/// @param usedBytes bytes of slabs that live sequences reference
/// @param copyBytes of the cached ones, bytes of copies that no query will read
/// @param tailBytes of the cached ones, bytes of copies that later prompts may go on from
/// @param budgetBytes bytes of the cache's budget
/// @param coolings blocks that took a cooler form so far
/// @param evictedBlocks blocks that were given up for memory so far
/// @param formats tiles of every format that the cache may hold
/// @param tiers below, and the tiles that they hold
/// @param codecs what coding and reading tiles has taken so far, for every coded format
public record EngineStats(
    int running,
    int waiting,
    long usedBlocks,
    long cachedBlocks,
    long totalBlocks,
    long usedBytes,
    long cachedBytes,
    long copyBytes,
    long tailBytes,
    long budgetBytes,
    long prefixQueryTokens,
    long prefixHitTokens,
    long preemptions,
    long promptTokens,
    long generatedTokens,
    long steps,
    long rejected,
    long coolings,
    long evictedBlocks,
    List<KvStats.FormatStats> formats,
    List<KvStats.TierUse> tiers,
    List<CodecStats> codecs) {}
