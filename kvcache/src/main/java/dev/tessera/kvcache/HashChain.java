package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.List;

/// The block hashes of one sequence, computed once each, in order, as they are asked for. May be
/// filled by one thread and handed to another; not safe for two at a time.
public final class HashChain {
  private final BlockHash root;
  private final List<BlockHash> hashes = new ArrayList<>();

  /// @param root from [KvCache#root]
  public HashChain(BlockHash root) {
    this.root = root;
  }

  /// Hashes every full block among the first `count` tokens.
  public HashChain extend(int[] tokens, int count) {
    while ((hashes.size() + 1) * TileShape.BLOCK_TOKENS <= count) {
      BlockHash parent = hashes.isEmpty() ? root : hashes.getLast();
      hashes.add(parent.child(tokens, hashes.size() * TileShape.BLOCK_TOKENS));
    }
    return this;
  }

  /// A chain of its own with what is known of this one.
  public HashChain copy() {
    HashChain copy = new HashChain(root);
    copy.hashes.addAll(hashes);
    return copy;
  }

  BlockHash get(int block) {
    return hashes.get(block);
  }
}
