package dev.tessera.server.engine;

/// Counters and gauges of the engine.
///
/// @param usedBlocks blocks that live sequences reference
/// @param cachedBlocks blocks that only the prefix tree holds
/// @param totalBlocks blocks of the budget
/// @param prefixQueryTokens prompt tokens looked up in the prefix tree so far
/// @param prefixHitTokens those of them that were found
/// @param usedBytes bytes of slabs that live sequences reference
/// @param budgetBytes bytes of the cache's budget
public record EngineStats(
    int running,
    int waiting,
    long usedBlocks,
    long cachedBlocks,
    long totalBlocks,
    long usedBytes,
    long cachedBytes,
    long budgetBytes,
    long prefixQueryTokens,
    long prefixHitTokens,
    long preemptions,
    long promptTokens,
    long generatedTokens,
    long steps,
    long rejected) {}
