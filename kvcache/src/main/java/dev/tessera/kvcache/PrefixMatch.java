package dev.tessera.kvcache;

import java.util.List;

/// The longest cached prefix of some tokens that every layer group can go on from. Nothing is held
/// by it: it is good until the cache is next changed.
public final class PrefixMatch {
  private final HashChain chain;
  private final List<PrefixNode> nodes;

  PrefixMatch(HashChain chain, List<PrefixNode> nodes) {
    this.chain = chain;
    this.nodes = nodes;
  }

  /// A match of nothing, for a request that must compute its whole prompt.
  public static PrefixMatch none(HashChain chain) {
    return new PrefixMatch(chain, List.of());
  }

  /// Tokens that need not be computed.
  public int tokens() {
    return nodes.size() * TileShape.BLOCK_TOKENS;
  }

  HashChain chain() {
    return chain;
  }

  List<PrefixNode> nodes() {
    return nodes;
  }
}
