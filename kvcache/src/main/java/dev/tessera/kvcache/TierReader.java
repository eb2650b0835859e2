package dev.tessera.kvcache;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Brings slabs back from the tier below into the prefix tree: the way up. What is there again is
/// like any other block that nobody references: a match finds it, and the least recently used goes
/// when memory is short.
final class TierReader {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  private final TierBelow below;
  private final BlockPool pool;
  private final PrefixTree tree;
  private final PrefixFinder finder;
  private long comingBytes;

  TierReader(TierBelow below, BlockPool pool, PrefixTree tree, PrefixFinder finder) {
    this.below = below;
    this.pool = pool;
    this.tree = tree;
    this.finder = finder;
  }

  /// What the tier has that makes the longest prefix longer; null if nothing, or if there is no
  /// memory for it.
  ///
  /// @param limit blocks of the prefix at most
  /// @param availableBytes that no sequence references
  @Nullable Recall plan(HashChain chain, int[] tokens, int limit, long availableBytes) {
    List<Recall.Missing> missing = finder.missing(chain, tokens, limit, below.tier());
    long bytes = 0;
    for (Recall.Missing slab : missing) {
      bytes += pool.slabBytes(slab.key().group(), slab.key().form());
    }
    if (missing.isEmpty() || bytes > availableBytes) {
      return null;
    }
    for (PrefixNode node : finder.path(chain, tokens, limit)) {
      for (Block block : node.blocks) {
        if (block != null && !block.isReferenced()) {
          tree.touch(block); // so that what comes does not take the place of what it comes for
        }
      }
    }
    return new Recall(chain, tokens, missing);
  }

  /// Puts what has come into the tree and sends for more.
  ///
  /// @return whether there is more to wait for
  boolean advance(Recall recall) {
    while (!recall.coming.isEmpty() && recall.coming.getFirst().fetch().isDone()) {
      Recall.Coming next = recall.coming.removeFirst();
      comingBytes -= next.bytes();
      MemorySegment bytes = next.fetch().bytes();
      if (bytes == null || !adopt(recall, next.slab(), bytes)) {
        recall.isBroken = bytes == null;
        abandon(recall);
        return false;
      }
    }
    while (!recall.missing.isEmpty()) {
      SlabKey key = recall.missing.getFirst().key();
      long bytes = pool.slabBytes(key.group(), key.form());
      if (comingBytes > 0 && comingBytes + bytes > below.stagingBytes()) {
        return true;
      }
      comingBytes += bytes;
      recall.coming.add(
          new Recall.Coming(recall.missing.removeFirst(), bytes, below.tier().fetch(key, bytes)));
    }
    return !recall.coming.isEmpty();
  }

  /// Gives up what has not come yet.
  void abandon(Recall recall) {
    recall.coming.forEach(slab -> comingBytes -= slab.bytes());
    recall.coming.clear();
    recall.missing.clear();
  }

  /// Puts a slab into its place in the tree, unless the same was computed meanwhile. False if
  /// memory is used up or what it builds on is gone.
  private boolean adopt(Recall recall, Recall.Missing slab, MemorySegment bytes) {
    SlabKey key = slab.key();
    PrefixNode node = tree.find(key.block(), recall.tokens, slab.index() * BLOCK);
    Block block = node == null ? null : node.blocks[key.group()];
    if (node != null && block != null) {
      if (!block.has(key.form()) && !addForm(node, block, key.form(), bytes)) {
        return false;
      }
    } else {
      node = addBlock(recall, slab, bytes);
    }
    recall.tip = node;
    return node != null;
  }

  /// @return whether the block has the form now
  private boolean addForm(PrefixNode node, Block block, int form, MemorySegment bytes) {
    int held = Integer.numberOfTrailingZeros(block.readyForms());
    if (held >= block.forms()) {
      return false;
    }
    tree.pin(node); // while others are evicted for its sake
    tree.retain(block, held);
    boolean added = tree.addForm(block, form);
    if (added) {
      below.transfer().writeSlab(block.group(), form, block.slab(form), bytes);
      tree.filled(block, form);
    }
    tree.release(block, held, tree.tick());
    tree.unpin(node);
    return added;
  }

  /// The node of a new block, or null if there cannot be one.
  private @Nullable PrefixNode addBlock(Recall recall, Recall.Missing slab, MemorySegment bytes) {
    SlabKey key = slab.key();
    Block block = tree.allocate(key.group(), slab.index(), key.form());
    if (block == null) {
      return null;
    }
    // Evicting may have taken nodes of the very path.
    int index = slab.index();
    PrefixNode node = tree.find(key.block(), recall.tokens, index * BLOCK);
    if (node == null) {
      PrefixNode parent =
          index == 0
              ? null
              : tree.find(recall.chain.get(index - 1), recall.tokens, (index - 1) * BLOCK);
      if (index > 0 && parent == null || tree.contains(key.block())) {
        pool.free(block);
        return null;
      }
      node = tree.add(key.block(), parent, index, recall.tokens);
    }
    below.transfer().writeSlab(key.group(), key.form(), block.slab(key.form()), bytes);
    block.lastUse = tree.tick();
    block.setIdleSince(key.form(), block.lastUse);
    Block ignored = tree.put(node, block);
    return node;
  }

  TierStats stats() {
    return below.tier().stats();
  }
}
