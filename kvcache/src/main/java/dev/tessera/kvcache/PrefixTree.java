package dev.tessera.kvcache;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// The full blocks that sequences can share, as a tree over prefixes.
///
/// A hash names a whole prefix, so one map holds the tree; a hit compares the tokens too. Only
/// full, immutable blocks are in it, each of them once: a sequence that computed a block which is
/// there already gives its copy up. What no sequence references stays until its memory is wanted;
/// then [IdleBlocks] says what goes.
///
/// A node may own a *tail*: the blocks of the last tokens before its end, in the forms that a later
/// sequence needs to go on from there and that would else have gone. In window groups those are the
/// blocks in the window, in groups that cool the ones that the first queries read in a form that
/// the sequences which passed here do not read any more.
final class PrefixTree {
  private final BlockPool pool;
  private final int groups;
  private final IdleBlocks idle;
  private final @Nullable TierWriter below;
  private final Map<BlockHash, PrefixNode> nodes = new HashMap<>();
  private final TreeMap<Long, PrefixNode> tails = new TreeMap<>(); // by last use
  private long clock;
  private long evictedBlocks;

  /// @param below takes what later prefixes may need and what is given up here; null for nobody
  /// @param keeper chooses which exact copies go last
  PrefixTree(KvGeometry geometry, BlockPool pool, @Nullable TierWriter below, CopyKeeper keeper) {
    this.pool = pool;
    this.below = below;
    this.groups = geometry.groups().size();
    this.idle = new IdleBlocks(geometry, pool, keeper);
  }

