package dev.tessera.kvcache;

import org.jspecify.annotations.Nullable;

/// What one sequence holds in the cache: a block table per layer group. Changed by [KvCache] alone.
public final class SequenceCache {
  final HashChain chain;
  final BlockTable[] tables; // [groups]
  final int cachedTokens;

  /// The last block of this sequence that is published; null at the root.
  @Nullable PrefixNode tip;

  int publishedBlocks;
  int computedTokens;

  /// Blocks whose queries still read older blocks in the forms of before: the first one for which
  /// those were not let go yet.
  int settledBlocks;

  /// Whether its blocks go to the prefix tree; false behind a hash that other tokens own already.
  boolean publishes = true;

  boolean open = true;

  SequenceCache(HashChain chain, BlockTable[] tables, int cachedTokens) {
    this.chain = chain;
    this.tables = tables;
    this.cachedTokens = cachedTokens;
    this.computedTokens = cachedTokens;
    this.publishedBlocks = cachedTokens / TileShape.BLOCK_TOKENS;
    this.settledBlocks = publishedBlocks;
  }

  /// The block table of a layer group.
  public BlockTable table(int group) {
    return tables[group];
  }

  /// Tokens whose keys and values are in the cache.
  public int computedTokens() {
    return computedTokens;
  }

  /// Tokens that there are blocks for.
  public int reservedTokens() {
    return tables[0].end() * TileShape.BLOCK_TOKENS;
  }

  /// Computed tokens that were found in the prefix tree.
  public int cachedTokens() {
    return cachedTokens;
  }
}
