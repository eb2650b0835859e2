package dev.tessera.kvcache;

import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// The full blocks that sequences can share, as a tree over prefixes.
///
/// A hash names a whole prefix, so one map holds the tree; a hit compares the tokens too. Only
/// full, immutable blocks are in it. A block that no sequence references stays until its memory is
/// wanted: then the least recently used goes first, the deepest of a prefix before the ones it
/// builds on.
///
/// Blocks of a window group may go before their node does: a sequence that goes on behind the node
/// needs only those inside the window. A node may own a *tail*, the blocks of the last tokens
/// before its end that would else have gone; it makes a later sequence able to go on from there.
///
/// Everything that no sequence references can be evicted, so what sequences reference is all that
/// stands between a reservation and the whole budget.
final class PrefixTree {
  private final KvGeometry geometry;
  private final BlockPool pool;
  private final Map<BlockHash, PrefixNode> nodes = new HashMap<>();
  private final TreeSet<Block> evictable =
      new TreeSet<>(
          Comparator.<Block>comparingLong(block -> block.lastUse)
              .thenComparing(Comparator.comparingInt(Block::index).reversed())
              .thenComparingInt(Block::group)
              .thenComparingLong(Block::id));
  private final TreeMap<Long, PrefixNode> tails = new TreeMap<>(); // by last use
  private long clock;
  private int idleBlocks; // in the tree, referenced by no sequence
  private long evictedBlocks;

  PrefixTree(KvGeometry geometry, BlockPool pool) {
    this.geometry = geometry;
    this.pool = pool;
  }

  int idleBlocks() {
    return idleBlocks;
  }

  long evictedBlocks() {
    return evictedBlocks;
  }

  Collection<PrefixNode> nodes() {
    return nodes.values();
  }

  /// A moment later than all before.
  long tick() {
    return ++clock;
  }

  /// The node of a prefix, or null. The tokens are compared, not only their hash.
  @Nullable PrefixNode find(BlockHash hash, int[] tokens, int from) {
    PrefixNode node = nodes.get(hash);
    return node != null && node.holds(tokens, from) ? node : null;
  }

  /// Whether a hash is taken, if perhaps by other tokens.
  boolean contains(BlockHash hash) {
    return nodes.containsKey(hash);
  }

  /// Adds a full block behind `parent`.
  PrefixNode add(
      BlockHash hash, @Nullable PrefixNode parent, int index, int[] tokens, Block[] blocks) {
    PrefixNode node =
        new PrefixNode(
            hash, parent, index, tokens, index * TileShape.BLOCK_TOKENS, geometry.groups().size());
    for (Block block : blocks) {
      put(node, block);
    }
    nodes.put(hash, node);
    if (parent != null) {
      parent.children++;
      settle(parent);
    }
    return node;
  }

  private static void put(PrefixNode node, Block block) {
    node.blocks[block.group()] = block;
    block.node = node;
  }

  /// Makes a sequence's own copy of a block the shared one where nobody uses the shared one, so
  /// that no sequence pays twice for a block.
  void adopt(PrefixNode node, Block own) {
    Block shared = node.blocks[own.group()];
    if (shared != null) {
      if (shared.isReferenced() || shared.tails > 0) {
        return;
      }
      free(shared);
    }
    put(node, own);
  }

  void retain(Block block, int form) {
    boolean wasIdle = block.node != null && !block.isReferenced();
    pool.retain(block, form);
    if (wasIdle) {
      idleBlocks--;
      refresh(block);
    }
  }

  /// Takes a sequence's reference back; a block outside the tree is freed with its last one.
  void release(Block block, int form, long now) {
    if (!pool.release(block, form)) {
      return;
    }
    if (block.node == null) {
      pool.free(block);
    } else {
      block.lastUse = now;
      idleBlocks++;
      refresh(block);
    }
  }

  /// Says that a live sequence has published up to `node`.
  void pin(@Nullable PrefixNode node) {
    if (node != null) {
      node.tips++;
      settle(node);
    }
  }

  void unpin(@Nullable PrefixNode node) {
    if (node != null) {
      node.tips--;
      settle(node);
    }
  }

  /// Makes a node keep blocks that a sequence needs to go on behind it.
  void keepTail(PrefixNode node, List<Block> blocks) {
    for (Block block : blocks) {
      block.tails++;
      refresh(block);
    }
    dropTail(node);
    node.tail = List.copyOf(blocks);
    touchTail(node);
  }

  void touchTail(PrefixNode node) {
    if (!node.tail.isEmpty()) {
      tails.remove(node.tailUse);
      node.tailUse = tick();
      tails.put(node.tailUse, node);
    }
  }

  private void dropTail(PrefixNode node) {
    if (!node.tail.isEmpty()) {
      tails.remove(node.tailUse);
      List<Block> blocks = node.tail;
      node.tail = List.of();
      for (Block block : blocks) {
        block.tails--;
        refresh(block);
      }
    }
  }

  /// Frees at least one block that no sequence references; false if there is none.
  boolean evictOne() {
    if (idleBlocks == 0) {
      return false;
    }
    while (evictable.isEmpty() && !tails.isEmpty()) {
      dropTail(tails.firstEntry().getValue());
    }
    Block victim = evictable.isEmpty() ? deepestIdle() : evictable.first();
    PrefixNode node = nodeOf(victim);
    if (isFull(victim) && node.isLoose()) {
      remove(node);
    } else {
      free(victim);
      node.blocks[victim.group()] = null;
      settle(node);
    }
    return true;
  }

  /// The last resort: blocks below a live sequence that has its own copy of them.
  private Block deepestIdle() {
    return nodes.values().stream()
        .flatMap(node -> java.util.Arrays.stream(node.blocks))
        .filter(block -> block != null && !block.isReferenced())
        .max(Comparator.comparingInt(Block::index).thenComparingLong(Block::id))
        .orElseThrow(() -> new IllegalStateException("no idle block of " + idleBlocks));
  }

  private static PrefixNode nodeOf(Block block) {
    if (block.node == null) {
      throw new IllegalStateException(block + " is not in the tree");
    }
    return block.node;
  }

  private boolean isFull(Block block) {
    return geometry.groups().get(block.group()).isFull();
  }

  /// Whether a block may go now: the rule that [#refresh] keeps the set of candidates to.
  boolean isEvictable(Block block) {
    if (block.node == null || block.isReferenced()) {
      return false;
    }
    return isFull(block) ? block.node.isLoose() : block.tails == 0;
  }

  boolean isCandidate(Block block) {
    return evictable.contains(block);
  }

  int candidates() {
    return evictable.size();
  }

  private void refresh(Block block) {
    if (isEvictable(block)) {
      evictable.add(block);
    } else {
      evictable.remove(block);
    }
  }

  private void free(Block block) {
    evictable.remove(block);
    idleBlocks--;
    evictedBlocks++;
    block.node = null;
    pool.free(block);
  }

  private void remove(PrefixNode node) {
    dropTail(node);
    for (Block block : node.blocks) {
      if (block != null) {
        free(block);
      }
    }
    nodes.remove(node.hash);
    if (node.parent != null) {
      node.parent.children--;
      settle(node.parent);
    }
  }

  /// After a change of what hangs on a node: nodes that hold nothing go, up the path.
  private void settle(PrefixNode start) {
    PrefixNode node = start;
    while (node.isLoose() && node.isEmpty()) {
      dropTail(node);
      nodes.remove(node.hash);
      if (node.parent == null) {
        return;
      }
      node = node.parent;
      node.children--;
    }
    for (Block block : node.blocks) {
      if (block != null) {
        refresh(block);
      }
    }
  }
}
