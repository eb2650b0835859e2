package dev.tessera.kvcache;

/// What the queries of a layer group see of a sequence.
final class Windows {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private Windows() {}

  /// Whether a query at `position` or behind it sees anything of a block.
  static boolean isVisible(LayerGroup group, int block, int position) {
    return block >= firstVisible(group, position) || block < sinkBlocks(group);
  }

  static int firstVisible(LayerGroup group, int position) {
    return group.isFull() ? 0 : Math.max(0, position - group.window() + 1) / BLOCK;
  }

  static int sinkBlocks(LayerGroup group) {
    return group.isFull() ? 0 : Math.ceilDiv(group.sinkTokens(), BLOCK);
  }
}
