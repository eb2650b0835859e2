package dev.tessera.kvcache;

import java.util.Comparator;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/// What of the prefix tree no sequence references, and in which order it goes when memory is
/// wanted:
///
/// 1. copies that no query will read: a block's form that no sequence holds and no tail needs,
///    where the block exists in a cooler one as well; the longest idle first;
/// 2. blocks: the least recently used first, the deepest of a prefix before the ones it builds on;
/// 3. exact copies that a [CopyKeeper] keeps;
/// 4. what tails keep, once their tails are given up.
///
/// Blocks of a window group may go before their node does: a sequence that goes on behind the node
/// needs only those inside the window.
///
/// Every change of a block in the tree is made between [#leave] and [#enter], so that the orders
/// never hold a stale one.
final class IdleBlocks {

  /// One form of a block.
  record Copy(Block block, int form) {
    long since() {
      return block.idleSince(form);
    }
  }

  private final KvGeometry geometry;
  private final BlockPool pool;
  private final CopyKeeper keeper;
  private final TreeSet<Copy> copies =
      new TreeSet<>(
          Comparator.comparingLong(Copy::since)
              .thenComparing(Comparator.<Copy>comparingInt(copy -> copy.block.index()).reversed())
              .thenComparingInt(copy -> copy.block.group())
              .thenComparingLong(copy -> copy.block.id())
              .thenComparingInt(Copy::form));
  private final TreeSet<Block> blocks =
      new TreeSet<>(
          Comparator.<Block>comparingLong(block -> block.lastUse)
              .thenComparing(Comparator.comparingInt(Block::index).reversed())
              .thenComparingInt(Block::group)
              .thenComparingLong(Block::id));
  private int idleBlocks;
  private long idleSlabs;
  private long tailBytes;
  private long copyBytes;

  /// @param keeper chooses which exact copies go last
  IdleBlocks(KvGeometry geometry, BlockPool pool, CopyKeeper keeper) {
    this.geometry = geometry;
    this.pool = pool;
    this.keeper = keeper;
  }

  /// Blocks that no sequence references in any form.
  int blocks() {
    return idleBlocks;
  }

  /// Slabs that no sequence references.
  long slabs() {
    return idleSlabs;
  }

  /// Bytes of the copies that exist for tails alone.
  long tailBytes() {
    return tailBytes;
  }

  /// Bytes of the copies that no query will read.
  long copyBytes() {
    return copyBytes;
  }

  /// Whether everything that is left is kept by a tail or by a live sequence's path.
  boolean nothingToSpare() {
    return copies.isEmpty() && blocks.isEmpty();
  }

  /// The copy to go first: of those that are not kept, if there are any.
  @Nullable Copy oldestCopy() {
    for (Copy copy : copies) {
      if (!isKept(copy)) {
        return copy;
      }
    }
    return copies.isEmpty() ? null : copies.first();
  }

  /// Whether a copy is exact and one of a prefix that is asked for often.
  boolean isKept(Copy copy) {
    PrefixNode node = copy.block.node;
    return copy.form == BlockRef.EXACT && node != null && keeper.keeps(node.hash);
  }

  @Nullable Block oldestBlock() {
    return blocks.isEmpty() ? null : blocks.first();
  }

  boolean isFull(Block block) {
    return geometry.groups().get(block.group()).isFull();
  }

  /// Forgets a block that is about to change.
  void leave(Block block) {
    if (block.node != null) {
      count(block, -1);
      blocks.remove(block);
      for (int form = 0; form < block.forms() - 1; form++) {
        remove(new Copy(block, form));
      }
    }
  }

  private void remove(Copy copy) {
    if (copies.remove(copy)) {
      copyBytes -= slabBytes(copy);
    }
  }

  private long slabBytes(Copy copy) {
    return pool.pool(copy.block.group(), copy.form).slabBytes();
  }

  /// Notes a block as it is now.
  void enter(Block block) {
    if (block.node != null) {
      count(block, 1);
      refresh(block);
    }
  }

  private void count(Block block, int sign) {
    idleBlocks += block.isReferenced() ? 0 : sign;
    idleSlabs += sign * slabsOf(block);
    for (int form = 0; form < block.forms(); form++) {
      if (isIdle(block, form) && block.tails(form) > 0 && block.hasCooler(form)) {
        tailBytes += sign * pool.pool(block.group(), form).slabBytes();
      }
    }
  }

  int slabsOf(Block block) {
    int slabs = 0;
    for (int form = 0; form < block.forms(); form++) {
      slabs += isIdle(block, form) ? 1 : 0;
    }
    return slabs;
  }

  static boolean isIdle(Block block, int form) {
    return block.has(form) && block.references(form) == 0;
  }

  /// Whether a form is a copy that no query will read.
  static boolean isCopy(Block block, int form) {
    return block.node != null
        && isIdle(block, form)
        && block.tails(form) == 0
        && block.hasCooler(form);
  }

  /// Whether a block may go now.
  boolean isEvictable(Block block) {
    if (block.node == null || block.isReferenced()) {
      return false;
    }
    return isFull(block) ? block.node.isLoose() : block.tails(BlockRef.EXACT) == 0;
  }

  /// Puts a block where it belongs after a change of what hangs on its node.
  void refresh(Block block) {
    if (isEvictable(block)) {
      blocks.add(block);
    } else {
      blocks.remove(block);
    }
    for (int form = 0; form < block.forms() - 1; form++) {
      Copy copy = new Copy(block, form);
      if (!isCopy(block, form)) {
        remove(copy);
      } else if (copies.add(copy)) {
        copyBytes += slabBytes(copy);
      }
    }
  }

  boolean isCandidate(Block block) {
    return blocks.contains(block);
  }

  boolean isCandidate(Block block, int form) {
    return copies.contains(new Copy(block, form));
  }

  int candidates() {
    return blocks.size() + copies.size();
  }
}
