package dev.tessera.kvcache;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/// Brings slabs back from the tier below into the prefix tree: the way up. What is there again is
/// like any other block that nobody references: a match finds it, and the least recently used goes
/// when memory is short.
final class TierReader {
  private static final int BLOCK = TileShape.BLOCK_TOKENS;

  /// A tier that seemed too slow so many times is asked all the same: it may have become faster.
  private static final int LOOK_AGAIN = 16;

  private final TierBelow below;
  private final BlockPool pool;
  private final PrefixTree tree;
  private final PrefixFinder finder;
  private long comingBytes;
  private long awaitedBytes; // of all recalls, those that were not sent for yet included
  private long hits;
  private long misses;
  private long outrun;

  TierReader(TierBelow below, BlockPool pool, PrefixTree tree, PrefixFinder finder) {
    this.below = below;
    this.pool = pool;
    this.tree = tree;
    this.finder = finder;
  }

  /// What the tier has that makes the longest prefix longer; null if nothing, if there is no memory
  /// for it, or if it is not worth its while.
  ///
  /// @param limit blocks of the prefix at most
  /// @param availableBytes that no sequence references
  @Nullable Recall plan(
      HashChain chain, int[] tokens, int limit, long availableBytes, Recall.Worth worth) {
    PrefixFinder.Gap gap = finder.gap(chain, tokens, limit, below.tier());
    long bytes = 0;
    for (Recall.Missing slab : gap.slabs()) {
      bytes += pool.slabBytes(slab.key().group(), slab.key().form());
    }
    if (gap.slabs().isEmpty() || bytes > availableBytes) {
      misses++;
      return null;
    }
    double nanos = below.tier().fetchNanos(bytes + awaitedBytes);
    if (!worth.test(nanos, gap.from() * BLOCK, gap.to() * BLOCK) && ++outrun % LOOK_AGAIN != 0) {
      return null;
    }
    hits++;
    awaitedBytes += bytes;
    for (PrefixNode node : finder.path(chain, tokens, limit)) {
      for (Block block : node.blocks) {
        if (block != null && !block.isReferenced()) {
          tree.touch(block); // so that what comes does not take the place of what it comes for
        }
      }
    }
    return new Recall(chain, tokens, gap.slabs());
  }

  /// Puts what has come into the tree and sends for more.
  ///
  /// @return whether there is more to wait for
  boolean advance(Recall recall) {
    while (!recall.coming.isEmpty() && recall.coming.getFirst().fetch().isDone()) {
      Recall.Coming next = recall.coming.removeFirst();
      comingBytes -= next.bytes();
      awaitedBytes -= next.bytes();
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
    for (Recall.Coming slab : recall.coming) {
      comingBytes -= slab.bytes();
      awaitedBytes -= slab.bytes();
    }
    for (Recall.Missing slab : recall.missing) {
      awaitedBytes -= pool.slabBytes(slab.key().group(), slab.key().form());
    }
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

  /// What the tier was good for so far.
  KvStats.TierUse use(FormatCensus census) {
    TierStats tier = below.tier().stats();
    return new KvStats.TierUse(
        tier,
        census.count(
            (group, form) -> tier.slabs().getOrDefault(new TierStats.Place(group, form), 0L)),
        new KvStats.RecallStats(hits, misses, outrun));
  }
}