  IdleBlocks idle() {
    return idle;
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

  /// How long ago a block's last reference went.
  long age(Block block) {
    return clock - block.lastUse;
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

  /// Whether a node is still in the tree.
  boolean has(PrefixNode node) {
    return nodes.get(node.hash) == node;
  }

  /// Adds a node behind `parent`, without blocks yet.
  PrefixNode add(BlockHash hash, @Nullable PrefixNode parent, int index, int[] tokens) {
    PrefixNode node =
        new PrefixNode(hash, parent, index, tokens, index * TileShape.BLOCK_TOKENS, groups);
    nodes.put(hash, node);
    if (parent != null) {
      parent.children++;
      refresh(parent);
    }
    return node;
  }

  /// Makes a sequence's own block the node's. Where the node has one already, the two become one:
  /// their bytes are the same, so what the node's lacks moves over and the rest is freed.
  ///
  /// @return the node's block, with the references of the sequence's own
  Block put(PrefixNode node, Block own) {
    Block shared = node.blocks[own.group()];
    if (shared == null) {
      node.blocks[own.group()] = own;
      own.node = node;
      idle.enter(own);
      return own;
    }
    for (int form = 0; form < own.forms(); form++) {
      if (own.has(form)) {
        int references = own.references(form);
        for (int i = 0; i < references; i++) {
          pool.release(own, form);
        }
        idle.leave(shared);
        pool.merge(own, shared, form);
        for (int i = 0; i < references; i++) {
          pool.retain(shared, form);
        }
        idle.enter(shared);
      }
    }
    return shared;
  }

  void retain(Block block, int form) {
    idle.leave(block);
    pool.retain(block, form);
    idle.enter(block);
  }

  /// Takes a sequence's reference back. A form that nobody can read any more is freed with its last
  /// one: of a block outside the tree, or one that no step has filled yet.
  void release(Block block, int form, long now) {
    idle.leave(block);
    boolean last = pool.release(block, form);
    if (block.references(form) == 0) {
      block.setIdleSince(form, now);
      if (block.node == null || block.isPending(form)) {
        pool.dropForm(block, form);
      }
    }
    if (last) {
      block.lastUse = now;
    }
    idle.enter(block);
  }

  /// A new block outside the tree, or null if there is no memory that could be evicted for it.
  @Nullable Block allocate(int group, int index, int form) {
    while (true) {
      Block block = pool.allocate(group, index, form);
      if (block != null || !evictOne()) {
        return block;
      }
    }
  }

  /// Counts a block that no sequence references as used just now.
  void touch(Block block) {
    idle.leave(block);
    long now = tick();
    block.lastUse = now;
    for (int form = 0; form < block.forms(); form++) {
      block.setIdleSince(form, now);
    }
    idle.enter(block);
  }

  /// Gives a block one more form, which a step has yet to fill; false if the budget is used up.
  boolean addForm(Block block, int form) {
    while (true) {
      idle.leave(block);
      boolean added = pool.addForm(block, form);
      if (added) {
        block.setPending(form, true);
      }
      idle.enter(block);
      if (added || !evictOne()) {
        return added;
      }
    }
  }

  /// Says that a step fills a form of a block.
  void filled(Block block, int form) {
    idle.leave(block);
    block.setPending(form, false);
    idle.enter(block);
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
  void keepTail(PrefixNode node, List<PrefixNode.Held> tail) {
    tail.forEach(held -> addTail(held, 1));
    dropTail(node);
    node.tail = List.copyOf(tail);
    touchTail(node);
    trimTails();
  }

  private void addTail(PrefixNode.Held held, int delta) {
    idle.leave(held.block());
    held.block().addTail(held.form(), delta);
    idle.enter(held.block());
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
      List<PrefixNode.Held> tail = node.tail;
      node.tail = List.of();
      tail.forEach(held -> addTail(held, -1));
    }
  }

  /// Gives up the tails that were not used for longest, until the copies which exist for tails
  /// alone fit into their share of the budget.
  void trimTails() {
    while (idle.tailBytes() > pool.budget().tailBytes() && !tails.isEmpty()) {
      dropTail(tails.firstEntry().getValue());
    }
  }

  /// Frees at least one slab that no sequence references; false if there is none.
  boolean evictOne() {
    if (idle.slabs() == 0) {
      return false;
    }
    while (idle.nothingToSpare() && !tails.isEmpty()) {
      dropTail(tails.firstEntry().getValue());
    }
    IdleBlocks.Copy copy = idle.oldestCopy();
    Block victim = idle.oldestBlock();
    if (copy != null && (victim == null || !idle.isKept(copy))) {
      dropForm(copy.block(), copy.form());
    } else if (victim != null) {
      evict(victim);
    } else {
      dropLastResort();
    }
    return true;
  }

  private void evict(Block victim) {
    PrefixNode node = nodeOf(victim);
    if (idle.isFull(victim) && node.isLoose()) {
      remove(node);
    } else {
      free(victim);
      node.blocks[victim.group()] = null;
      settle(node);
    }
  }

  /// A form of a block that live sequences hold in other forms only: nothing else is left.
  private void dropLastResort() {
    Block block =
        nodes.values().stream()
            .flatMap(node -> Arrays.stream(node.blocks))
            .filter(candidate -> candidate != null && idle.slabsOf(candidate) > 0)
            .max(Comparator.comparingInt(Block::index).thenComparingLong(Block::id))
            .orElseThrow(() -> new IllegalStateException("no idle slab of " + idle.slabs()));
    if (!block.isReferenced()) {
      evict(block);
      return;
    }
    for (int form = 0; form < block.forms(); form++) {
      if (IdleBlocks.isIdle(block, form)) {
        dropForm(block, form);
        return;
      }
    }
  }

  private void dropForm(Block block, int form) {
    lower(block, form);
    idle.leave(block);
    pool.dropForm(block, form);
    idle.enter(block);
  }

  private static PrefixNode nodeOf(Block block) {
    if (block.node == null) {
      throw new IllegalStateException(block + " is not in the tree");
    }
    return block.node;
  }

  /// Offers a form of a block that is about to go to the tier below, if a prefix can be gone on
  /// from with it: what was kept for that, and where all layers see everything, the coolest form.
  private void lower(Block block, int form) {
    if (below != null && serves(block, form)) {
      boolean ignored = below.take(nodeOf(block).hash, block, form);
    }
  }

  private boolean serves(Block block, int form) {
    return block.isReady(form)
        && (block.wasInTail(form) || idle.isFull(block) && !block.hasCooler(form));
  }

  /// Offers everything that a prefix can be gone on from with to the tier below, if that outlasts
  /// this process: the prefixes used last first, each from its beginning.
  ///
  /// @return slabs that the tier holds of it
  int lowerAll(Duration limit) throws InterruptedException {
    if (below == null) {
      return 0;
    }
    List<TierWriter.Slab> slabs = new ArrayList<>();
    for (PrefixNode node : nodes.values()) {
      for (Block block : node.blocks) {
        for (int form = 0; block != null && form < block.forms(); form++) {
          if (serves(block, form)) {
            slabs.add(new TierWriter.Slab(node.hash, block, form));
          }
        }
      }
    }
    slabs.sort(
        Comparator.<TierWriter.Slab>comparingLong(slab -> -slab.block().lastUse)
            .thenComparingInt(slab -> slab.block().index()));
    return below.takeAll(slabs, limit);
  }

  private void free(Block block) {
    for (int form = 0; form < block.forms(); form++) {
      lower(block, form);
    }
    idle.leave(block);
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

  private void refresh(PrefixNode node) {
    for (Block block : node.blocks) {
      if (block != null) {
        idle.refresh(block);
      }
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
    refresh(node);
  }
}
