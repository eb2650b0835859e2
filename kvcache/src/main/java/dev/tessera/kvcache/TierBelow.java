package dev.tessera.kvcache;

/// A tier and the way to it.
///
/// @param stagingBytes of memory for slabs that are on their way up
public record TierBelow(Tier tier, SlabTransfer transfer, long stagingBytes) {}
