package dev.tessera.kvcache;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One full block of tokens behind a certain prefix, and the blocks that hold its keys and values.
final class PrefixNode {

  /// A block in the form in which a tail needs it.
  record Held(Block block, int form) {}

  final BlockHash hash;
  final @Nullable PrefixNode parent; // null at the start of a sequence
  final int index; // logical block
  private final int[] tokens; // [64]

  /// By group; null where a window group's block has gone, or where memory was so short that a
  /// block went while a sequence still extends the node.
  final @Nullable Block[] blocks;

  int children;

  /// Sequences whose last published block this is.
  int tips;

  /// Blocks, of this node and the ones before it, that a sequence which goes on behind this node
  /// needs in a form that would else have gone; empty for none.
  List<Held> tail = List.of();

  /// When the tail was made or last used; orders the tails.
  long tailUse;

  PrefixNode(
      BlockHash hash, @Nullable PrefixNode parent, int index, int[] tokens, int from, int groups) {
    this.hash = hash;
    this.parent = parent;
    this.index = index;
    this.tokens = Arrays.copyOfRange(tokens, from, from + TileShape.BLOCK_TOKENS);
    this.blocks = new Block[groups];
  }

  /// Whether nothing hangs on it: no longer prefix, no live sequence.
  boolean isLoose() {
    return children == 0 && tips == 0;
  }

  boolean isEmpty() {
    for (Block block : blocks) {
      if (block != null) {
        return false;
      }
    }
    return true;
  }

  boolean holds(int[] other, int from) {
    return Arrays.equals(
        tokens, 0, TileShape.BLOCK_TOKENS, other, from, from + TileShape.BLOCK_TOKENS);
  }

  /// The tokens of the block, `[64]`.
  int[] tokens() {
    return tokens;
  }

  @Override
  public String toString() {
    return "prefix node at block %d (children %d, tips %d)".formatted(index, children, tips);
  }
}
